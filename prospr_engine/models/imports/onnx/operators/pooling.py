"""Poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.operators.windows import Windows, padded
from prospr_engine.models.imports.onnx.registry import operator

MAX = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVERAGE = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


@operator("MaxPool")
def max_pool(node: Node, x: Tensor) -> Tensor:
    windows, low, high = _placed(node, x)
    if node.get("storage_order", 0) or len([name for name in node.outputs if name]) > 1:
        raise ModelError(f"{node} also gives the places of the maxima, which are not supported.")
    even = low == high and all(n <= k // 2 for n, k in zip(low, windows.kernel, strict=True))
    if not even:
        x, low = padded(x, low, high, -math.inf), [0] * len(low)
    pool: Any = MAX[len(low) - 1]
    pooled: Tensor = pool(x, windows.kernel, windows.strides, low, windows.dilations)
    return pooled


@operator("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    windows, low, high = _placed(node, x)
    pool: Any = AVERAGE[len(low) - 1]
    if any(d != 1 for d in windows.dilations):
        raise ModelError(f"{node} has dilations, which are not supported for an average.")
    own = windows.borders(x.shape[2:])
    even = (low, high) == own and low == high
    even = even and all(n <= k // 2 for n, k in zip(low, windows.kernel, strict=True))
    whole = bool(node.get("count_include_pad", 0))
    if even:
        pooled: Tensor = pool(x, windows.kernel, windows.strides, low, count_include_pad=whole)
        return pooled
    total = pool(padded(x, low, high), windows.kernel, windows.strides)
    # Of each window the share that counts; what only rounds the size up never does.
    ones = x.new_ones(1, 1, *x.shape[2:])
    if whole:
        ones = padded(ones, *own, 1.0)
        low = [n - m for n, m in zip(low, own[0], strict=True)]
        high = [n - m for n, m in zip(high, own[1], strict=True)]
    share: Tensor = pool(padded(ones, low, high), windows.kernel, windows.strides)
    return total / share


def _placed(node: Node, x: Tensor) -> tuple[Windows, list[int], list[int]]:
    """The windows, and borders so wide that no part of one is left over: rounding the number of
    windows up is the same as a wider border behind."""
    kernel = node.get("kernel_shape")
    if not 1 <= len(kernel) <= 3 or x.dim() != len(kernel) + 2:
        raise ModelError(f"{node} has a window of {len(kernel)} axes on {x.dim()} axes.")
    windows = Windows.of(node, kernel)
    low, high = windows.borders(x.shape[2:])
    if node.get("ceil_mode", 0):
        high = [*_rounded_up(windows, x.shape[2:], low, high)]
    return windows, low, high


def _rounded_up(
    windows: Windows, sizes: Sequence[int], low: Sequence[int], high: Sequence[int]
) -> Sequence[int]:
    wider = []
    for axis, size in enumerate(sizes):
        span = (windows.kernel[axis] - 1) * windows.dilations[axis] + 1
        stride = windows.strides[axis]
        room = size + low[axis] + high[axis] - span
        count = -(-room // stride) + 1
        if (count - 1) * stride >= size + low[axis]:
            count -= 1  # a window has to begin inside the image or the border before it
        wider.append(
            high[axis] + max(0, (count - 1) * stride + span - size - low[axis] - high[axis])
        )
    return wider


@operator("GlobalAveragePool")
def global_average_pool(node: Node, x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(node: Node, x: Tensor) -> Tensor:
    return x.amax(tuple(range(2, x.dim())), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    p = node.get("p", 2)
    powers: Tensor = x.abs().pow(p).sum(tuple(range(2, x.dim())), keepdim=True)
    return torch.pow(powers, 1 / p)
