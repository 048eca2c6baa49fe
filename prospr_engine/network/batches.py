"""Calibration batches, checked where they enter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospr_engine.errors import DataError, EngineError
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.foreign import first_line
from prospr_engine.network.point import Home

Batch = tuple[Tensor, Tensor]
"""Inputs, and a class index (or the probabilities of the classes) for each."""


def read(batches: Iterable[Batch], most: int | None = None) -> list[Any]:
    """The first ``most`` batches, all of them if None. Raises ``DataError`` for what is no sequence
    of batches, and if it fails while it is read."""
    if isinstance(batches, Tensor) or (
        isinstance(batches, tuple | list) and batches and isinstance(batches[0], Tensor)
    ):
        raise DataError("Give a sequence of batches, [(x, y), …], even if there is only one.")
    # Data sets of PyTorch have the older protocol alone.
    if not isinstance(batches, Iterable) and not hasattr(type(batches), "__getitem__"):
        raise DataError("There is no calibration batch; give a sequence of (x, y).")
    try:
        return list(islice(iter(batches), most))
    except EngineError:
        raise
    except Exception as error:  # whatever a loader may raise
        if is_out_of_memory(error):
            raise
        raise DataError(
            f"The calibration batches cannot be read: {first_line(error)}. Loop over them, "
            "`for x, y in batches`, to see the error itself."
        ) from error


def checked(batches: Iterable[Batch], home: Home) -> list[Batch]:
    """The batches in the number format and on the device of ``home``. Raises ``DataError`` for what
    is no sequence of pairs (x, y) of tensors, as many inputs as labels, at least one."""
    ready = [_checked(batch, home) for batch in read(batches)]
    if not ready:
        raise DataError("There is no calibration batch; give at least one (x, y).")
    return ready


def _checked(batch: object, home: Home) -> Batch:
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise DataError(_no_pair(batch))
    x, y = batch
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise DataError(_no_pair(batch))
    x, y = _dense("inputs", x), _dense("labels", y)
    if not x.dim() or not y.dim():
        raise DataError(
            "Inputs and labels of a calibration batch need a batch axis; a DataLoader over a data "
            "set gives them one."
        )
    if len(x) != len(y) or len(x) == 0:
        raise DataError(
            f"A calibration batch holds {len(x)} inputs and {len(y)} labels; it needs "
            "as many of one as of the other, and at least one."
        )
    if x.is_floating_point():
        x = x.to(home.dtype)
    if y.is_floating_point():
        if not bool((y >= 0).all()):  # NaN is not, either
            raise DataError(
                "Labels that are no class indices are probabilities of the classes, but some of "
                "these are negative or NaN; give class indices (torch.int64), or probabilities."
            )
        y = y.to(home.dtype)
    elif y.dim() == 1 and y.dtype != torch.bool and not y.is_complex():
        y = y.long()
    else:
        raise DataError(
            f"The labels are {y.dtype} of shape {tuple(y.shape)}; give one class index "
            f"for each input, or probabilities{_as_indices(y)}."
        )
    return x.to(home.device), y.to(home.device)


def _dense(what: str, tensor: Tensor) -> Tensor:
    """``tensor`` as one array of numbers in memory."""
    if tensor.is_meta or tensor.is_nested or tensor.is_quantized:
        kind = "on the meta device" if tensor.is_meta else "nested or quantised"
        raise DataError(
            f"The {what} of a calibration batch are {kind}; give plain tensors with values."
        )
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def _no_pair(batch: object) -> str:
    """A sentence on what is no pair of tensors."""
    if isinstance(batch, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in [*batch][:4])
        found = f"this one is a mapping with {keys}: pick the two, as in [(b['x'], b['y']) for b …]"
    elif isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) != 2:
        found = f"this one has {len(batch)} parts: pick the two, as in [(b[0], b[1]) for b …]"
    else:
        parts = [*batch] if isinstance(batch, Sequence) and not isinstance(batch, str) else [batch]
        found = f"this one is made of {' and '.join(type(part).__name__ for part in parts)}"
        if any(isinstance(part, np.ndarray) for part in parts):
            found += ": torch.from_numpy makes tensors"
    return f"Each calibration batch must be a pair (x, y) of tensors; {found}."


def _as_indices(y: Tensor) -> str:
    """How labels of another form become class indices."""
    if y.dim() == 1 and y.dtype == torch.bool:
        return ": y.long() makes indices"
    if y.dim() == 2:
        return f": {'y.flatten()' if y.shape[1] == 1 else 'y.argmax(1)'} makes indices"
    return ""
