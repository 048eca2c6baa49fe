"""Frees the batch size where a file fixes it.

Every step runs in two worlds: in the first with the file's batch size, in the second with another.
The axis along which a tensor's shapes differ is the one that holds the batch. A constant that is
right in the first world only is rewritten before the step runs in the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.shape_values import ints, shape_value

Shape = tuple[int, ...]
Shapes = tuple[Shape, Shape]
"""Of one tensor, in both worlds."""


def batch_axis(shapes: Shapes) -> int | None:
    """The axis that holds the batch, None if none or several do."""
    first, second = shapes
    if len(first) != len(second):
        return None
    axes = [axis for axis in range(len(first)) if first[axis] != second[axis]]
    return axes[0] if len(axes) == 1 else None


def batch_size(shapes: Shapes) -> int | None:
    """The size of that axis in the first world."""
    axis = batch_axis(shapes)
    return None if axis is None else shapes[0][axis]


def place_in(
    target: Sequence[int], shapes: Shapes, outer: int, batches: tuple[int, int], fixed: bool
) -> int | None:
    """The axis of a Reshape's ``target`` that holds the batch of its input, of ``shapes``; None if
    none can.

    ``outer`` says how many times the batch lies in its axis: transformers turn (length, batch,
    features) into (length · batch, features), where it is the length. With ``before`` counting all
    that lies in front of the batch, the axes of the target are found that can take it. Where
    several can, the one is taken that is as large as the batch, and hardly ever the last one, which
    holds features. A file that is not ``fixed`` marks the place itself, by -1 or 0.
    """
    axis, sizes = batch_axis(shapes), shapes[0]
    if axis is None:
        return None
    wanted = resolved(target, sizes)
    before = math.prod(sizes[:axis]) * outer
    found = list(_candidates(wanted, before, batches[0]))
    if not fixed and (-1 in target or 0 in target):
        marked = [(i, times) for i, times in found if target[i] in (-1, 0)]
        found = marked or found
    if not found or math.prod(wanted) != math.prod(sizes):
        return None

    def preference(candidate: tuple[int, int]) -> tuple[bool, bool, bool]:
        place, times = candidate
        exact = wanted[place] == batches[0] and times == 1
        return not exact, place == len(wanted) - 1, times != 1

    return min(found, key=preference)[0]


def free_target(target: Sequence[int], shapes: Shapes, place: int, outer: int) -> Any:
    """The ``target`` of a Reshape that is right for every batch size, which goes to ``place``.

    Sizes that stay as they are become 0, which copies them: then channels can be removed later.
    """
    axis, sizes = batch_axis(shapes), shapes[0]
    assert axis is not None
    wanted = resolved(target, sizes)
    free = [*wanted]
    for i, (size, old) in enumerate(zip(wanted, sizes, strict=False)):
        if size != old or (i == axis) != (i == place) or (i == axis and outer != 1):
            break
        free[i] = 0
    if free[place] != 0:
        free[place] = -1
    elif free.count(0) == len(free) - 1:
        free[-1] = -1
    return shape_value(free)


def outer_after(made: Shapes, shapes: Shapes, outer: int) -> int:
    """How many times the batch lies in its axis after a Reshape from ``shapes`` to ``made``."""
    old, new = batch_axis(shapes), batch_axis(made)
    if old is None or new is None:
        return 1
    return math.prod(shapes[0][:old]) * outer // max(1, math.prod(made[0][:new]))


def _candidates(wanted: Sequence[int], before: int, batch: int) -> Iterator[tuple[int, int]]:
    """The axes of a target that can take the batch, and how many times it lies in each."""
    in_front = 1
    for place, size in enumerate(wanted):
        times, rest = divmod(before, in_front)
        if rest == 0 and times and size % (times * batch) == 0:
            yield place, times
        in_front *= size


def resolved(target: Sequence[int], sizes: Shape) -> list[int]:
    found = [sizes[i] if size == 0 else int(size) for i, size in enumerate(target)]
    if -1 in found:
        rest = math.prod(size for size in found if size != -1)
        found[found.index(-1)] = math.prod(sizes) // max(1, rest)
    return found


def free_expand(target: Any, shapes: Shapes, batch: int) -> Any:
    """The ``target`` of an Expand that is right for every batch size: what the tensor has already
    stays, and a tensor that is the same for every image is not repeated."""
    sizes, wanted = shapes[0], ints(target)
    free = [*wanted]
    for back in range(1, min(len(sizes), len(wanted)) + 1):
        if sizes[-back] == wanted[-back]:
            free[-back] = 1
    shared = batch_axis(shapes) is None and (len(sizes) < len(wanted) or sizes[0] == 1)
    if shared and wanted[0] == batch:
        free[0] = 1
    return shape_value(free)


def free_concat(node: Node, shapes: Sequence[Shapes | None]) -> Node:
    """``node``, a Concat, with a note on which parts are to be spread over the batch: those that
    are the same for every image, such as the class token of a transformer."""
    if any(each is None for each in shapes):
        return node
    sizes = [each[1] for each in shapes if each is not None]
    if len({len(size) for size in sizes}) > 1:
        return node
    along = node.get("axis") % len(sizes[0])
    largest = [max(size[axis] for size in sizes) for axis in range(len(sizes[0]))]
    spread = {}
    for index, size in enumerate(sizes):
        axes = [
            axis
            for axis in range(len(size))
            if axis != along and size[axis] == 1 and largest[axis] > 1
        ]
        if axes:
            spread[index] = axes
    return node.with_attributes(spread=spread) if 0 < len(spread) < len(sizes) else node


def free_squeeze(node: Node, shapes: Shapes) -> Node:
    """``node``, a Squeeze without axes, with those of size 1; never that of the batch."""
    first, second = shapes
    axes = [i for i, pair in enumerate(zip(first, second, strict=True)) if pair == (1, 1)]
    return node.with_attributes(axes=axes)
