"""Changing the size of an image."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import ints, tensor

COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "half_pixel_symmetric",
    "tf_half_pixel_for_nn",
)


@operator("Resize", since=11, settings=(1, 2))
def resize(
    node: Node, x: Tensor, region: Any = None, scales: Any = None, sizes: Any = None
) -> Tensor:
    coordinates = node.get("coordinate_transformation_mode", "half_pixel")
    if coordinates not in COORDINATES:
        raise ModelError(
            f"{node} finds places by {coordinates!r}; {', '.join(COORDINATES)} are read."
        )
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ModelError(f"{node} keeps the aspect ratio, which is not supported.")
    along = [axis % x.dim() for axis in node.get("axes", range(x.dim()))]
    given = [] if scales is None else _numbers(scales)
    wanted = [] if given or sizes is None else ints(sizes)
    if not given and not wanted:
        raise ModelError(f"{node} does not say which size it makes.")
    plans = {}
    for place, axis in enumerate(along):
        before = x.shape[axis]
        after = wanted[place] if wanted else math.floor(before * given[place])
        if axis != 0 and not (_same(before, after)):
            plans[axis] = (after, given[place] if given else after / before)
    mode = node.get("mode", "nearest")
    if node.get("antialias", 0) or mode == "cubic":
        return _by_torch(node, x, plans, coordinates)
    for axis, (after, scale) in plans.items():
        x = _along(node, x, axis, after, scale, coordinates)
    return x


@operator("Resize", since=10, settings=(1,))
def resize_by_scales(node: Node, x: Tensor, scales: Any) -> Tensor:
    old = node.with_attributes(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return resize(old, x, None, scales)


@operator("Upsample", since=9, settings=(1,))
def upsample(node: Node, x: Tensor, scales: Any) -> Tensor:
    return resize_by_scales(node, x, scales)


@operator("Upsample")
def upsample_by_attribute(node: Node, x: Tensor) -> Tensor:
    return resize_by_scales(node, x, node.get("scales"))


def _numbers(scales: Any) -> list[float]:
    return [float(n) for n in (scales.tolist() if isinstance(scales, Tensor) else ints(scales))]


def _same(before: Any, after: Any) -> bool:
    return bool(before == after)


def _along(node: Node, x: Tensor, axis: int, after: int, scale: float, coordinates: str) -> Tensor:
    """One axis at a time: for each place of the result, where it lies in ``x``."""
    before = x.shape[axis]
    # In double precision: rounding decides which neighbour is the nearest.
    place = torch.arange(after, device=x.device, dtype=torch.float64)
    if coordinates == "align_corners":
        place = place * ((before - 1) / (after - 1)) if after > 1 else place * 0
    elif coordinates == "asymmetric":
        place = place / scale
    elif coordinates == "tf_half_pixel_for_nn":
        place = (place + 0.5) / scale
    elif coordinates == "pytorch_half_pixel" and after == 1:
        place = place * 0
    else:
        place = (place + 0.5) / scale - 0.5
        if coordinates == "half_pixel_symmetric":
            whole = before * scale
            place = place + before / 2 * (1 - after / whole)
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        nearest = _rounded(node, place).clamp(0, before - 1).long()
        return x.index_select(axis, nearest)
    if mode != "linear":
        raise ModelError(f"{node} has mode {mode!r}; nearest, linear and cubic are read.")
    place = place.clamp(0, before - 1)
    low = place.floor()
    high = (low + 1).clamp(max=before - 1)
    share = (place - low).to(x.dtype).reshape([-1 if a == axis else 1 for a in range(x.dim())])
    left, right = (x.index_select(axis, index.long()) for index in (low, high))
    return left * (1 - share) + right * share


def _rounded(node: Node, place: Tensor) -> Tensor:
    mode = node.get("nearest_mode", "round_prefer_floor")
    if mode == "floor":
        return place.floor()
    if mode == "ceil":
        return place.ceil()
    if mode == "round_prefer_ceil":
        return (place + 0.5).floor()
    return (place - 0.5).ceil()


def _by_torch(
    node: Node, x: Tensor, plans: dict[int, tuple[int, float]], coordinates: str
) -> Tensor:
    aligned = coordinates == "align_corners"
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.get("mode", "nearest"))
    usual = coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners")
    own = node.get("cubic_coeff_a", -0.75) == -0.75 and not node.get("exclude_outside", 0)
    antialias = bool(node.get("antialias", 0))
    if mode is None or not usual or x.dim() != 4 or 1 in plans or not (own or antialias):
        raise ModelError(
            f"{node} resizes in a way that PyTorch cannot (mode {node.get('mode')!r}, "
            f"{coordinates!r}); export it with linear or nearest interpolation."
        )
    sizes = [plans[axis][0] if axis in plans else x.shape[axis] for axis in (2, 3)]
    return F.interpolate(x, sizes, mode=mode, align_corners=aligned, antialias=antialias)


@operator("GridSample")
def grid_sample(node: Node, x: Tensor, grid: Any) -> Tensor:
    mode = node.get("mode", "linear")
    return F.grid_sample(
        x,
        tensor(grid, x),
        {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode),
        node.get("padding_mode", "zeros"),
        bool(node.get("align_corners", 0)),
    )
