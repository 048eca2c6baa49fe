"""Calibration batches, checked where they enter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from prospr_engine.errors import DataError
from prospr_engine.network.point import Home

Batch = tuple[Tensor, Tensor]
"""Inputs, and a class index (or the probabilities of the classes) for each."""


def checked(batches: Iterable[Batch], home: Home) -> list[Batch]:
    """The batches in the number format and on the device of ``home``. Raises ``DataError`` for what
    is no sequence of pairs (x, y) of tensors, as many inputs as labels, at least one."""
    if not isinstance(batches, Iterable):
        raise DataError("There is no calibration batch; give a sequence of (x, y).")
    if isinstance(batches, Tensor) or (
        isinstance(batches, tuple | list) and batches and isinstance(batches[0], Tensor)
    ):
        raise DataError("Give a sequence of batches, [(x, y), …], even if there is only one.")
    ready = []
    for batch in batches:
        if not isinstance(batch, Sequence) or len(batch) != 2:
            raise DataError("Each calibration batch must be a pair (x, y) of tensors.")
        x, y = batch
        if not isinstance(x, Tensor) or not isinstance(y, Tensor):
            raise DataError("Each calibration batch must be a pair (x, y) of tensors.")
        if not x.dim() or not y.dim():
            raise DataError("Inputs and labels of a calibration batch need a batch axis.")
        if len(x) != len(y) or len(x) == 0:
            raise DataError(
                f"A calibration batch holds {len(x)} inputs and {len(y)} labels; it needs "
                "as many of one as of the other, and at least one."
            )
        if x.is_floating_point():
            x = x.to(home.dtype)
        if y.is_floating_point():
            y = y.to(home.dtype)
        elif y.dim() == 1 and y.dtype != torch.bool:
            y = y.long()
        else:
            raise DataError(
                f"The labels are {y.dtype} of shape {tuple(y.shape)}; give one class index "
                "for each input, or probabilities."
            )
        ready.append((x.to(home.device), y.to(home.device)))
    if not ready:
        raise DataError("There is no calibration batch; give at least one (x, y).")
    return ready
