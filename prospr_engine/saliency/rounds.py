"""Pruning in rounds: score, remove a few, score what is left, until the sparsity is reached.

Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
NeurIPS 2020, https://arxiv.org/abs/2006.05467, section 6, and de Jorge et al., Progressive
Skeletonization, ICLR 2021, https://arxiv.org/abs/2006.09081, section 4, both with the density
falling exponentially: after round t of T it is d^(t/T).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point
from prospr_engine.pruning.budget import budget, kept_count
from prospr_engine.pruning.masks import chosen_among_equals, top_masks
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.diagnostics import NOTHING
from prospr_engine.saliency.effects import effects

Rank = Callable[[int, Point], dict[str, Tensor]]
"""Signed scores by name, given the round (from 0) and the parameters, with removed weights at
zero."""


def by_gradient(network: Network, batches: list[Batch]) -> Rank:
    """Ranks by w ⊙ ∂L/∂w, the gradient at the pruned network and the weights of the dense one;
    batch t serves round t."""

    def rank(i: int, point: Point) -> dict[str, Tensor]:
        _, gradient = network.gradient(point, batches[i % len(batches)], i)
        return effects(network, gradient)

    return rank


def prune_in_rounds(
    network: Network,
    on_step: OnStep,
    rank: Rank,
    *,
    rounds: int,
    sparsity: float,
    layer_floor: int,
    count: Callable[[float], int],
    returning: bool = False,
) -> Saliency:
    """The scores of the last round; the highest are kept.

    ``rank`` scores the network once a round; weights with the largest absolute scores stay.
    Unless weights may come back (``returning``), those that an earlier round removed score 0 and
    those that were still there at least the smallest normal number, so that cutting at
    ``sparsity`` and ``layer_floor`` gives the masks of the last round. ``count`` makes a whole
    number of the weights that a round before the last keeps, as the published code does: one
    more or less in an early round can change half of the last mask. Raises ``ConfigError`` if
    sparsity and floor do not fit.

    Where weights may come back, those of an empty channel, which all score zero, come back by
    their position, and what they do then decides the next round; under a batch norm, rounding
    errors blown up take the place of zeros. So it is counted how many do.
    """
    weights = dict(zip(network.names, network.start, strict=True))
    sizes = [weights[name].numel() for name in network.prunable]
    budget(sizes, sparsity, layer_floor)
    masks = {name: torch.ones_like(weights[name], dtype=torch.bool) for name in network.prunable}
    goals = schedule(sum(sizes), sparsity, rounds, count)
    last = whole = None
    chance = 0.0
    for i, goal in enumerate(goals):
        on_step(i, len(goals), f"Round {i + 1} of {len(goals)}")
        point = _masked(network, masks)
        signed = rank(i, point)
        if not returning:
            signed = {name: effect * masks[name] for name, effect in signed.items()}
        found = Saliency.of(signed)
        whole = whole or found.values
        if not _finite(found.values):
            return dataclasses.replace(found, whole=whole)
        if not _any(found.values):
            # All scores are zero; the round before still ranked.
            return dataclasses.replace(last, whole=whole, doubt=_ended(i + 1)) if last else found
        if not returning:
            found = dataclasses.replace(found, values=_above_zero(found.values, masks, network))
        masks = top_masks(found.values, goal, layer_floor)
        if returning:
            chance = max(chance, _by_chance(found.values, masks, network))
        last = found
    assert last is not None  # there is at least one round
    return dataclasses.replace(last, whole=whole, by_chance=chance)


def schedule(
    total: int, sparsity: float, rounds: int, count: Callable[[float], int]
) -> list[float]:
    """The sparsity to prune ``total`` weights to in each round; the last is ``sparsity`` itself."""
    if not sparsity:  # All rounds would be the first.
        return [sparsity]
    last = kept_count(total, sparsity)
    kept = [max(last, count(total * (1 - sparsity) ** (i / rounds))) for i in range(1, rounds)]
    # Half a weight less, so that rounding up gives exactly this number.
    return [1 - (number - 0.5) / total for number in kept] + [sparsity]


def _masked(network: Network, masks: Mapping[str, Tensor]) -> Point:
    """The network's parameters with the removed weights at zero."""
    return [
        tensor * masks[name] if name in masks else tensor
        for name, tensor in zip(network.names, network.start, strict=True)
    ]


def _above_zero(
    scores: Mapping[str, Tensor], masks: Mapping[str, Tensor], network: Network
) -> dict[str, Tensor]:
    """What is still there scores more than nothing: more than what is not, in the format that the
    scores will have."""
    least = torch.finfo(network.score_dtype).tiny
    return {
        name: score.clamp(min=least).masked_fill(~masks[name], 0) for name, score in scores.items()
    }


def _ended(number: int) -> str:
    return (
        f"From round {number} on, no remaining weight had any effect, so the scores of the round "
        "before decide the rest; choose a lower sparsity, or set a minimum of weights per layer."
    )


def _by_chance(
    scores: Mapping[str, Tensor], masks: Mapping[str, Tensor], network: Network
) -> float:
    """The share of the kept weights that were chosen among equals."""
    nothing = NOTHING if network.dtype == torch.float64 else 0.0
    kept = sum(int(mask.sum()) for mask in masks.values())
    return chosen_among_equals(scores, masks, nothing) / kept


def _finite(scores: Mapping[str, Tensor]) -> bool:
    return all(bool(score.isfinite().all()) for score in scores.values())


def _any(scores: Mapping[str, Tensor]) -> bool:
    return any(bool(score.any()) for score in scores.values())
