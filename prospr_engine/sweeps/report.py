"""The outcome of a search, as plain data and in words for people who do not program."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.format import SPACE, counted, exact_percent, plural, to_percent
from prospr_engine.sweeps.bisection import bracket, ended
from prospr_engine.sweeps.goals import lost
from prospr_engine.sweeps.search_config import Probe, SearchConfig


@dataclass(frozen=True)
class Outcome:
    """``found`` is the sparsity of the best network that meets the goal (None if there is none so
    far), ``value`` and ``tested`` those of its probe, ``runs`` its runs. ``ended`` is the reason
    from ``bisection.ended``, "" while the search continues. ``sentences`` put it in words, the
    answer first, and claim nothing about networks that were not tried."""

    found: float | None
    value: float | None
    runs: tuple[str, ...]
    ended: str
    sentences: tuple[str, ...]
    tested: float | None = None

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**dataclasses.asdict(self), "text": self.text}


def outcome(config: SearchConfig, trail: Sequence[Probe]) -> Outcome:
    """The outcome of the trail so far, or of the finished search."""
    reason = ended(config, trail)
    met = [probe for probe in trail if probe.met]
    pick = max if config.about_accuracy else min
    best = pick(met, key=lambda probe: probe.sparsity) if met else None
    sentences = [
        _answer(config, trail, best, reason),
        _tested(config, best),
        _guessing(config, best),
        _beyond(config, trail, best),
        _early(config, trail, reason),
        _contradiction(config, trail),
        _failures(trail, reason),
        _luck(config, best),
    ]
    return Outcome(
        found=best.sparsity if best else None,
        value=best.value if best else None,
        runs=best.runs if best else (),
        ended=reason,
        sentences=tuple(sentence for sentence in sentences if sentence),
        tested=best.tested if best else None,
    )


def probe_line(config: SearchConfig, probe: Probe) -> str:
    """A line of the trail: "96.84 % of the weights removed: 2.5 points lost, too much"."""
    where = removed(config.run, probe.sparsity)
    if probe.value is None:
        return f"{where}: failed. {probe.error}".strip()
    goal = config.goal
    verdict = goal.met if probe.met else goal.missed
    return f"{where}: {goal.tried.format(figure(config, probe.value))}, {verdict}"


COUNTED = {"parameters": "weights", "operations": "multiply-adds", "channels": "channels"}
"""What the sparsity is a share of, by ``RunConfig.channel_budget``."""


def removed(run: RunConfig, sparsity: float) -> str:
    """``0.9684`` is "96.84 % of the weights removed"."""
    return f"{exact_percent(sparsity)} of the {counted_in(run)} removed"


def counted_in(run: RunConfig) -> str:
    """What the sparsity of ``run`` is a share of."""
    return COUNTED[run.channel_budget] if run.kind == CHANNELS else "weights"


def figure(config: SearchConfig, value: float) -> str:
    """The value of a probe in words: "0.8 points lost", "96 kB"."""
    return config.goal.show(value, config.limit)


def goal(config: SearchConfig) -> str:
    """The limit in words: "at most 1 point of accuracy lost", "at most 100 kB zipped"."""
    return config.goal.limit(config.limit)


def _answer(config: SearchConfig, trail: Sequence[Probe], best: Probe | None, reason: str) -> str:
    allowed = goal(config)
    if best is not None and best.value is not None:
        value = figure(config, best.value)
        found = removed(config.run, best.sparsity) if best.sparsity else "Nothing removed"
        if not reason:
            return f"So far: {found}: {value} ({allowed})."
        return f"Found: {found}, {config.goal.found.format(value)} ({allowed})."
    if not reason:
        tries = counted(len(trail), "try", "tries") if trail else "no try yet"
        return f"Looking for {allowed}: {tries}{', none met it' if trail else ''}."
    if reason == "failed":
        return f"Nothing found: all {len(trail)} tries failed."
    remedy = config.goal.remedy
    if config.about_accuracy and config.lowest:
        remedy = "allow more loss, train longer, or search lower sparsities"
    return (
        f"Nothing found: no {config.goal.noun} that was tried met the goal ({allowed}); {remedy}."
    )


def _tested(config: SearchConfig, best: Probe | None) -> str:
    """What the test images say of the answer, which they must not have decided."""
    if not config.about_accuracy or best is None or best.value is None:
        return ""
    if best.tested is None:
        return (
            "These runs have no validation accuracy, so the test images decided: the true loss is "
            "likely larger."
        )
    return (
        "That is on the validation images, which decide; on the test images it is "
        f"{lost(best.tested, f'{to_percent(best.tested):.1f}')}{_give_or_take(best)}."
    )


def _give_or_take(best: Probe) -> str:
    """The uncertainty of the loss on the test images."""
    if best.tested_noise is None:
        return ""
    number = min(round(to_percent(best.tested_noise), 1), 100.0)
    return f", give or take {number:.1f} {plural(number, 'point')} (95{SPACE}% interval)"


def _guessing(config: SearchConfig, best: Probe | None) -> str:
    if not config.about_accuracy or best is None or not best.guessing:
        return ""
    return (
        "That network is not clearly better than guessing, so what it lost says little; train "
        "longer."
    )


def _beyond(config: SearchConfig, trail: Sequence[Probe], best: Probe | None) -> str:
    """The nearest try on the other side of the goal."""
    low, high = bracket(config, trail)
    other = {probe.sparsity: probe for probe in trail if not probe.met}
    near = other.get(high if config.about_accuracy else low)
    if best is None:
        failed = [probe for probe in trail if probe.value is not None]
        near = min(failed, key=lambda probe: probe.value or 0.0, default=None)
        if near is None or near.value is None:
            return ""
        where = removed(config.run, near.sparsity)
        return f"The best was {where}: {figure(config, near.value)}."
    if near is not None and near.value is not None:
        return f"With {exact_percent(near.sparsity)} it is {figure(config, near.value)}."
    if config.about_accuracy and best.sparsity == config.highest:
        return "That is the highest sparsity allowed in this search; more may be possible."
    if not config.about_accuracy and best.sparsity == config.lowest:
        return "That is the lowest sparsity allowed in this search."
    return ""


def _early(config: SearchConfig, trail: Sequence[Probe], reason: str) -> str:
    if reason != "most":
        return ""
    low, high = bracket(config, trail)
    return (
        f"The search ended after {len(trail)} tries, the maximum; sparsities between "
        f"{exact_percent(low)} and {exact_percent(high)} were not tried."
    )


def _contradiction(config: SearchConfig, trail: Sequence[Probe]) -> str:
    """A sentence if a sparser network met the goal on accuracy and a less sparse one did not, or
    the other way round with any other goal."""
    met = [probe.sparsity for probe in trail if probe.met]
    missed = [probe.sparsity for probe in trail if not probe.met and not probe.error]
    if not met:
        return ""
    if config.about_accuracy:
        best = max(met)
        worse = max((sparsity for sparsity in missed if sparsity < best), default=None)
        why = (
            f"lost too much, and {exact_percent(best)} did not. More seeds would reduce the noise."
        )
    else:
        best = min(met)
        worse = min((sparsity for sparsity in missed if sparsity > best), default=None)
        why = f"missed the goal, and {exact_percent(best)} met it."
    if worse is None:
        return ""
    return f"The tries contradict each other: {exact_percent(worse)} {why}"


def _failures(trail: Sequence[Probe], reason: str) -> str:
    failed = [probe for probe in trail if probe.error]
    if not failed:
        return ""
    if reason == "failed":
        return f"The first error: {failed[0].error}"
    count = plural(len(failed), "counts", "count")
    return (
        f"{len(failed)} of {len(trail)} tries failed and {count} as not met "
        f"({exact_percent(failed[0].sparsity)}: {failed[0].error})"
    )


def _luck(config: SearchConfig, best: Probe | None) -> str:
    """The seeds behind the answer."""
    if not config.about_accuracy or best is None:
        return ""
    seeds = len(config.seeds)
    if seeds == 1:
        return "This is from one seed; another may give a different result."
    return f"This is from the mean of {seeds} seeds."
