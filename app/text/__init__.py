"""The longer words of the app."""
