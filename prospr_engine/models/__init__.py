"""The networks there are to choose from: the one table ``MODELS``."""
