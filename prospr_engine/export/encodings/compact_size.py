"""The predicted size of a compact file, without onnx."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from prospr_engine.export.encodings import FileSize, StoredTensor
from prospr_engine.export.encodings.dense import NUMBER, ZIPPED_NUMBER

HALF = 2  # bytes of a float16
ZIPPED_HALF = 1.95
"""Zipped bytes of a weight in 16 bits."""
MOST_BITS = 16
"""Of a gap between two weights; what is sparser takes next to nothing anyway."""
EMPTY, WHOLE, WITH_BITS, WITH_GAPS = 130, 90, 590, 780
"""Bytes of the nodes that unpack a tensor of zeros, a whole one, and one that is packed in either
way: names and shapes included."""
SHARED = 400
"""Bytes of the constants in these nodes, which tensors share."""
CAST = 45
"""Bytes of the node that makes 32 bits of 16."""
ZIPPED_NODES = 0.28
"""How many of them are left in a zip."""


@dataclass(frozen=True)
class Packed:
    """What a tensor takes: the number of stored ``values`` of ``number`` bytes each, and bytes for
    their ``places`` and for ``nodes``."""

    values: float
    number: int
    places: float = 0.0
    nodes: int = 0

    @property
    def bytes(self) -> float:
        return self.values * self.number + self.places + self.nodes

    @property
    def zipped(self) -> float:
        number = ZIPPED_NUMBER if self.number == NUMBER else ZIPPED_HALF
        return self.values * number + self.places + self.nodes * ZIPPED_NODES


def size(tensors: Sequence[StoredTensor], rest: FileSize, number: int = NUMBER) -> FileSize:
    """The predicted file with these ``tensors`` besides the ``rest``; a value takes ``number``
    bytes."""
    stored = [packed(tensor, number) for tensor in tensors]
    shared = SHARED if any(each.nodes for each in stored) else 0
    return FileSize(
        bytes=round(rest.bytes + shared + sum(each.bytes for each in stored)),
        zipped=round(rest.zipped + sum(each.zipped for each in stored)),
    )


size_half = functools.partial(size, number=HALF)


def packed(tensor: StoredTensor, number: int) -> Packed:
    """How a ``tensor`` is stored, in the smallest way. A value takes ``number`` bytes."""
    total, kept = tensor.values, tensor.nonzero
    cast = 0 if number == NUMBER else CAST
    ways = [Packed(total, NUMBER), Packed(kept, number, total / 8, WITH_BITS + cast)]
    if cast:
        ways.append(Packed(total, number, nodes=WHOLE + cast))
    if not kept:
        ways.append(Packed(0, number, nodes=EMPTY))
    for bits in range(1, MOST_BITS + 1):
        values = tensor.coded[bits - 1] if tensor.coded else _coded(total, kept, bits)
        ways.append(Packed(values, number, values * bits / 8, WITH_GAPS + cast))
    return min(ways, key=lambda way: way.bytes)


def _coded(total: float, kept: float, bits: int) -> float:
    """Values that are stored if the ``kept`` ones are in random places: every 2^bits − 1 places
    without one, a zero is stored on the way."""
    return kept / (1 - (1 - kept / total) ** (2**bits - 1)) if kept else 0.0
