"""The outcome of a search, as plain data and in words for people who do not program."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prospr_engine.format import (
    KILO,
    SPACE,
    counted,
    exact_kilobytes,
    exact_percent,
    plural,
    to_percent,
)
from prospr_engine.sweeps.bisection import bracket, ended
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
    if probe.value is None:
        return f"{removed(probe.sparsity)}: failed. {probe.error}".strip()
    value = figure(config, probe.value)
    if config.about_accuracy:
        return f"{removed(probe.sparsity)}: {value}, {'good enough' if probe.met else 'too much'}"
    return f"{removed(probe.sparsity)}: {value} zipped, {'it fits' if probe.met else 'too big'}"


def removed(sparsity: float) -> str:
    """``0.9684`` is "96.84 % of the weights removed"."""
    return f"{exact_percent(sparsity)} of the weights removed"


def figure(config: SearchConfig, value: float) -> str:
    """The value of a probe in words: "0.8 points lost", "96 kB"."""
    if config.about_accuracy:
        return _points(value, _beside(to_percent(value), to_percent(config.limit), 1))
    return f"{_beside(value / KILO, config.limit / KILO, 0)}{SPACE}kB"


def _points(value: float, points: str) -> str:
    """``value`` in words, with its ``points`` as they are shown."""
    if not float(points):
        return "no accuracy lost"
    lost = "lost" if value > 0 else "gained"
    number = points.removeprefix("-")
    return f"{number} {plural(float(number), 'point')} {lost}"


def goal(config: SearchConfig) -> str:
    """The limit in words: "at most 1 point of accuracy lost", "at most 100 kB zipped"."""
    if config.about_accuracy:
        lost = to_percent(config.limit)
        return f"at most {lost:.4g} {plural(lost, 'point')} of accuracy lost"
    return f"at most {exact_kilobytes(config.limit)} zipped"


def _beside(number: float, limit: float, digits: int) -> str:
    """``number``, rounded with enough digits to stay on its side of the limit: 100.2 kB must not
    appear as 100 kB if the limit is 100 kB."""
    for more in range(digits, digits + 4):
        text = f"{number:,.{more}f}"
        if (float(text.replace(",", "")) <= limit) == (number <= limit):
            break
    return text


def _answer(config: SearchConfig, trail: Sequence[Probe], best: Probe | None, reason: str) -> str:
    allowed = goal(config)
    if best is not None and best.value is not None:
        value = figure(config, best.value)
        found = removed(best.sparsity) if best.sparsity else "Nothing removed"
        if not reason:
            return f"So far: {found}: {value} ({allowed})."
        if config.about_accuracy:
            return f"Found: {found}, {value} ({allowed})."
        return f"Found: {found}, the zipped file takes {value} ({allowed})."
    if not reason:
        tries = counted(len(trail), "try", "tries") if trail else "no try yet"
        return f"Looking for {allowed}: {tries}{', none met it' if trail else ''}."
    if reason == "failed":
        return f"Nothing found: all {len(trail)} tries failed."
    if config.about_accuracy:
        remedy = "allow more loss, train longer, or search lower sparsities"
        if not config.lowest:
            remedy = "allow more loss, or train longer"
        return (
            f"Nothing found: no pruned network that was tried met the goal ({allowed}); {remedy}."
        )
    return (
        f"Nothing found: no file that was tried met the goal ({allowed}); allow a bigger file, "
        "choose a smaller network, or search higher sparsities."
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
        f"{_points(best.tested, f'{to_percent(best.tested):.1f}')}{_give_or_take(best)}."
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
        return f"The best was {removed(near.sparsity)}: {figure(config, near.value)}."
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
    """A sentence if a sparser network lost less than a less sparse one, or had a bigger file."""
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
        why = f"was too big, and {exact_percent(best)} fits."
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
