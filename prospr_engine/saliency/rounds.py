"""Pruning in rounds: score, remove a few, score what is left, until the sparsity is reached.

Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
NeurIPS 2020, https://arxiv.org/abs/2006.05467, section 6, and de Jorge et al., Progressive
Skeletonization, ICLR 2021, https://arxiv.org/abs/2006.09081, section 4, both with the density
falling exponentially: after round t of T it is d^(t/T).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from prospr_engine.functional import Network, Point
from prospr_engine.masks import top_masks
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.sparsity import budget

Rank = Callable[[int, Mapping[str, Tensor]], dict[str, Tensor]]
"""Signed scores by name, given the round (from 0) and the masks that the one before left."""


def prune_in_rounds(
    network: Network,
    on_step: OnStep,
    rank: Rank,
    *,
    rounds: int,
    sparsity: float,
    layer_floor: int,
    returning: bool = False,
) -> Saliency:
    """The scores of the last round, the higher, the rather kept.

    ``rank`` scores the network once a round; weights with the largest absolute scores stay.
    Unless weights may come back (``returning``), those that an earlier round removed score 0 and
    those that were still there at least the smallest normal number, so that cutting at
    ``sparsity`` and ``layer_floor`` gives the masks of the last round. Raises ``ConfigError``
    if the two do not fit.
    """
    budget([weight.numel() for weight in _weights(network).values()], sparsity, layer_floor)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in _weights(network).items()}
    values: dict[str, Tensor] = {}
    signed: dict[str, Tensor] = {}
    whole: dict[str, Tensor] = {}
    doubt = ""
    goals = schedule(sparsity, rounds)
    for i, goal in enumerate(goals):
        on_step(i, len(goals), f"Round {i + 1} of {len(goals)}")
        found = rank(i, masks)
        sizes = {name: score.abs() for name, score in found.items()}
        if not all(bool(size.isfinite().all()) for size in sizes.values()):
            return Saliency(values=sizes, signed=found, whole=whole or sizes)
        if not any(bool(size.any()) for size in sizes.values()):
            if i == 0:
                return Saliency(values=sizes, signed=found)
            doubt = (
                f"After {i} of {rounds} rounds no weight that was left had any effect any more, "
                "so the scores of the last round that told weights apart decide the rest; ask for "
                "a lower sparsity, or let every layer keep a few weights."
            )
            break
        whole = whole or sizes
        signed = found
        values = sizes if returning else {n: _left(size, masks[n]) for n, size in sizes.items()}
        masks = top_masks(values, goal, layer_floor)
    return Saliency(values=values, signed=signed, whole=whole, doubt=doubt)


def schedule(sparsity: float, rounds: int) -> list[float]:
    """The sparsity after each round; the last is ``sparsity`` itself, to the digit."""
    if not sparsity:  # All rounds would be the first.
        return [sparsity]
    return [1 - (1 - sparsity) ** (i / rounds) for i in range(1, rounds)] + [sparsity]


def masked(network: Network, masks: Mapping[str, Tensor]) -> Point:
    """The network's parameters with the removed weights at zero."""
    return [
        tensor * masks[name] if name in masks else tensor
        for name, tensor in zip(network.names, network.start, strict=True)
    ]


def _left(size: Tensor, mask: Tensor) -> Tensor:
    return size.clamp(min=torch.finfo(size.dtype).tiny).masked_fill(~mask, 0)


def _weights(network: Network) -> dict[str, Tensor]:
    point = dict(zip(network.names, network.start, strict=True))
    return {name: point[name] for name in network.prunable}
