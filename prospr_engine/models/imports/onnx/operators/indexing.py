"""Parts of tensors, and their rearrangement."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import ints, is_shape_value, shape_value, tensor

FAR = 2**31 - 1
"""From here on, an end of a slice means the end of the axis."""


@operator("Slice", since=10)
def slice_of(
    node: Node, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None
) -> Any:
    first, last = ints(starts), ints(ends)
    along = [*range(len(first))] if axes is None else ints(axes)
    by = [1] * len(first) if steps is None else ints(steps)
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        x = _sliced(x, start, end, axis % len(x.shape), step)
    return x


@operator("Slice")
def slice_by_attributes(node: Node, x: Any) -> Any:
    return slice_of(node, x, node.get("starts"), node.get("ends"), node.get("axes"))


def _sliced(x: Any, start: Any, end: Any, axis: int, step: int) -> Any:
    open_end = isinstance(end, int) and (end >= FAR or (step < 0 and end <= -FAR))
    cut = slice(start, None if open_end else end, step)
    where = (slice(None),) * axis
    if is_shape_value(x):
        return x[(*where, cut)]
    if step > 0:
        return x[(*where, cut)]
    if step == 0:
        raise ModelError("A Slice has step 0; export the model again.")
    # PyTorch steps forwards only: the same places, in ascending order, turned round.
    places = range(x.shape[axis])[cut]
    if not places:
        return x.narrow(axis, 0, 0)
    forwards = x[(*where, slice(places[-1], places[0] + 1, -step))]
    return forwards.flip(axis)


@operator("Gather")
def gather(node: Node, x: Any, indices: Any) -> Any:
    axis = node.get("axis", 0)
    if not isinstance(x, Tensor):
        numbers = indices.tolist() if isinstance(indices, Tensor) else indices
        return np.asarray(shape_value(x).take(np.asarray(numbers, int), axis), object)
    if not isinstance(indices, Tensor) and np.ndim(indices) == 0:
        return x.select(axis, ints(indices)[0])
    places = tensor(indices, x).long()
    axis %= x.dim()
    length = x.shape[axis]
    places = torch.where(places < 0, places + length, places)
    taken = x.index_select(axis, places.reshape(-1))
    return taken.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


@operator("GatherElements")
def gather_elements(node: Node, x: Tensor, indices: Any) -> Tensor:
    axis = node.get("axis", 0)
    places = tensor(indices, x).long()
    return torch.gather(x, axis, torch.where(places < 0, places + x.shape[axis], places))


@operator("GatherND")
def gather_nd(node: Node, x: Tensor, indices: Any) -> Tensor:
    if node.get("batch_dims", 0):
        raise ModelError(f"{node} has batch_dims, which are not supported.")
    places = tensor(indices, x).long()
    return x[tuple(places.unbind(-1))]


@operator("ScatterND")
def scatter_nd(node: Node, x: Any, indices: Any, updates: Any) -> Tensor:
    if node.get("reduction", "none") != "none":
        raise ModelError(f"{node} combines values, which is not supported.")
    x = tensor(x)
    places = tensor(indices, x).long()
    return x.index_put(tuple(places.unbind(-1)), tensor(updates, x).to(x.dtype))


@operator("ScatterElements")
def scatter_elements(node: Node, x: Any, indices: Any, updates: Any) -> Tensor:
    if node.get("reduction", "none") != "none":
        raise ModelError(f"{node} combines values, which is not supported.")
    x = tensor(x)
    places, values = tensor(indices, x).long(), tensor(updates, x).to(x.dtype)
    return x.scatter(node.get("axis", 0), places, values)


@operator("Trilu")
def triangle(node: Node, x: Tensor, diagonal: Any = None) -> Tensor:
    k = 0 if diagonal is None else int(ints(diagonal)[0])
    return torch.triu(x, k) if node.get("upper", 1) else torch.tril(x, k)


@operator("OneHot", settings=(2,))
def one_hot(node: Node, indices: Any, depth: Any, values: Any) -> Tensor:
    off, on = ints(values)
    marks = F.one_hot(tensor(indices).long(), int(ints(depth)[0])).movedim(-1, node.get("axis", -1))
    return marks * (on - off) + off


@operator("DepthToSpace")
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    count, channels, height, width = x.shape
    inner = channels // block**2
    parts = x.reshape(count, block, block, inner, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(count, inner, height * block, width * block)


@operator("SpaceToDepth")
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node.get("blocksize")
    count, channels, height, width = x.shape
    parts = x.reshape(count, channels, height // block, block, width // block, block)
    parts = parts.permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(count, channels * block**2, height // block, width // block)
