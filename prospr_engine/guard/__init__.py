"""Limits on what visitors may send, and on how much of it is kept."""
