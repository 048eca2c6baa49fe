"""A network as a function of its parameters, and what of it can be pruned."""
