"""Which channel every element of an activation belongs to, through operations between layers.

An activation is described by an array of channel numbers, of its shape but for axes along which
they are all the same, which have size 1: (1, C, 1, 1) behind a convolution, (1, 1, C) behind a
linear layer. Operations that move elements move the numbers; so a flattened map, a shuffle of
channels or a layout with the channels last is read as it is, without assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Tie = Callable[[Numbers, Numbers], None]
"""Says that channels belong together, element by element."""

WHOLE = 0
"""The channel that never goes: what is tied to it stays."""

MIXING = (
    "mm", "dot", "conv", "softmax", "cumsum", "cumprod", "norm", "embedding", "sort", "topk",
    "gather", "scatter", "index", "fft", "einsum", "glu", "roll", "flip", "shuffle", "strided",
    "unfold",
)  # fmt: skip
"""Operations in which a channel may depend on others, or on its place."""

REDUCING = ("mean", "sum", "amax", "amin", "max", "min", "prod", "std", "var", "logsumexp")
MOST = 20_000_000
"""Elements of an activation that are looked at one by one."""


@dataclass(frozen=True)
class Labels:
    """The channel ``numbers`` of an activation of ``shape``."""

    numbers: Numbers
    shape: tuple[int, ...]

    @classmethod
    def along(cls, numbers: Numbers, axis: int, shape: tuple[int, ...]) -> Labels:
        """One channel for each place along ``axis``."""
        form = [1] * len(shape)
        form[axis] = -1
        return cls(numbers.reshape(form), shape)

    def read(self, axis: int, tie: Tie) -> Numbers | None:
        """The channels along ``axis``, as a layer reads them that mixes all that is there; those of
        one place are tied."""
        axis %= len(self.shape)
        if self.numbers.shape[axis] != self.shape[axis]:
            return None
        flat = np.moveaxis(self.numbers, axis, 0).reshape(self.shape[axis], -1)
        if flat.shape[1] > 1:
            tie(flat[:, :1], flat)
        return flat[:, 0]

    def full(self) -> Numbers:
        """A number for every element."""
        return np.broadcast_to(self.numbers, self.shape)


def result(
    operation: Any,
    kind: str,
    shape: tuple[int, ...],
    inputs: Sequence[tuple[Labels, int]],
    tie: Tie,
) -> Labels | None:
    """The labels of the output, of ``shape``, of an ``operation`` called ``kind`` by autograd;
    None if it cannot be said which channel is where."""
    name = kind.lower()
    labels = [label for label, _ in inputs]
    first = labels[0]
    if name.startswith(("cat", "stack")):
        return _joined(operation, name.startswith("stack"), shape, labels, tie)
    if len(labels) == 1:
        moved = _moved(operation, name, shape, first, tie)
        if moved is not None:
            return moved
        if name.startswith(REDUCING) and hasattr(operation, "_saved_dim"):
            return _reduced(operation, shape, first)
    if any(word in name for word in MIXING):
        return None
    return _by_element(shape, labels, tie)


def part(operation: Any, kind: str, number: int, labels: Labels, tie: Tie) -> Labels | None:
    """Output ``number`` of an operation that cuts an activation into several parts."""
    axis = _axis(operation._saved_dim, len(labels.shape))
    size = labels.shape[axis]
    name = kind.lower()
    if name.startswith("unbind"):
        sizes = [1] * size
    elif name.startswith("splitwithsizes"):
        sizes = [*operation._saved_split_sizes]
    else:
        each = int(operation._saved_split_size)
        sizes = [min(each, size - start) for start in range(0, size, each)]
    start = sum(sizes[:number])
    shape = (*labels.shape[:axis], sizes[number], *labels.shape[axis + 1 :])
    numbers = labels.numbers
    if numbers.shape[axis] > 1:
        if len({*sizes}) > 1:
            return None  # the sizes are fixed somewhere
        # Equal parts stay equal: what goes from one goes from all.
        parts = np.moveaxis(numbers, axis, 0).reshape(len(sizes), -1)
        tie(parts[:1], parts)
        numbers = np.take(numbers, range(start, start + sizes[number]), axis)
    if name.startswith("unbind"):
        shape = shape[:axis] + shape[axis + 1 :]
        numbers = numbers[(slice(None),) * axis + (0,)]
    return Labels(numbers, shape)


def _moved(
    operation: Any, name: str, shape: tuple[int, ...], labels: Labels, tie: Tie
) -> Labels | None:
    """What an operation makes that only moves elements; None if it is another."""
    rank = len(labels.shape)
    if name.startswith("permute"):
        order = [_axis(dim, rank) for dim in operation._saved_dims]
        return Labels(labels.numbers.transpose(order), shape)
    if name.startswith("transpose"):
        axes = _axis(operation._saved_dim0, rank), _axis(operation._saved_dim1, rank)
        return Labels(labels.numbers.swapaxes(*axes), shape)
    if name.startswith("tbackward"):
        return Labels(labels.numbers.T, shape)
    if name.startswith(("view", "unsafeview", "reshape", "squeeze", "unsqueeze")):
        return _reshaped(labels, shape, tie)
    if name.startswith("expand"):
        added = len(shape) - rank
        return Labels(labels.numbers.reshape((1,) * added + labels.numbers.shape), shape)
    if name.startswith("select"):
        axis = _axis(operation._saved_dim, rank)
        if labels.numbers.shape[axis] > 1:
            _keep(labels, tie)  # the place is fixed somewhere
            return Labels(np.take(labels.numbers, _signed(operation._saved_index), axis), shape)
        return Labels(labels.numbers.squeeze(axis), shape)
    if name.startswith("slice"):
        axis = _axis(operation._saved_dim, rank)
        whole = shape[axis] == labels.shape[axis]
        if labels.numbers.shape[axis] > 1 and not whole:
            return None  # where it begins and ends is fixed somewhere
        return Labels(labels.numbers, shape)
    return None


def _keep(labels: Labels, tie: Tie) -> None:
    tie(labels.numbers, np.full_like(labels.numbers, WHOLE))


def _reshaped(labels: Labels, shape: tuple[int, ...], tie: Tie) -> Labels | None:
    if math.prod(shape) != math.prod(labels.shape) or math.prod(shape) > MOST:
        return None
    numbers = labels.full().reshape(shape)
    if len(labels.shape) > 2 and len(shape) > len(labels.shape):
        # Channels in groups, as for a shuffle: the same places go from each.
        for axis in range(1, min(len(shape), len(labels.shape) + 1) - 1):
            outer, inner = shape[axis : axis + 2]
            split = outer > 1 and inner > 1 and outer * inner == labels.shape[axis]
            wide = labels.numbers.shape[axis] > 1
            if split and wide and shape[:axis] == labels.shape[:axis]:
                tie(np.take(numbers, [0], axis), numbers)
    return Labels(_compact(numbers), shape)


def _compact(numbers: Numbers) -> Numbers:
    """Without the axes along which the numbers are all the same."""
    for axis in range(numbers.ndim):
        first = np.take(numbers, [0], axis)
        if numbers.shape[axis] > 1 and (numbers == first).all():
            numbers = first
    return numbers


def _joined(
    operation: Any, is_stack: bool, shape: tuple[int, ...], labels: Sequence[Labels], tie: Tie
) -> Labels | None:
    axis = _axis(operation._saved_dim, len(shape))
    if is_stack:
        labels = [
            Labels(
                np.expand_dims(label.numbers, axis),
                (*label.shape[:axis], 1, *label.shape[axis:]),
            )
            for label in labels
        ]
    if sum(label.shape[axis] for label in labels) != shape[axis]:
        return None  # one of them is a constant
    forms = [
        np.broadcast_to(
            label.numbers,
            [
                label.shape[axis] if place == axis else max(sizes)
                for place, sizes in enumerate(
                    zip(*(other.numbers.shape for other in labels), strict=True)
                )
            ],
        )
        for label in labels
    ]
    if all(label.numbers.shape[axis] == 1 < label.numbers.size for label in labels):
        # Not along the channels: they have to stay the same in all of them.
        for form in forms[1:]:
            tie(forms[0].take([0], axis), form)
        return Labels(forms[0].take([0], axis), shape)
    return Labels(_compact(np.concatenate(forms, axis)), shape)


def _reduced(operation: Any, shape: tuple[int, ...], labels: Labels) -> Labels | None:
    rank = len(labels.shape)
    dims = operation._saved_dim
    axes = {_axis(dim, rank) for dim in (dims if isinstance(dims, tuple) else (dims,))}
    axes = axes or {*range(rank)}
    if any(labels.numbers.shape[axis] > 1 for axis in axes):
        return None  # over channels
    if len(shape) == rank:
        return Labels(labels.numbers, shape)
    return Labels(labels.numbers.squeeze(tuple(axes)), shape)


def _by_element(shape: tuple[int, ...], labels: Sequence[Labels], tie: Tie) -> Labels | None:
    """Each element of the output depends on those of the inputs that belong to the same
    channels."""
    forms: list[Numbers] = []
    for label in labels:
        added = len(shape) - len(label.shape)
        if added < 0:
            return None
        numbers = label.numbers.reshape((1,) * added + label.numbers.shape)
        if any(size not in (1, whole) for size, whole in zip(numbers.shape, shape, strict=True)):
            return None
        forms.append(numbers)
    wide = [numbers for numbers in forms if numbers.size > 1]
    if not wide:
        wide = forms[:1]
    # What has one channel is spread over all of the others, whatever their number.
    joint = np.broadcast_arrays(*wide)
    for other in joint[1:]:
        tie(joint[0], other)
    # All are tied by now, so any one says it; the smallest shows along which axes nothing differs.
    return Labels(min(wide, key=np.size), shape)


def _axis(dim: int, rank: int) -> int:
    return _signed(dim) % rank


def _signed(number: int) -> int:
    """A number as autograd saves it: negative ones as large numbers without a sign."""
    return int(number if number < 2**63 else number - 2**64)
