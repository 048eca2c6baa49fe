"""The predicted size of a file with the standard's own sparse tensors, without onnx."""

from __future__ import annotations

from collections.abc import Sequence

from prospr_engine.export.encodings import FileSize, StoredTensor
from prospr_engine.export.encodings.dense import NUMBER, ZIPPED_NUMBER, zipped_weight


def size(tensors: Sequence[StoredTensor], rest: FileSize) -> FileSize:
    """The predicted file with these ``tensors`` besides the ``rest``."""
    plain, zipped = float(rest.bytes), float(rest.zipped)
    for tensor in tensors:
        nonzero = max(1, tensor.nonzero)  # of nothing but zeros, the first is stored
        places = nonzero * _place_bytes(tensor.values)
        if NUMBER * nonzero + places < NUMBER * tensor.values:
            plain += NUMBER * nonzero + places
            zipped += ZIPPED_NUMBER * nonzero + places
        elif tensor.values:
            plain += NUMBER * tensor.values
            zipped += tensor.values * zipped_weight(round(tensor.nonzero / tensor.values, 2))
    return FileSize(round(plain), round(zipped))


def _place_bytes(total: float) -> float:
    """Bytes of the mean place among ``total``, seven bits in each."""
    taken, below = 0.0, 0.0
    for length in range(1, 6):
        above = min(total, 128.0**length)
        taken += length * (above - below)
        below = above
    return taken / total if total else 1.0
