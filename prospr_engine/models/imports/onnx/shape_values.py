"""Integers that describe shapes, as Python's numbers rather than tensors.

A shape value is a NumPy array of objects: Python integers, or the symbolic ones with which
torch.export marks a free batch size. NumPy indexes, joins and adds such arrays element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospr_engine.models.imports.onnx.homes import Array

MOST = 64
"""Elements of a constant that may be a shape value; longer ones are tensors."""


def shape_value(numbers: Any) -> Array:
    """``numbers`` (a number or a sequence) as a shape value."""
    if isinstance(numbers, np.ndarray):
        return numbers if numbers.dtype == object else numbers.astype(object)
    if isinstance(numbers, list | tuple):
        made = np.empty(len(numbers), object)
        made[:] = numbers
        return made
    single = np.empty((), object)
    single[()] = numbers
    return single


def is_shape_value(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def ints(value: Any) -> list[Any]:
    """A constant or shape value as a flat list of integers."""
    if isinstance(value, Tensor):
        return [int(v) for v in value.reshape(-1).tolist()]
    if isinstance(value, np.ndarray):
        return list(value.reshape(-1).tolist())
    if isinstance(value, Sequence):
        return list(value)
    return [value]


def single(value: Any) -> Any:
    """The one number in ``value``."""
    if isinstance(value, Tensor):
        return value.item()
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) else value


def tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """``value`` as a tensor on the device of ``like``, with its number format if it is real."""
    if isinstance(value, Tensor):
        return value
    device = None if like is None else like.device
    numbers = value.tolist() if isinstance(value, np.ndarray) else value
    made = torch.as_tensor(numbers, device=device)
    if made.is_floating_point() and like is not None and like.is_floating_point():
        made = made.to(like.dtype)
    return made


def operand(value: Any, like: Tensor | None = None) -> Any:
    """``value`` for arithmetic with a tensor: one number stays one, so that it adapts its
    format."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)[0] if value.size == 1 else tensor(value, like)
    return value
