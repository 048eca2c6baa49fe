"""One run: from settings to a result and its files."""
