"""Channels really removed: which are tied, which go, and the smaller network without them."""
