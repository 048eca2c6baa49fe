"""What a visitor brings instead of choosing it: weights for a network of the tables.

A file is never believed: ``header`` looks at it without reading a number of it or importing
torch, ``weights`` fits it to a network tensor by tensor. Whole networks with a graph of their
own are another kind of upload, and another module beside these.
"""
