"""The predicted size of a compact file, without onnx."""

from __future__ import annotations

import functools

from prospr_engine.export.encodings import FileSize
from prospr_engine.export.encodings.dense import DENSE, GRAPH, GRAPH_ZIPPED, NUMBER

HALF = 2  # bytes of a float16
DENSE_HALF = 1.95
"""Zipped bytes of a weight in 16 bits."""
UNPACKING = (800, 250)
"""Bytes per layer for the nodes that unpack it, and zipped."""
MOST_BITS = 16
"""Of a gap between two weights; what is sparser takes next to nothing anyway."""


def size(
    parameters: int, weights: int, layers: int, density: float, number: int = NUMBER
) -> FileSize:
    """The predicted file of a network with that many ``parameters`` and ``layers``, in which a
    fraction ``density`` of the prunable ``weights``, in random places, is not zero; a value takes
    ``number`` bytes."""
    zipped_number = DENSE if number == NUMBER else DENSE_HALF
    values, places = packed(weights, density * weights, number)
    rest = parameters - weights
    return FileSize(
        bytes=round(values * number + places + rest * number + (GRAPH + UNPACKING[0]) * layers),
        zipped=round(
            values * zipped_number
            + places
            + rest * zipped_number
            + GRAPH_ZIPPED[0]
            + (GRAPH_ZIPPED[1] + UNPACKING[1]) * layers
        ),
    )


size_half = functools.partial(size, number=HALF)


def packed(total: float, kept: float, number: int) -> tuple[float, float]:
    """The values that are stored of ``total`` weights of which ``kept``, in random places, are not
    zero; and the bytes that say where they belong. A value takes ``number`` bytes."""
    if not kept:
        return 0.0, 0.0
    ways = [(total, 0.0), (kept, total / 8)]
    for bits in range(1, MOST_BITS + 1):
        # Every 2^bits − 1 places without a weight, a zero is stored on the way.
        values = kept / (1 - (1 - kept / total) ** (2**bits - 1))
        ways.append((values, values * bits / 8))
    return min(ways, key=lambda way: way[0] * number + way[1])
