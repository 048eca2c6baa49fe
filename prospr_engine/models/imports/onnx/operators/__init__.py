"""The operators that can be imported, one file per kind. Importing this registers all of them."""

from prospr_engine.models.imports.onnx.operators import (
    activation,
    arithmetic,
    attention,
    convolution,
    indexing,
    linear,
    normalisation,
    pooling,
    reduction,
    resize,
    shape,
)

__all__ = [
    "activation",
    "arithmetic",
    "attention",
    "convolution",
    "indexing",
    "linear",
    "normalisation",
    "pooling",
    "reduction",
    "resize",
    "shape",
]
