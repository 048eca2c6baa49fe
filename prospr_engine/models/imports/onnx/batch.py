"""Frees the batch size where a file fixes it.

Every step runs in two worlds: in the first with the file's batch size, in the second with another.
The axis along which a tensor's shapes differ is the one that holds the batch. A constant that is
right in the first world only is rewritten before the step runs in the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def free_reshape(target: Any, shapes: Shapes) -> Any:
    """The ``target`` of a Reshape that is right for every batch size.

    The elements of one image lie together, after ``before`` of those that axes in front of the
    batch count; so the batch goes into the first axis of the target with as many in front of it.
    Sizes that stay as they are become 0, which copies them: then channels can be removed later.
    """
    axis, sizes = batch_axis(shapes), shapes[0]
    if axis is None:
        return target
    wanted = _resolved(ints(target), sizes)
    before = math.prod(sizes[:axis])
    places = [i for i in range(len(wanted)) if math.prod(wanted[:i]) == before]
    if not places or math.prod(wanted) != math.prod(sizes):
        return target
    place, free = places[0], [*wanted]
    same = 0
    while same < min(len(wanted), len(sizes)) and wanted[same] == sizes[same]:
        free[same] = 0
        same += 1
    if place == axis and same > axis:  # the batch is copied
        if same == len(wanted) - 1:
            free[-1] = -1
    else:
        free[place] = -1
    return shape_value(free)


def _resolved(target: Sequence[int], sizes: Shape) -> list[int]:
    found = [sizes[i] if size == 0 else size for i, size in enumerate(target)]
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
