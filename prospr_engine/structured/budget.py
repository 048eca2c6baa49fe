"""How many channels stay of each group: the best over the whole network that a budget allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from prospr_engine.config import check_sparsity
from prospr_engine.errors import ConfigError
from prospr_engine.format import exact_percent, percent
from prospr_engine.overrides import ALL_KEPT, Override, names_layer, resolve
from prospr_engine.structured.cost import BUDGETS, Cost, Counts, LayerSize
from prospr_engine.structured.groups import ChannelGroup

Block = tuple[float, int, int]
"""The negative mean score of a block, its group, and how many channels stay with it."""

UNUSED = 0.01
"""The share of a budget that may stay unused without a second look."""

TRIES = 3


def choose(
    groups: Sequence[ChannelGroup],
    scores: Mapping[str, Tensor],
    sizes: Sequence[LayerSize],
    sparsity: float,
    budget: str = "parameters",
    multiple: int = 8,
    layers: Mapping[str, Override] | None = None,
) -> dict[str, Tensor]:
    """The channels that stay, (n,) booleans by name of the group.

    Of the measure ``budget`` (a key of ``BUDGETS``; of weights and multiply-adds those of all
    convolutions and linear layers count, of channels those in ``groups``) at most the share
    1 − ``sparsity`` stays, and as much of it as whole blocks permit. A block is ``multiple``
    channels of a layer where it has at least twice as many, else one channel. Blocks are
    ranked by their mean score over the whole network; each group keeps its best one.

    ``layers`` gives layers, by name or pattern (see ``overrides``), a rule of their own:
    ``"dense"`` keeps all of their channels, a number removes that share; the others meet the
    budget. Raises ``ConfigError`` for settings out of range, rules that contradict each other, and
    a budget that cannot be met.
    """
    plan = _plan(groups, sizes, sparsity, budget, multiple, layers or {})
    blocks = []
    for column, (group, edges) in enumerate(zip(groups, plan.edges, strict=True)):
        if group.name in plan.fixed:
            continue
        ordered = scores[group.name].sort(descending=True).values
        for start, end in pairwise(edges):
            blocks.append((-float(ordered[start:end].mean()), column, end))
    kept = _closest(plan.least, sorted(blocks), plan.cost, plan.allowed)
    return {
        group.name: _best(scores[group.name], int(count))
        for group, count in zip(groups, kept, strict=True)
    }


def check_budget(
    groups: Sequence[ChannelGroup],
    sizes: Sequence[LayerSize],
    sparsity: float,
    budget: str = "parameters",
    multiple: int = 8,
    layers: Mapping[str, Override] | None = None,
) -> None:
    """Raise ``ConfigError`` where ``choose`` would, whatever the scores are."""
    _plan(groups, sizes, sparsity, budget, multiple, layers or {})


@dataclass(frozen=True)
class _Plan:
    """What is known without scores: of the ``cost`` at most ``allowed`` stays; how many channels of
    each group can stay (``edges``), and at ``least`` do; the share to remove of those with a rule
    of their own (``fixed``, by name)."""

    cost: Cost
    allowed: int
    edges: tuple[list[int], ...]
    least: Counts
    fixed: Mapping[str, float]


def _plan(
    groups: Sequence[ChannelGroup],
    sizes: Sequence[LayerSize],
    sparsity: float,
    budget: str,
    multiple: int,
    layers: Mapping[str, Override],
) -> _Plan:
    sparsity = check_sparsity(sparsity)
    if not isinstance(multiple, Real) or multiple != int(multiple) or not 1 <= multiple <= 4096:
        raise ConfigError(
            f"Channels are kept in multiples of {multiple!r}; give a whole number from 1 to 4096."
        )
    cost = Cost(groups, sizes, budget)
    fixed = _fixed(groups, sizes, layers)
    allowed = math.floor(Fraction(cost.total) * (1 - Fraction(repr(sparsity))))
    edges = tuple(_edges(group, int(multiple)) for group in groups)
    kept = np.array(
        [
            _share(group, own, fixed[group.name]) if group.name in fixed else own[0]
            for group, own in zip(groups, edges, strict=True)
        ],
        np.float64,
    )
    least = cost.of(kept)
    if sparsity and least > allowed:
        raise ConfigError(_cannot(least / cost.total, sparsity, budget, int(multiple), bool(fixed)))
    if not sparsity:
        allowed = math.ceil(cost.total)
    most = [n if g.name in fixed else g.channels for n, g in zip(kept, groups, strict=True)]
    left = cost.of(np.array(most))
    # Where nothing is asked for, the layers that were set are all that is narrowed.
    if fixed and sparsity and left < allowed - UNUSED * cost.total:
        raise ConfigError(_alone(left / cost.total, sparsity, budget))
    return _Plan(cost, allowed, edges, kept, fixed)


def _closest(least: Counts, blocks: Sequence[Block], cost: Cost, allowed: int) -> Counts:
    """The counts to which ``blocks``, the best first, fill up ``least``.

    A block that is too large for what is left may leave much of the budget unused. Then it is tried
    what keeping this block in the place of others leaves.
    """
    found, too_large = _filled(least, blocks, cost, allowed)
    for _ in range(TRIES):
        if allowed - cost.of(found) <= UNUSED * cost.total:
            break
        others = []
        for column, end in too_large:
            start = least.copy()
            start[column] = end
            if cost.of(start) <= allowed:
                others.append(_filled(start, blocks, cost, allowed))
        better = max(others, key=lambda other: cost.of(other[0]), default=(found, []))
        if cost.of(better[0]) <= cost.of(found):
            break
        found, too_large = better
    return found


def _filled(
    least: Counts, blocks: Sequence[Block], cost: Cost, allowed: int
) -> tuple[Counts, list[tuple[int, int]]]:
    """Add the best ``blocks`` while all of them fit, then the next best ones that still do; and
    the first block of each group that does not."""

    columns = np.array([column for _, column, _ in blocks], np.int64)
    ends = np.array([end for _, _, end in blocks], np.float64)

    def after(count: int) -> Counts:
        reached = least.copy()
        np.maximum.at(reached, columns[:count], ends[:count])
        return reached

    low, high = 0, len(blocks)
    while low < high:
        middle = (low + high + 1) // 2
        if cost.of(after(middle)) <= allowed:
            low = middle
        else:
            high = middle - 1
    reached = after(low)
    too_large: dict[int, int] = {}
    for _, column, end in blocks[low:]:
        before = reached[column]
        if column in too_large or end <= before:
            continue
        reached[column] = end
        if cost.of(reached) > allowed:
            reached[column] = before
            too_large[column] = end
    return reached, [*too_large.items()]


def _edges(group: ChannelGroup, multiple: int) -> list[int]:
    """How many channels of a group can stay, in ascending order."""
    step = multiple // math.gcd(multiple, group.width)
    if group.channels < 2 * step:
        step = 1
    return [*range(step, group.channels, step), group.channels]


def _share(group: ChannelGroup, edges: Sequence[int], removed: float) -> int:
    """How many channels stay of a group of which the share ``removed`` is to go."""
    allowed = math.floor(group.channels * (1 - Fraction(repr(removed))))
    fitting = [edge for edge in edges if edge <= allowed]
    return fitting[-1] if fitting else max(1, allowed)


def _fixed(
    groups: Sequence[ChannelGroup],
    sizes: Sequence[LayerSize],
    layers: Mapping[str, Override],
) -> dict[str, float]:
    """The share to remove of each group with a layer that has a rule of its own. A pattern passes
    over layers whose channels cannot be removed; a name does not."""
    settings = resolve(layers, [size.layer for size in sizes])
    found: dict[str, tuple[str, float]] = {}
    for layer, value in settings.items():
        share = 0.0 if value == ALL_KEPT else float(value)
        own = [g for g in groups if any(p.layer == layer for p in g.producers)]
        if not own and share and any(names_layer(key, layer) for key in layers):
            raise ConfigError(
                f"No channels of layer {layer!r} can be removed: they are outputs of the network, "
                "or others depend on them. Leave the layer dense."
            )
        for group in own:
            other, before = found.setdefault(group.name, (layer, share))
            if before != share:
                raise ConfigError(
                    f"Layers {other!r} and {layer!r} share their channels, but {_words(before)} of "
                    f"the one and {_words(share)} of the other are to be removed; give both the "
                    "same value."
                )
    return {name: share for name, (_, share) in found.items()}


def _words(share: float) -> str:
    return f"{100 * share:g} %" if share else "none"


def _cannot(least: float, sparsity: float, budget: str, multiple: int, fixed: bool) -> str:
    tenths = math.ceil(1000 * least)
    highest = 1 - tenths / 1000
    most = f"{highest:g} ({exact_percent(highest)}) or less" if tenths < 1000 else "0"
    remedies = [f"ask for a sparsity of {most}"]
    if multiple > 1:
        remedies.append("let channels be kept in smaller multiples")
    if fixed:
        remedies.append("change what layers have for themselves")
    return (
        f"A sparsity of {sparsity:g} leaves {100 * (1 - sparsity):g} % of the {BUDGETS[budget]}, "
        f"but removing channels from this network keeps at least {tenths / 10:g} % of them; "
        f"{', or '.join(remedies)}."
    )


def _alone(left: float, sparsity: float, budget: str) -> str:
    return (
        f"The settings of layers alone remove {percent(1 - left)} of the {BUDGETS[budget]}, more "
        f"than the sparsity of {sparsity:g} asks for; raise it, or let the layers keep more."
    )


def _best(scores: Tensor, count: int) -> Tensor:
    """True for the ``count`` highest scores, equal ones from the front."""
    kept = torch.zeros(len(scores), dtype=torch.bool)
    kept[scores.cpu().sort(descending=True, stable=True).indices[:count]] = True
    return kept
