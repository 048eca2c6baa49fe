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

from prospr_engine.format import counted, percent
from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point
from prospr_engine.pruning.budget import budget, kept_count
from prospr_engine.pruning.masks import chosen_among_equals, top_masks
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.diagnostics import NOTHING, ON_THE_WAY
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
    errors blown up take the place of zeros. So it is counted how many do. Where they may not,
    weights of units that are dead for these images are removed by position, too, while others live
    on and matter again when the units wake up: ``doubt`` says if that happened.
    """
    weights = dict(zip(network.names, network.start, strict=True))
    sizes = [weights[name].numel() for name in network.prunable]
    budget(sizes, sparsity, layer_floor)
    masks = {name: torch.ones_like(weights[name], dtype=torch.bool) for name in network.prunable}
    goals = schedule(sum(sizes), sparsity, rounds, count)
    last = whole = None
    chance = 0.0
    overlooked = _Overlooked(network)
    for i, goal in enumerate(goals):
        on_step(i, len(goals), f"Round {i + 1} of {len(goals)}")
        point = _masked(network, masks)
        signed = everywhere = rank(i, point)
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
        before, masks = masks, top_masks(found.values, goal, layer_floor)
        if returning:
            chance = max(chance, _by_chance(found.values, masks, network))
        else:
            overlooked.look(everywhere, before, masks)
        last = found
    assert last is not None  # there is at least one round
    return dataclasses.replace(last, whole=whole, by_chance=chance, doubt=overlooked.doubt)


class _Overlooked:
    """Weights that were removed for their position among others that scored nothing, like them,
    and how many of these would be kept later if they were still there."""

    def __init__(self, network: Network):
        self._nothing = _nothing(network)
        self._removed: Tensor | None = None
        self._missed, self._round, self._share = 0, 0, 0.0
        self._rounds = 0

    def look(
        self,
        effects: Mapping[str, Tensor],
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
    ) -> None:
        """See a round: the ``effects`` of all weights, those of removed ones as if they came back,
        and what was there before and after."""
        self._rounds += 1
        scores, there, kept = _flat(effects).abs(), _flat(before), _flat(after)
        zero = scores <= self._nothing * scores[there].max()
        if self._removed is not None:
            missed = int((self._removed & ~zero & (scores > scores[kept].min())).sum())
            share = missed / int(kept.sum())
            if share > self._share:
                self._missed, self._round, self._share = missed, self._rounds, share
        if bool((kept & zero).any()):
            removed = there & ~kept & zero
            self._removed = removed if self._removed is None else self._removed | removed

    @property
    def doubt(self) -> str:
        if self._share <= ON_THE_WAY:
            return ""
        return (
            "On the way, position decided which of the weights that had no effect were removed; in "
            f"round {self._round} of {self._rounds}, {counted(self._missed, 'removed weight')} "
            f"({percent(self._share)} of all kept) would have mattered enough to stay. Score with "
            "more images, or choose another criterion."
        )


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
    kept = sum(int(mask.sum()) for mask in masks.values())
    return chosen_among_equals(scores, masks, _nothing(network)) / kept


def _nothing(network: Network) -> float:
    """The part of the highest score up to which a score is zero but for rounding."""
    return NOTHING if network.dtype == torch.float64 else 0.0


def _flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def _finite(scores: Mapping[str, Tensor]) -> bool:
    return all(bool(score.isfinite().all()) for score in scores.values())


def _any(scores: Mapping[str, Tensor]) -> bool:
    return any(bool(score.any()) for score in scores.values())
