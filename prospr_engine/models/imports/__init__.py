"""Weights from a user's file, for a network of the tables.

Files are not trusted: ``header`` checks one without reading its numbers or importing torch,
``weights`` matches it to a network tensor by tensor.
"""
