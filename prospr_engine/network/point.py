"""Places in parameter space, and arithmetic on them: lists of tensors, one for each parameter."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from prospr_engine.network.device import float64_device

Point = list[Tensor]
"""A place in parameter space: one tensor for each of ``Network.names``."""

UNITS = 64
"""Of the last place: the error of a sum over a batch, whose order differs between machines."""

SIMILAR = 1e-3
"""The relative distance from the gradient in float64 up to which one in float32 vouches for the
products in that format. Rectifiers that rounding flips stay below in most networks; in deep ones on
few images they do not (a ResNet-50 on 8: 0.008, which costs 1.6 % of the kept weights after five
steps), and noise drawn in another format (dropout) is of the order of one."""


class Home(Protocol):
    """Where tensors lie, and in which number format."""

    device: torch.device
    dtype: torch.dtype


def add(a: Point, b: Point, scale: float) -> Point:
    """a + scale · b."""
    return [torch.add(x, y, alpha=scale) for x, y in zip(a, b, strict=True)]


def norm(point: Point) -> float:
    """Euclidean length, summed in float64."""
    norms: list[Tensor] = [
        torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in point
    ]
    return torch.stack(norms).norm().item()


def converted(point: Point, home: Home) -> Point:
    """The same place, on the device and in the number format of ``home``."""
    return [tensor.to(home.device, home.dtype) for tensor in point]


def similar(a: Point, b: Point) -> bool:
    """Whether a gradient differs from ``b`` by no more than ``SIMILAR`` of its length."""
    return norm(add(a, b, -1.0)) <= SIMILAR * norm(b)


def rounded_differently(point: Point, units: int = UNITS) -> Point:
    """Every value changed by at most ``units`` of its last place, at random but always the
    same."""
    generator = torch.Generator().manual_seed(0)
    changed = []
    for tensor in point:
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 2 - 1
        factor = 1 + units * torch.finfo(tensor.dtype).eps * noise
        exact = tensor.to(float64_device(tensor.device), torch.float64)
        changed.append((exact * factor.to(exact.device)).to(tensor.device, tensor.dtype))
    return changed
