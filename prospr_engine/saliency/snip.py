"""SNIP: how much the loss would change, to first order, if a weight were removed."""

from __future__ import annotations

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.effects import effects, unranked_effects


def snip(network: Network, batches: list[Batch], on_step: OnStep) -> Saliency:
    """|w ⊙ ∂L/∂w| on the first batch, in train mode: ProsPr without look-ahead.

    The published code divides by the sum of all scores, which does not change the ranking. It also
    ranks biases and keeps batch norm in eval mode; here, as in later code, only weights are ranked.
    """
    on_step(0, 1, "Gradient of the loss")
    _, gradient = network.gradient(network.start, batches[0], 0)
    return Saliency.of(effects(network, gradient), unranked_effects(network, gradient))
