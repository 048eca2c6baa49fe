"""Pruning in rounds: score, remove a few, score what is left, until the sparsity is reached.

Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
NeurIPS 2020, https://arxiv.org/abs/2006.05467, section 6, and de Jorge et al., Progressive
Skeletonization, ICLR 2021, https://arxiv.org/abs/2006.09081, section 4, both with the density
falling exponentially: after round t of T it is d^(t/T).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from prospr_engine.format import counted, percent
from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point
from prospr_engine.overrides import ALL_KEPT, Override, resolve
from prospr_engine.pruning.budget import Budget, budget
from prospr_engine.pruning.masks import chosen_among_equals, competing, flattened, keep_top
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
    layers: Mapping[str, Override] | None = None,
    returning: bool = False,
) -> Saliency:
    """The scores of the last round; the highest are kept.

    ``rank`` scores the network once a round; weights with the largest absolute scores stay.
    Unless weights may come back (``returning``), those that an earlier round removed score 0 and
    those that were still there at least the smallest normal number, so that cutting at
    ``sparsity``, ``layer_floor`` and ``layers`` gives the masks of the last round. A layer with a
    setting of its own falls to its own density at the same pace. ``count`` makes a whole number of
    the weights that a round before the last keeps, as the published code does: one more or less in
    an early round can change half of the last mask. Raises ``ConfigError`` if sparsity, floor and
    settings of layers do not fit.

    Where weights may come back, those of an empty channel, which all score zero, come back by
    their position, and what they do then decides the next round; under a batch norm, rounding
    errors blown up take the place of zeros. So it is counted how many do. Where they may not,
    weights of units that are dead for these images are removed by position, too, while others live
    on and matter again when the units wake up: ``doubt`` says if that happened.
    """
    weights = dict(zip(network.names, network.start, strict=True))
    sizes = {name: weights[name].numel() for name in network.prunable}
    alone = resolve(layers or {}, list(sizes))
    masks = {name: torch.ones_like(weights[name], dtype=torch.bool) for name in network.prunable}
    goals = schedule(sizes, sparsity, layer_floor, alone, rounds, count)
    last = whole = None
    chance = 0.0
    overlooked = _Overlooked(network, alone)
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
        before, masks = masks, keep_top(found.values, goal)
        if returning:
            chance = max(chance, _by_chance(found.values, masks, network, alone))
        else:
            overlooked.look(everywhere, before, masks)
        last = found
    assert last is not None  # there is at least one round
    return dataclasses.replace(last, whole=whole, by_chance=chance, doubt=overlooked.doubt)


class _Overlooked:
    """Weights that were removed for their position among others that scored nothing, like them,
    and how many of these would be kept later if they were still there."""

    def __init__(self, network: Network, alone: Collection[str]):
        self._nothing = _nothing(network)
        self._groups = competing(network.prunable, alone)
        self._removed: dict[int, Tensor] = {}
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
        highest = flattened(effects, effects).abs()[flattened(before, before)].max()
        missed = 0
        for number, names in enumerate(self._groups):
            scores, there, kept = (
                flattened(tensors, names) for tensors in (effects, before, after)
            )
            scores = scores.abs()
            zero = scores <= self._nothing * highest
            earlier = self._removed.get(number)
            if earlier is not None:
                missed += int((earlier & ~zero & (scores > scores[kept].min())).sum())
            if bool((kept & zero).any()):
                removed = there & ~kept & zero
                self._removed[number] = removed if earlier is None else earlier | removed
        share = missed / sum(int(kept.sum()) for kept in after.values())
        if share > self._share:
            self._missed, self._round, self._share = missed, self._rounds, share

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
    sizes: Mapping[str, int],
    sparsity: float,
    layer_floor: int,
    alone: Mapping[str, Override],
    rounds: int,
    count: Callable[[float], int],
) -> list[Budget]:
    """What is kept of layers with ``sizes`` weights after each round; the last is the budget of
    ``sparsity``, ``layer_floor`` and the settings of the layers ``alone``. Raises ``ConfigError``
    as ``budget`` does."""
    last = budget(sizes, sparsity, layer_floor, alone)
    if not sparsity:  # All rounds would be the first.
        return [last]
    rest = sum(size for size, own in zip(sizes.values(), last.own, strict=True) if own is None)
    density = last.shared / rest if alone and rest else 1 - sparsity

    def after(i: int) -> Budget:
        """After round ``i`` of ``rounds``."""

        def kept(size: int, density: float, least: int) -> int:
            return min(size, max(least, count(size * density ** (i / rounds))))

        own = tuple(
            None if least is None else kept(size, _density(alone[name]), least)
            for (name, size), least in zip(sizes.items(), last.own, strict=True)
        )
        return Budget(own, last.floors, kept(rest, density, last.shared))

    return [*map(after, range(1, rounds)), last]


def _density(setting: Override) -> float:
    return 1.0 if setting == ALL_KEPT else 1 - float(setting)


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
    scores: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    network: Network,
    alone: Collection[str],
) -> float:
    """The share of the kept weights that were chosen among equals."""
    kept = sum(int(mask.sum()) for mask in masks.values())
    return chosen_among_equals(scores, masks, _nothing(network), alone) / kept


def _nothing(network: Network) -> float:
    """The part of the highest score up to which a score is zero but for rounding."""
    return NOTHING if network.dtype == torch.float64 else 0.0


def _finite(scores: Mapping[str, Tensor]) -> bool:
    return all(bool(score.isfinite().all()) for score in scores.values())


def _any(scores: Mapping[str, Tensor]) -> bool:
    return any(bool(score.any()) for score in scores.values())
