"""Scores of single weights, made without the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.network.prunable import prunable_weights


@dataclass
class PlainScores(dict[str, Tensor]):
    """What ``structured`` asks of scores."""

    channels: Mapping[str, Tensor] = field(default_factory=dict)
    rest: Mapping[str, Tensor] = field(default_factory=dict)


def drawn(network: nn.Module, seed: int = 0) -> PlainScores:
    """Scores at random."""
    generator = torch.Generator().manual_seed(seed)
    signed = {
        name: torch.randn(weight.shape, generator=generator)
        for name, weight in prunable_weights(network).items()
    }
    return _scores(network, signed, {})


def snip(network: nn.Module, x: Tensor, y: Tensor) -> PlainScores:
    """w ⊙ ∂L/∂w of all parameters, by autograd."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    loss = F.cross_entropy(network.train()(x), y)
    gradients = torch.autograd.grad(loss, parameters)
    effects = {
        name: (p * g).detach() for name, p, g in zip(names, parameters, gradients, strict=True)
    }
    weights = prunable_weights(network)
    rest = {name: effect for name, effect in effects.items() if name not in weights}
    return _scores(network, {name: effects[name] for name in weights}, rest)


def _scores(
    network: nn.Module, signed: Mapping[str, Tensor], rest: Mapping[str, Tensor]
) -> PlainScores:
    scores = PlainScores(
        {name: w.channel_sums(signed[name]) for name, w in prunable_weights(network).items()}, rest
    )
    scores.update({name: effect.abs() for name, effect in signed.items()})
    return scores
