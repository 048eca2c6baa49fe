"""The predicted size of a file in 8 bits, without onnx."""

from __future__ import annotations

import array
import functools
import random
import zlib
from collections.abc import Sequence

from prospr_engine.export.encodings import FileSize, StoredTensor
from prospr_engine.export.encodings.dense import NUMBER, SAMPLE, ZIPPED_NUMBER

NODES, ZIPPED_NODES = 1300, 330
"""Bytes per tensor for the nodes that round, and their names, and zipped. Where the batch norms are
not known, they are assumed to have taken as much as these nodes: they are folded into the
weights."""
CHANNEL = (10, 8)
"""Bytes per output channel for its step, and zipped."""
FOLDED = 362
"""Bytes that folding a batch norm saves for each of its tensors, besides these: nodes and names."""
LARGEST = 3.5
"""The largest weight of a channel, in standard deviations: it becomes 127."""


def size(tensors: Sequence[StoredTensor], rest: FileSize) -> FileSize:
    """The predicted file with these ``tensors`` besides the ``rest``."""
    weights = [tensor for tensor in tensors if tensor.weight]
    folded = sum(tensor.normalises for tensor in tensors)
    others = sum(t.values for t in tensors if not (t.weight or t.normalises))
    channels = sum(tensor.channels for tensor in weights)
    values = sum(tensor.values for tensor in weights)
    density = sum(tensor.nonzero for tensor in weights) / values if values else 0.0
    zipped = ZIPPED_NUMBER * others + values * _zipped_weight(round(density, 5))
    nodes = NODES * len(weights) - FOLDED * folded if len(weights) < len(tensors) else 0
    plain = NUMBER * others + values + nodes
    return FileSize(
        bytes=round(rest.bytes + plain + CHANNEL[0] * channels),
        zipped=round(rest.zipped + zipped + CHANNEL[1] * channels + ZIPPED_NODES * len(weights)),
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
