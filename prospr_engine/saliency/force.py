"""FORCE: SNIP in rounds, in which removed weights may return."""

from __future__ import annotations

import math

from torch import Tensor

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.effects import effects
from prospr_engine.saliency.rounds import prune_in_rounds


def force(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    rounds: int,
    sparsity: float,
    layer_floor: int,
) -> Saliency:
    """|w ⊙ ∂L/∂w| with the gradient of the pruned network and the weights of the dense one, so a
    removed weight may return. Batch t serves round t, in train mode."""

    def rank(i: int, point: Point) -> dict[str, Tensor]:
        _, gradient = network.gradient(point, batches[i % len(batches)], i)
        return effects(network, gradient)

    return prune_in_rounds(
        network,
        on_step,
        rank,
        rounds=rounds,
        sparsity=sparsity,
        layer_floor=layer_floor,
        count=math.floor,
        returning=True,
    )
