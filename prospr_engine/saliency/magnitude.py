"""Magnitude: the absolute value of each weight."""

from __future__ import annotations

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency


def magnitude(network: Network, batches: list[Batch], on_step: OnStep) -> Saliency:
    """|w|, the same before and after scaling the data; needs no batch."""
    weights = dict(zip(network.names, network.start, strict=True))
    values = {name: weights[name].abs() for name in network.prunable}
    return Saliency(values=values, signed=values)
