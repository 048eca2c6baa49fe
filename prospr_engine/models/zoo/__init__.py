"""The networks of the project itself."""
