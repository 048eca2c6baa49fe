"""One score for each channel of a group, from the scores of single weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from prospr_engine.errors import ConfigError, ScoringError
from prospr_engine.registry import did_you_mean
from prospr_engine.structured.groups import ChannelGroup


class WeightScores(Protocol):
    """What a ranking of channels needs of the scores of weights, by name of the parameter, each in
    its shape: ``scores[name]``; ``channels``, their signed sums over each output channel; and
    ``rest``, the signed effects w ⊙ ∂L/∂w of the parameters that are not ranked (biases, scales of
    normalisations), as far as there are any."""

    @property
    def channels(self) -> Mapping[str, Tensor]: ...

    @property
    def rest(self) -> Mapping[str, Tensor]: ...

    def __getitem__(self, name: str, /) -> Tensor: ...

    def __contains__(self, name: object, /) -> bool: ...


def group_scores(
    groups: Sequence[ChannelGroup], scores: WeightScores, rule: str = "effect"
) -> dict[str, Tensor]:
    """A score for each channel, (n,) in float64, by name of the group: the highest are kept.

    ``rule`` is one of ``RULES``. Raises ``ConfigError`` for another, ``ScoringError`` if a score is
    missing or not finite, with the layer.
    """
    if rule not in RULES:
        raise ConfigError(
            f"There is no rule {rule!r} for channels{did_you_mean(rule, [*RULES])}; "
            f"give one of {', '.join(RULES)}."
        )
    found = {}
    for group in groups:
        for producer in group.producers:
            if producer.weight not in scores:
                raise ScoringError(
                    f"There are no scores of {producer.weight!r}, and its channels are to be "
                    "ranked; score this network."
                )
        values = RULES[rule](group, scores)
        if not bool(values.isfinite().all()):
            raise ScoringError(
                f"The scores of the channels of layer {group.name!r} are not finite; choose a "
                "smaller learning rate for the look ahead, or another criterion."
            )
        found[group.name] = values
    return found


def _effect(group: ChannelGroup, scores: WeightScores) -> Tensor:
    """The size of the effect on the loss of one mask entry per channel, which multiplies all that
    makes it: the signed effects are added before the absolute value.

    The filters alone would not do: behind them a batch norm undoes their scale, so that the effects
    of a filter's weights add up to zero; those of the norm's scale and shift do not.
    """
    total = torch.zeros(group.channels, dtype=torch.float64)
    for producer in group.producers:
        total += _gathered(scores.channels[producer.weight], producer.channels)
    ranked = {producer.weight for producer in group.producers}
    for part in group.slices:
        if part.produces and part.tensor not in ranked and part.tensor in scores.rest:
            effects = scores.rest[part.tensor].detach().cpu().double().movedim(part.axis, 0)
            total += _gathered(effects.reshape(len(effects), -1).sum(1), part.indices)
    return total.abs()


def _norm(group: ChannelGroup, scores: WeightScores) -> Tensor:
    """The mean score of the weights of a channel's filters. With magnitudes as scores, that is the
    L1 norm of Li et al. (2017), https://arxiv.org/abs/1608.08710, section 3.1, for each weight, so
    that layers of different sizes compare."""
    total = torch.zeros(group.channels, dtype=torch.float64)
    count = 0
    for rows in _filters(group, scores):
        total += rows.sum(1)
        count += rows.shape[1]
    return total / max(count, 1)


def _chance(group: ChannelGroup, scores: WeightScores) -> Tensor:
    """The score of the first weight of the first filter: with random scores, a draw of its own for
    each channel."""
    return next(_filters(group, scores))[:, 0].clone()


def _filters(group: ChannelGroup, scores: WeightScores) -> Iterator[Tensor]:
    """The scores of the weights that make each channel, (n, weights of a channel), by layer."""
    weights = {producer.weight for producer in group.producers}
    for part in group.slices:
        if part.produces and part.tensor in weights:
            rows = scores[part.tensor].detach().cpu().double().movedim(part.axis, 0).flatten(1)
            yield rows[part.indices].flatten(1)


def _gathered(sums: Tensor, channels: Tensor) -> Tensor:
    """The sums of the places that belong to each channel of a group."""
    return sums.detach().cpu().double()[channels].sum(1)


RULES: Mapping[str, Callable[[ChannelGroup, WeightScores], Tensor]] = {
    "effect": _effect,
    "norm": _norm,
    "chance": _chance,
}
"""How the scores of weights become one of a channel, by name."""
