"""Arithmetic on places in parameter space: lists of tensors, one for each parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from prospr_engine.network.functional import Network, Point


def add(a: Point, b: Point, scale: float) -> Point:
    """a + scale · b."""
    return [torch.add(x, y, alpha=scale) for x, y in zip(a, b, strict=True)]


def norm(point: Point) -> float:
    """Euclidean length, summed in float64."""
    norms: list[Tensor] = [
        torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in point
    ]
    return torch.stack(norms).norm().item()


def rounded_differently(point: Point, units: int = 1) -> Point:
    """Every value changed by at most ``units`` of its last place, at random but always the
    same."""
    generator = torch.Generator().manual_seed(0)
    changed = []
    for tensor in point:
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 2 - 1
        factor = 1 + units * torch.finfo(tensor.dtype).eps * noise
        changed.append((tensor.double() * factor.to(tensor.device)).to(tensor.dtype))
    return changed


def effects(network: Network, gradient: Point) -> dict[str, Tensor]:
    """w ⊙ gradient of the prunable weights, by name: to first order, what each contributes."""
    weights = dict(zip(network.names, network.start, strict=True))
    slopes = dict(zip(network.names, gradient, strict=True))
    return {name: weights[name] * slopes[name] for name in network.prunable}
