"""Sums, means and extremes along axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import ints, is_shape_value, shape_value, tensor

Reduce = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduce] = {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keep),
}


@operator(*REDUCTIONS, adapts=True)
def reduction(node: Node, x: Any, axes: Any = None, *, like: Tensor) -> Any:
    along = node.get("axes") if axes is None else ints(axes)
    keep = bool(node.get("keepdims", 1))
    if not along and node.get("noop_with_empty_axes", 0):
        return x
    if is_shape_value(x):
        if node.operator == "ReduceProd":  # the number of elements of a shape
            made = math.prod(ints(x))
            return shape_value([made] if keep else made)
        x = tensor(x, like)
    return REDUCTIONS[node.operator](x, tuple(along or range(x.dim())), keep)


@operator("ArgMax", "ArgMin")
def place_of_extreme(node: Node, x: Tensor) -> Tensor:
    find = torch.argmax if node.operator == "ArgMax" else torch.argmin
    return find(x, node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))
