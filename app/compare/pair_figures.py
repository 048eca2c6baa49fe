"""The figures of two results side by side, and what must not be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.services import RunRecord, analysis
from app.services.overlap import LayerOverlap
from app.ui.answer import points
from app.ui.format import (
    MINUS,
    SPACE,
    accuracy,
    duration,
    percent,
    points_unit,
    signed_points,
    size,
    to_percent,
)
from app.ui.titles import data_label

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

    def pair(name: str, show: Any, value: Any, differ: Any) -> Figure:
        one, other = value(first), value(second)
        return Figure(name, show(one), show(other), differ(one, other))

    def difference(one: float, other: float) -> str:
        return change(_shown(one), _shown(other))

    def change(one: float, other: float) -> str:
        return _points(other - one) if same_task else UNKNOWN

    same_task = comparable(first, second)
    return [
        pair("Weights removed", percent, lambda r: r.pruning.sparsity.achieved, _percent_points),
        pair("Weights kept", "{:,}".format, lambda r: r.pruning.kept, _count),
        pair(
            "Effective sparsity", percent, lambda r: r.pruning.sparsity.effective, _percent_points
        ),
        pair("Accuracy, pruned", accuracy, lambda r: r.accuracy["pruned"], difference),
        pair("Accuracy, dense", accuracy, lambda r: r.accuracy["dense"], difference),
        pair("Change by pruning", _points, points, change),
        pair("Model file", size, lambda r: r.onnx.bytes, _sizes),
        pair("Model file, zipped", _size, lambda r: r.onnx.zipped, _sizes),
        pair("Time", duration, lambda r: r.seconds, lambda a, b: _signed(a, b, duration)),
    ]


def noise(first: RunRecord, second: RunRecord) -> str:
    """Whether the draw of the test images alone explains the difference between the two pruned
    networks."""
    shares = [result.accuracy["pruned"] for result in (first, second)]
    counts = [result.data.split.test for result in (first, second)]
    limit = analysis.image_noise(shares, counts)
    if abs(shares[1] - shares[0]) > limit:
        return (
            "The difference between the two pruned networks is larger than the noise of the test "
            f"set (about {to_percent(limit):.1f} points)."
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


def _shown(share: float) -> float:
    """In percent, rounded as shown."""
    return round(to_percent(share), 1)


def _points(change: float) -> str:
    change = round(change, 1)
    return signed_points(change) if change else "same"


def _count(one: int, other: int) -> str:
    return f"{other - one:+,}".replace("-", MINUS) if other != one else "same"


def _size(bytes: int | None) -> str:
    return size(bytes) if bytes else UNKNOWN  # results of early versions have no size


def _sizes(one: int | None, other: int | None) -> str:
    return _signed(one, other, size) if one and other else UNKNOWN


def _signed(one: float, other: float, show: Any) -> str:
    if show(one) == show(other):
        return "same"
    return f"{'+' if other > one else MINUS}{show(abs(other - one))}"
