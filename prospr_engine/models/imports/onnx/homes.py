"""Where a tensor of the network lies in the file, and how to bring trained values back there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Change(Protocol):
    """Something that the importer did to a tensor, and its inverse."""

    def apply(self, values: Array) -> Array: ...

    def undo(self, values: Array) -> Array: ...

    def inverse(self) -> Change: ...

    @property
    def exact(self) -> bool:
        """Whether ``undo`` gives float32 values that ``apply`` maps to the very same ones."""


@dataclass(frozen=True)
class Transposed:
    order: tuple[int, ...]
    exact = True

    def apply(self, values: Array) -> Array:
        return np.ascontiguousarray(values.transpose(self.order))

    def undo(self, values: Array) -> Array:
        return self.inverse().apply(values)

    def inverse(self) -> Transposed:
        return Transposed(tuple(int(axis) for axis in np.argsort(self.order)))


@dataclass(frozen=True)
class Reshaped:
    before: tuple[int, ...]
    after: tuple[int, ...]
    exact = True

    def apply(self, values: Array) -> Array:
        return values.reshape(self.after)

    def undo(self, values: Array) -> Array:
        return values.reshape(self.before)

    def inverse(self) -> Reshaped:
        return Reshaped(self.after, self.before)


@dataclass(frozen=True)
class Converted:
    """To another format of real numbers."""

    before: np.dtype[Any]
    after: np.dtype[Any]

    @property
    def exact(self) -> bool:
        return self.before.itemsize >= 4

    def apply(self, values: Array) -> Array:
        return values.astype(self.after)

    def undo(self, values: Array) -> Array:
        return values.astype(self.before)

    def inverse(self) -> Converted:
        return Converted(self.after, self.before)


@dataclass(frozen=True)
class Scaled:
    """Times a factor, which is not 0."""

    factor: float

    @property
    def exact(self) -> bool:
        return abs(math.frexp(self.factor)[0]) == 0.5  # powers of two

    def apply(self, values: Array) -> Array:
        return values * np.float32(self.factor)

    def undo(self, values: Array) -> Array:
        return values / np.float32(self.factor)

    def inverse(self) -> Scaled:
        return Scaled(1 / self.factor)


@dataclass(frozen=True)
class Home:
    """The value ``name`` of the file, of ``shape``: an initialiser, a Constant node, or, if it was
    ``computed``, the output of other nodes with constant inputs.

    ``changes`` lead from there to the network's tensor. A computed value cannot be changed where it
    comes from: its node has to give way to an initialiser of the same name.
    """

    name: str
    shape: tuple[int, ...]
    computed: bool = False
    changes: tuple[Change, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether ``to_file`` keeps every float32 value bit by bit."""
        return all(change.exact for change in self.changes)

    def after(self, *changes: Change) -> Home:
        return replace(self, changes=(*self.changes, *changes))

    def to_file(self, tensor: Any) -> Array:
        """The values of the network's ``tensor`` (a torch.Tensor or an array) in the file's layout
        and number format."""
        values = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)
        for change in reversed(self.changes):
            values = change.undo(values)
        return np.ascontiguousarray(values)


def applied(changes: Sequence[Change], values: Array) -> Array:
    for change in changes:
        values = change.apply(values)
    return values
