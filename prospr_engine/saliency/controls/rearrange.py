"""Scores that keep as many weights in every layer as a criterion's, but others.

Each layer's scores change places within the layer. Whatever the sparsity, as many of them are
among the highest of the network as before, so that one control serves all sparsities, and the
file of scores still says which weights were kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.controls import seed_of


def shuffled(scores: Scores, seed: int) -> Scores:
    """The scores of each layer in an order drawn from ``seed``."""
    generator = _generator(scores, "shuffle", seed)

    def shuffle(values: Tensor) -> Tensor:
        order = torch.randperm(values.numel(), generator=generator)
        return values.flatten()[order.to(values.device)]

    return _rearranged(scores, "shuffle", shuffle)


def redrawn(scores: Scores, seed: int) -> Scores:
    """Noise drawn from ``seed`` decides which weights of a layer get its highest scores."""
    generator = _generator(scores, "random", seed)

    def redraw(values: Tensor) -> Tensor:
        noise = torch.rand(values.numel(), generator=generator, dtype=torch.float64)
        places = noise.argsort(descending=True).to(values.device)
        return torch.empty_like(values.flatten()).scatter_(
            0, places, values.flatten().sort(descending=True).values
        )

    return _rearranged(scores, "random", redraw)


def _generator(scores: Scores, control: str, seed: int) -> torch.Generator:
    """One for each criterion and its options: with one order for all, two shuffled masks would
    have as much in common as the masks themselves."""
    of = (scores.method, sorted(scores.options.items()))
    return torch.Generator().manual_seed(seed_of(control, seed, *of))


def _rearranged(scores: Scores, control: str, arrange: Callable[[Tensor], Tensor]) -> Scores:
    values = {name: arrange(score).view(score.shape) for name, score in scores.items()}
    return dataclasses.replace(
        scores,
        values_by_name=values,
        channels={},  # sums of what each channel's weights do to the loss: of others now
        options={**scores.options, "control": control},
    )
