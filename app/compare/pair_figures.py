"""The figures of two results side by side, and what must not be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from app.services import RunRecord, analysis, metrics
from app.services.overlap import LayerOverlap
from app.ui.format import (
    MINUS,
    SPACE,
    Unit,
    duration,
    figure,
    percent,
    points_unit,
    size,
    to_percent,
)
from app.ui.titles import data_label

Show = Callable[[Any], str]
Differ = Callable[[Any, Any], str]
UNKNOWN = "\N{EN DASH}"
DRAWS_TEST = ("test_fraction", "test_limit", "skip_broken")
"""Settings that, with the seed, decide which images are test images."""


@dataclass(frozen=True)
class Figure:
    """A row of the table: its name, the values of both runs, and the difference."""

    name: str
    first: str
    second: str
    difference: str


def other_images(first: RunRecord, second: RunRecord) -> str | None:
    """Why the accuracies must not be compared, or only with care; None if they can be."""
    one, other = first.data, second.data
    if one.digest and one.digest == other.digest:
        return None  # the same images, split in the same way
    if not comparable(first, second):
        names = [data_label(result.config.data) for result in (first, second)]
        return (
            f"A was trained on {names[0]}, B on {names[1]}: accuracies of different tasks cannot "
            "be compared."
        )
    counts = [data.split.test for data in (one, other)]
    if counts[0] != counts[1]:
        return (
            f"A was tested on {counts[0]:,} images, B on {counts[1]:,}: compare their accuracies "
            "with care."
        )
    if _draw(first) != _draw(second):
        return (
            "Their seeds or data settings differ, so they may use different test images: compare "
            "their accuracies with care."
        )
    return None


def comparable(first: RunRecord, second: RunRecord) -> bool:
    """Whether both runs are of the same task."""
    return (first.config.data, first.data.classes) == (second.config.data, second.data.classes)


def _draw(result: RunRecord) -> tuple[Any, ...]:
    config = result.config
    return (config.seed, *(getattr(config.loading, name) for name in DRAWS_TEST))


def figures(first: RunRecord, second: RunRecord) -> list[Figure]:
    """The table; differences are B − A of the numbers as shown."""
    same_task = comparable(first, second)
    rows = [_as_shown(result.figures) for result in (first, second)]
    lines = []
    for metric, pair in metrics.paired():
        one, other = (row[metric.name] for row in rows)
        if metric.partial and one is None and other is None:
            continue
        fixed = pair.task and metric.unit == "share"
        differ = _points_between if fixed else DIFFERS[metric.unit]
        known = None not in (one, other) and (same_task or not pair.task)
        first_text, second_text = (
            UNKNOWN if x is None else figure(metric.unit, x, fixed) for x in (one, other)
        )
        difference = differ(one, other) if known else UNKNOWN
        lines.append(Figure(pair.name, first_text, second_text, difference))
    return lines


def _as_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """With the shares of the task rounded as they are shown, and what is derived from them, so that
    the table adds up."""
    shown = dict(row)
    for metric, pair in metrics.paired():
        if pair.task and metric.unit == "share" and row[metric.name] is not None:
            shown[metric.name] = round(row[metric.name], 3)
    derived = {m.name: m.derive(shown) for m, _ in metrics.paired() if m.derive}
    return {**shown, **derived}


def noise(first: RunRecord, second: RunRecord) -> str:
    """Whether the draw of the test images alone explains the difference between the two pruned
    networks."""
    shares = [result.accuracy["pruned"] for result in (first, second)]
    counts = [result.data.split.test for result in (first, second)]
    limit = analysis.image_noise(shares, counts)
    if abs(shares[1] - shares[0]) > limit:
        return (
            "The difference between the two pruned networks is larger than the noise of the test "
            f"set (about {to_percent(limit):.1f} points). Luck of the seed is not included."
        )
    return (
        "The difference between the two pruned networks is within the noise of the test set (about "
        f"{to_percent(limit):.1f} points)."
    )


def shared(layers: Sequence[LayerOverlap]) -> str:
    """The overlap of two masks, and what chance alone would give."""
    first, second, both = (sum(getattr(x, n) for x in layers) for n in ("first", "second", "both"))
    expected = round(sum(x.first * x.second / x.total for x in layers if x.total))
    if not min(first, second):
        return "One of the two keeps no weights, so they share none."
    if both == first == second:
        return f"Both keep the same {both:,} weights."
    if both in (first, second):
        small, large = ("A", "B") if both == first else ("B", "A")
        sentence = f"All {both:,} weights that {small} keeps are also kept by {large}."
    elif first == second:
        sentence = f"Each keeps {first:,} weights; {both:,} of them are the same."
    else:
        sentence = f"A keeps {first:,} weights and B {second:,}; {both:,} of them are the same."
    return f"{sentence} By chance, with as many in each layer, about {expected:,} would be."


def _percent_points(one: float, other: float) -> str:
    first, second = (Decimal(percent(share).split(SPACE)[0]) for share in (one, other))
    change = second - first
    if not change:
        return "same"
    return f"{change.normalize():+f} {points_unit(float(change))}".replace("-", MINUS)


def _points_between(one: float, other: float) -> str:
    return figure("difference", other - one)


def _count(one: int, other: int) -> str:
    return f"{other - one:+,}".replace("-", MINUS) if other != one else "same"


def _signed(show: Show) -> Differ:
    """The difference in the form in which ``show`` writes the values."""

    def differ(one: float, other: float) -> str:
        if show(one) == show(other):
            return "same"
        return f"{'+' if other > one else MINUS}{show(abs(other - one))}"

    return differ


def _other(one: object, other: object) -> str:
    return "same" if one == other else "different"


DIFFERS: dict[Unit, Differ] = {
    "share": _percent_points,
    "difference": _points_between,
    "count": _count,
    "bytes": _signed(size),
    "seconds": _signed(duration),
    "ms": _signed(partial(figure, "ms")),
    "nats": _signed("{:.3f}".format),
    "flag": _other,
    "text": _other,
}
"""How the difference of two values of a unit is written."""
