"""The dense encoding: every weight is an initialiser under the parameter's own name."""

from __future__ import annotations

import array
import functools
import random
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import FileSize

if TYPE_CHECKING:
    import numpy as np
    import onnx

NUMBER = 4  # bytes of a float32
DENSE = 3.7
"""Zipped bytes of a weight that is not zero: signs and exponents repeat, the rest does not."""
SAMPLE = 16_384
"""Weights that are compressed to learn what sparse ones take."""
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
    hardly shrink, and their places take more than their entropy: ``_zipped_weight`` tries it out.
    """
    rest = DENSE * (parameters - weights)
    graph = GRAPH_ZIPPED[0] + GRAPH_ZIPPED[1] * layers
    return FileSize(
        bytes=NUMBER * parameters + GRAPH * layers,
        zipped=round(weights * _zipped_weight(round(density, 5)) + rest + graph),
    )


@functools.lru_cache(maxsize=2000)
def _zipped_weight(density: float) -> float:
    """Bytes per weight that deflate needs for normal weights of which a fraction ``density``, in
    random places, is not zero."""
    values = (value if place < density else 0.0 for place, value in _sample())
    return len(zlib.compress(array.array("f", values).tobytes())) / SAMPLE


@functools.cache
def _sample() -> tuple[tuple[float, float], ...]:
    """A place in [0, 1) and a value for each weight."""
    draw = random.Random(0)
    return tuple((draw.random(), draw.gauss(0.0, 0.1)) for _ in range(SAMPLE))
