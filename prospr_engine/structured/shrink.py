"""Remove the channels of a network that matter least: the one way in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.overrides import Override
from prospr_engine.pruning.masks import Masks
from prospr_engine.structured.budget import check_budget, choose
from prospr_engine.structured.check import check_equal, cuttable, problem
from prospr_engine.structured.cost import BUDGETS, Cost, LayerSize, layer_sizes
from prospr_engine.structured.groups import ChannelGroup, find_groups, find_whole
from prospr_engine.structured.ranking import WeightScores, group_scores
from prospr_engine.structured.surgery import cut, masks, removed
from prospr_engine.structured.ties import OUTPUTS
from prospr_engine.structured.trace import SECONDS


@dataclass(frozen=True)
class Width:
    """The output channels of a layer ``before`` and ``after`` surgery."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True)
class Amount:
    """A number before and after surgery."""

    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A ``network`` without some of its channels, and what was done to it.

    ``kept``: by name of each of the ``groups``, (n,) booleans; ``scores``: what they were chosen
    by. ``budget``: what the share ``requested`` is of, and ``achieved`` the share removed of it.
    ``masks``: the same for the weights of the large network. ``removed``: the output channels
    that are gone, by layer. ``widths``: all convolutions and linear layers. ``channels`` are those
    that could go, ``parameters`` and ``operations`` (multiply-adds for one input) those of the
    convolutions and linear layers.
    ``whole``: by layer, why no channels of it can go although it has a group.
    """

    network: nn.Module
    groups: tuple[ChannelGroup, ...]
    scores: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    masks: Masks
    removed: Mapping[str, tuple[int, ...]]
    widths: tuple[Width, ...]
    budget: str
    requested: float
    channels: Amount
    parameters: Amount
    operations: Amount
    whole: Mapping[str, str]

    @property
    def achieved(self) -> float:
        """The share of the budget's measure that was removed."""
        amount: Amount = getattr(self, self.budget)
        return 1 - amount.after / amount.before


def shrink(
    network: nn.Module,
    sample: Tensor,
    scores: WeightScores,
    rule: str = "effect",
    sparsity: float = 0.5,
    budget: str = "parameters",
    multiple: int = 8,
    layers: Mapping[str, Override] | None = None,
) -> Shrunk:
    """Remove the channels of ``network`` with the lowest ``scores``, of which ``rule`` makes one
    for each channel (see ``ranking``), until the ``budget`` holds (see ``budget.choose``).

    ``sample`` is a batch (N, C, …) of inputs of any numbers. The network comes back untouched.
    Raises ``ModelError`` if no channels can be removed, or if the small network would not answer
    like the large one with the same channels set to zero; ``ConfigError`` and ``ScoringError`` as
    ``choose`` and ``group_scores`` do.
    """
    structure = Structure.of(network, sample)
    groups, sizes = structure.groups, structure.sizes
    whole: Mapping[str, str] = {}

    def chosen() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if not groups:
            raise ModelError(_nothing(network, sample, whole))
        ranked = group_scores(groups, scores, rule)
        return ranked, choose(groups, ranked, sizes, sparsity, budget, multiple, layers)

    ranked, kept = chosen()
    if problem(network, groups, kept, sample):
        # Some of them are tied in ways that do not show, or have a width that is fixed somewhere.
        groups, whole = cuttable(network, groups, sample)
        ranked, kept = chosen()
        check_equal(network, groups, kept, sample)
    small = cut(network, groups, kept)
    counts = np.array([int(kept[group.name].sum()) for group in groups], np.float64)
    costs = {name: Cost(groups, sizes, name) for name in BUDGETS}
    amounts = {n: Amount(round(cost.total), round(cost.of(counts))) for n, cost in costs.items()}
    gone = removed(groups, kept)
    return Shrunk(
        network=small,
        groups=groups,
        scores=ranked,
        kept=kept,
        masks=masks(network, groups, kept),
        removed=gone,
        widths=_widths(sizes, gone),
        budget=budget,
        requested=sparsity,
        **amounts,
        whole=whole,
    )


@dataclass(frozen=True)
class Structure:
    """The channels of a network that can be removed: their ``groups``, and the ``sizes`` of its
    layers."""

    groups: tuple[ChannelGroup, ...]
    sizes: tuple[LayerSize, ...]
    refusal: str = ""
    """Why there are none, in a sentence."""

    @classmethod
    def of(cls, network: nn.Module, sample: Tensor, seconds: float = SECONDS) -> Structure:
        """That of ``network``, which may be on the meta device, for inputs like ``sample``, (N, C,
        …). Raises ``ModelError`` if it cannot be followed, or not within ``seconds``."""
        groups = find_groups(network, sample, seconds)
        refusal = "" if groups else _nothing(network, sample, {})
        return cls(groups, layer_sizes(network, tuple(sample.shape[1:])), refusal)

    def check(
        self,
        sparsity: float,
        budget: str = "parameters",
        multiple: int = 8,
        layers: Mapping[str, Override] | None = None,
    ) -> None:
        """Raise what ``shrink`` would raise whatever the scores are: ``ModelError`` if there is
        nothing to remove, ``ConfigError`` for settings that the network cannot meet."""
        if not self.groups:
            raise ModelError(self.refusal)
        check_budget(self.groups, self.sizes, sparsity, budget, multiple, layers)


def _widths(sizes: tuple[LayerSize, ...], gone: Mapping[str, tuple[int, ...]]) -> tuple[Width, ...]:
    found = []
    for size in sizes:
        found.append(Width(size.layer, size.outputs, size.outputs - len(gone.get(size.layer, ()))))
    return tuple(found)


def _nothing(network: nn.Module, sample: Tensor, whole: Mapping[str, str]) -> str:
    if whole:
        layer, reason = next(iter(whole.items()))
        why = f"without some of layer {layer!r}, {reason.removeprefix('without them ')}"
    else:
        found = find_whole(network, sample)
        # That outputs stay explains nothing about the layers before them.
        inner = {layer: reason for layer, reason in found.items() if reason != OUTPUTS}
        layer, reason = next(iter((inner or found).items()))
        why = f"those of {f'layer {layer!r}' if layer else 'its only layer'} {reason}"
    return f"No channels of this network can be removed: {why}. Remove single weights instead."
