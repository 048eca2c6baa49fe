"""The predicted size of a file in 8 bits, without onnx."""

from __future__ import annotations

import array
import functools
import random
import zlib
from collections.abc import Sequence

from prospr_engine.export.encodings import FileSize, StoredTensor
from prospr_engine.export.encodings.dense import SAMPLE

NODES = (1300, 330)
"""Bytes per tensor for the nodes that round, their numbers and their names, and zipped."""
CHANNEL = (10, 8)
"""Bytes per output channel for its step, and zipped."""
LARGEST = 3.5
"""The largest weight of a channel, in standard deviations: it becomes 127."""


def size(tensors: Sequence[StoredTensor], rest: FileSize) -> FileSize:
    """The predicted file with these ``tensors`` besides the ``rest``."""
    channels = sum(tensor.channels for tensor in tensors)
    plain = sum(tensor.values for tensor in tensors)
    zipped = sum(
        tensor.values * _zipped_weight(round(tensor.nonzero / tensor.values, 3))
        for tensor in tensors
        if tensor.values
    )
    return FileSize(
        bytes=round(rest.bytes + plain + CHANNEL[0] * channels + NODES[0] * len(tensors)),
        zipped=round(rest.zipped + zipped + CHANNEL[1] * channels + NODES[1] * len(tensors)),
    )


@functools.lru_cache(maxsize=2000)
def _zipped_weight(density: float) -> float:
    """Bytes per weight that deflate needs for normal weights of which a fraction ``density``, in
    random places, is not zero."""
    values = (value if place < density else 0 for place, value in _sample())
    return len(zlib.compress(array.array("b", values).tobytes())) / SAMPLE


@functools.cache
def _sample() -> tuple[tuple[float, int], ...]:
    """A place in [0, 1) and a rounded weight each."""
    draw = random.Random(0)
    step = LARGEST / 127
    return tuple(
        (draw.random(), max(-127, min(127, round(draw.gauss(0.0, 1.0) / step))))
        for _ in range(SAMPLE)
    )
