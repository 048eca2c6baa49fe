"""The names that every exported file has, readable without onnx."""

from __future__ import annotations

INPUT = "input"
OUTPUT = "logits"
PREFIX = "prospr."
"""Of the entries of our record among the file's metadata."""
