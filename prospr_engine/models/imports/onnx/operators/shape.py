"""Shapes: what reads one, and what gives a tensor another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import FLOATS, Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import (
    ints,
    is_shape_value,
    shape_value,
    single,
    tensor,
)

BOOL = 9


@operator("Identity")
def identity(node: Node, x: Any) -> Any:
    return x


@operator("Shape")
def shape(node: Node, x: Any) -> Any:
    return shape_value([*x.shape][node.get("start", 0) : node.get("end")])


@operator("Size")
def size(node: Node, x: Any) -> Any:
    return shape_value(math.prod(x.shape))


@operator("Reshape")
def reshape(node: Node, x: Any, target: Any = None) -> Any:
    sizes = node.get("shape") if target is None else ints(target)
    if is_shape_value(x):
        return x.reshape(sizes)
    if node.get("place") is not None:  # of the batch, whose size the file fixes
        sizes[node.get("place")] = -1
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if _is(size, 0) else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _is(size: Any, number: int) -> bool:
    """Whether ``size`` is this very number; symbolic ones are none."""
    return isinstance(size, int) and size == number


@operator("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    if axis == 1:
        return x.flatten(1)
    return x.reshape(1, -1) if axis == 0 else x.reshape(math.prod(x.shape[:axis]), -1)


@operator("Transpose")
def transpose(node: Node, x: Any) -> Any:
    if is_shape_value(x):
        return x.transpose(node.get("perm"))
    return x.permute(node.get("perm", [*range(x.dim())][::-1]))


@operator("Squeeze")
def squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    along = node.get("axes") if axes is None else ints(axes)
    if is_shape_value(x):
        return np.asarray(x.squeeze(None if along is None else tuple(along)), object)
    if along is None:
        raise ModelError(
            f"{node} does not say which axes it removes; simplify the file, or name "
            "the axes before you export it."
        )
    return x.squeeze(tuple(along))


@operator("Unsqueeze")
def unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    along = node.get("axes") if axes is None else ints(axes)
    if not isinstance(x, Tensor):
        return np.expand_dims(shape_value(x), tuple(along))
    rank = x.dim() + len(along)
    for axis in sorted(axis % rank for axis in along):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def concat(node: Node, *inputs: Any) -> Any:
    axis = node.get("axis")
    like = next((value for value in inputs if isinstance(value, Tensor)), None)
    if like is None:
        return np.concatenate([shape_value(value) for value in inputs], axis)
    parts = [tensor(value, like) for value in inputs]
    # Parts that are the same for every image (see ``batch``).
    for index, axes in node.get("spread", {}).items():
        other = next(part for i, part in enumerate(parts) if i not in node.get("spread"))
        sizes = [other.shape[a] if a in axes else -1 for a in range(other.dim())]
        parts[index] = parts[index].expand(sizes)
    return torch.cat(parts, axis)


@operator("Split")
def split(node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.get("axis", 0)
    lengths = node.get("split") if sizes is None else ints(sizes)
    if lengths is None:
        count = node.get("num_outputs", len(node.outputs))
        each = -(-x.shape[axis] // count)
        lengths = [each] * (count - 1)
        lengths.append(x.shape[axis] - each * (count - 1))
    if is_shape_value(x):
        return tuple(np.split(x, np.cumsum(lengths[:-1]).astype(int), axis))
    return tuple(torch.split(x, lengths, axis))


@operator("Expand")
def expand(node: Node, x: Any, target: Any) -> Any:
    sizes = ints(target)
    if not isinstance(x, Tensor):
        return np.broadcast_to(shape_value(x), sizes)
    rank = max(len(sizes), x.dim())
    sizes = [1] * (rank - len(sizes)) + sizes
    own = [1] * (rank - x.dim()) + [*x.shape]
    # A size of 1 in the target leaves the tensor's own.
    wanted = [mine if _is(size, 1) else size for size, mine in zip(sizes, own, strict=True)]
    return x.expand(wanted)


@operator("Tile")
def tile(node: Node, x: Any, repeats: Any) -> Any:
    return np.tile(x, ints(repeats)) if is_shape_value(x) else x.repeat(ints(repeats))


@operator("ConstantOfShape", adapts=True)
def constant_of_shape(node: Node, target: Any, *, like: Tensor) -> Any:
    value = node.get("value")
    number = 0.0 if value is None else value.values.reshape(-1)[0].item()
    sizes = ints(target)
    if not isinstance(number, float) and len(sizes) == 1 and isinstance(sizes[0], int):
        return shape_value([number] * sizes[0])
    if isinstance(number, float):
        return like.new_full(sizes, number)
    return torch.full(sizes, number, device=like.device)


@operator("Cast", adapts=True)
def cast(node: Node, x: Any, *, like: Tensor) -> Any:
    """Real numbers keep the format that the network has, whatever the file's."""
    to = node.get("to")
    if isinstance(x, Tensor):
        if to in FLOATS:
            return x if x.is_floating_point() else x.to(like.dtype)
        return x.bool() if to == BOOL else x.long()
    value = shape_value(x)
    made = np.empty(value.shape, object)
    convert = torch.sym_float if to in FLOATS else bool if to == BOOL else _whole
    made.reshape(-1)[:] = [convert(each) for each in value.reshape(-1)]
    return made


def _whole(number: Any) -> Any:
    return torch.sym_int(number) if isinstance(number, float | torch.SymFloat) else number


@operator("CastLike", adapts=True)
def cast_like(node: Node, x: Any, y: Any, *, like: Tensor) -> Any:
    real = y.is_floating_point() if isinstance(y, Tensor) else isinstance(single(y), float)
    return cast(node.with_attributes(to=FLOATS[0] if real else 7), x, like=like)


@operator("Range", adapts=True)
def range_of(node: Node, start: Any, stop: Any, step: Any, *, like: Tensor) -> Any:
    bounds = [single(value) for value in (start, stop, step)]
    if all(isinstance(bound, int) for bound in bounds):
        return shape_value([*range(*bounds)])
    return torch.arange(*bounds, dtype=like.dtype, device=like.device)


@operator("Pad")
def pad(node: Node, x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    amounts = node.get("pads") if pads is None else ints(pads)
    mode, half = node.get("mode", "constant"), len(amounts) // 2
    along = [*range(half)] if axes is None else [axis % x.dim() for axis in ints(axes)]
    wanted = {axis: (amounts[i], amounts[i + half]) for i, axis in enumerate(along)}
    sides = [wanted.get(axis, (0, 0)) for axis in range(x.dim())]
    while sides and not any(_is_padded(side) for side in sides[:1]):
        sides.pop(0)  # PyTorch counts from the last axis
    if not sides:
        return x
    flat = [n for side in reversed(sides) for n in side]
    if mode == "constant":
        filling = node.get("value", 0.0) if value is None else float(single(value))
        return F.pad(x, flat, value=filling)
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if mode not in names:
        raise ModelError(f"{node} has mode {mode!r}; constant, reflect, edge and wrap are read.")
    if len(sides) == x.dim() - 1:  # of (N, C, …) PyTorch pads … only; channels as one axis more
        return F.pad(x.unsqueeze(1), flat, mode=names[mode]).squeeze(1)
    return F.pad(x, flat, mode=names[mode])


def _is_padded(side: tuple[Any, Any]) -> bool:
    return not (_is(side[0], 0) and _is(side[1], 0))
