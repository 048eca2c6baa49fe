"""The dense encoding: every weight is an initialiser under the parameter's own name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import FileSize

if TYPE_CHECKING:
    import numpy as np
    import onnx

NUMBER = 4  # bytes of a float32
DENSE = 3.7 / NUMBER
"""Compression of a nonzero weight by deflate: signs and exponents repeat, the rest does not."""
PLACES = 2.2
"""How much more than the entropy deflate needs for the positions of the weights, less what it gains
because layers differ in density."""
GRAPH = 2000
"""Bytes per layer for its names, its nodes in the graph and its running statistics."""
GRAPH_ZIPPED = (1500, 100)
"""Zipped bytes of the graph, and of each layer in it."""


def encode(model: onnx.ModelProto, masks: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model itself: zeros are stored like any other weight."""
    return model


def decode(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """All initialisers by name. Raises ``ExportError`` if one has more or fewer bytes than its
    shape requires, or appears twice."""
    from onnx import numpy_helper  # here: ``size`` is needed without onnx

    weights: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            raise ExportError(f"The file contains two tensors called {tensor.name!r}.")
        try:
            weights[tensor.name] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise ExportError(
                f"The values of the tensor {tensor.name!r} do not fit its shape."
            ) from None
    return weights


def size(parameters: int, weights: int, layers: int, density: float) -> FileSize:
    """The predicted file of a network with that many ``parameters`` and ``layers``, in which a
    fraction ``density`` of the prunable ``weights`` is not zero.

    In the file every weight, zero or not, takes four bytes. In a zip (deflate), nonzero weights
    hardly shrink, and for each weight the zip also stores whether it is zero, which takes at least
    the entropy of a coin with probability ``density``.
    """
    entropy = 0.0
    if 0 < density < 1:
        entropy = -density * math.log2(density) - (1 - density) * math.log2(1 - density)
    weight = NUMBER * DENSE * density + PLACES * entropy / 8
    rest = NUMBER * DENSE * (parameters - weights)
    graph = GRAPH_ZIPPED[0] + GRAPH_ZIPPED[1] * layers
    return FileSize(
        bytes=NUMBER * parameters + GRAPH * layers,
        zipped=round(weights * weight + rest + graph),
    )
