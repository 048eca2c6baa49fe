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
"""What deflate makes of a weight that is not zero: the sign and exponents repeat, the rest not."""
PLACES = 2.2
"""How much worse than the entropy deflate stores where the weights are, less what it gains because
layers differ in density."""
GRAPH = 2000
"""Bytes per layer for its names and place in the graph, and its running statistics."""
GRAPH_ZIPPED = (1500, 100)
"""What the graph takes in a zip, and every layer of it."""


def encode(model: onnx.ModelProto, masks: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model itself: zeros are stored like any other weight."""
    return model


def decode(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """All initialisers by name. Raises ``ExportError`` if one holds fewer or more bytes than
    its shape says, or appears twice."""
    from onnx import numpy_helper  # here: ``size`` is needed without onnx

    weights: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            raise ExportError(f"The file holds two tensors called {tensor.name!r}.")
        try:
            weights[tensor.name] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise ExportError(
                f"The tensor {tensor.name!r} does not hold the values its shape promises."
            ) from None
    return weights


def size(parameters: int, weights: int, layers: int, density: float) -> FileSize:
    """The file of a network with so many ``parameters`` and ``layers``, of whose prunable
    ``weights`` a fraction ``density`` is not zero.

    In the file every weight, zero or not, takes its four bytes. In a zip (deflate), what is not
    zero hardly shrinks, and for each weight the zip has to store whether it is zero, which takes
    the entropy of a coin that falls so with probability ``density``, and more.
    """
    doubt = 0.0
    if 0 < density < 1:
        doubt = -density * math.log2(density) - (1 - density) * math.log2(1 - density)
    weight = NUMBER * DENSE * density + PLACES * doubt / 8
    rest = NUMBER * DENSE * (parameters - weights)
    graph = GRAPH_ZIPPED[0] + GRAPH_ZIPPED[1] * layers
    return FileSize(
        bytes=NUMBER * parameters + GRAPH * layers,
        zipped=round(weights * weight + rest + graph),
    )
