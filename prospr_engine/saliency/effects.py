"""What each weight contributes to the loss, to first order."""

from __future__ import annotations

from torch import Tensor

from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point


def effects(network: Network, gradient: Point) -> dict[str, Tensor]:
    """w ⊙ gradient of the prunable weights, by name: to first order, what each contributes."""
    weights = dict(zip(network.names, network.start, strict=True))
    slopes = dict(zip(network.names, gradient, strict=True))
    return {name: weights[name] * slopes[name] for name in network.prunable}


def unranked_effects(network: Network, gradient: Point) -> dict[str, Tensor]:
    """The same of biases and of the scales and shifts of normalisations, which are not ranked."""
    return {
        name: value * slope
        for name, value, slope in zip(network.names, network.start, gradient, strict=True)
        if value.dim() == 1 and name not in network.prunable
    }
