"""Iterative SNIP: SNIP in rounds, each on what the last one left."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.overrides import Override
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.rounds import by_gradient, prune_in_rounds


def iterative_snip(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    rounds: int,
    sparsity: float,
    layer_floor: int,
    layers: Mapping[str, Override] | None = None,
) -> Saliency:
    """|w ⊙ ∂L/∂w| of the weights still there, the others at zero and never to return. Batch t
    serves round t, in train mode. Of weights with the same score, position decides which leave;
    the published code keeps them all."""
    return prune_in_rounds(
        network,
        on_step,
        by_gradient(network, batches),
        rounds=rounds,
        sparsity=sparsity,
        layer_floor=layer_floor,
        layers=layers,
        count=math.floor,
    )
