"""The dense encoding: every weight is an initialiser under the parameter's own name."""

from __future__ import annotations

import array
import functools
import random
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import FileSize, StoredTensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

NUMBER = 4  # bytes of a float32
ZIPPED_NUMBER = 3.7
"""Zipped bytes of a weight that is not zero: signs and exponents repeat, the rest does not."""
SAMPLE = 16_384
"""Weights that are compressed to learn what sparse ones take."""


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


def size(tensors: Sequence[StoredTensor], rest: FileSize) -> FileSize:
    """The predicted file with these ``tensors`` besides the ``rest``.

    In the file every weight, zero or not, takes four bytes. In a zip (deflate), nonzero weights
    hardly shrink, and their places take more than their entropy: ``zipped_weight`` tries it out.
    """
    values = sum(tensor.values for tensor in tensors)
    # One density for all: to compress a sample for each tensor would take most of the time.
    density = sum(tensor.nonzero for tensor in tensors) / values if values else 0.0
    return FileSize(
        bytes=round(rest.bytes + NUMBER * values),
        zipped=round(rest.zipped + values * zipped_weight(round(density, 5))),
    )


@functools.lru_cache(maxsize=2000)
def zipped_weight(density: float) -> float:
    """Bytes per weight that deflate needs for normal weights of which a fraction ``density``, in
    random places, is not zero."""
    values = (value if place < density else 0.0 for place, value in _sample())
    return len(zlib.compress(array.array("f", values).tobytes())) / SAMPLE


@functools.cache
def _sample() -> tuple[tuple[float, float], ...]:
    """A place in [0, 1) and a value for each weight."""
    draw = random.Random(0)
    return tuple((draw.random(), draw.gauss(0.0, 0.1)) for _ in range(SAMPLE))
