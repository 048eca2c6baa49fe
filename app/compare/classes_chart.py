"""Which classes pay for the pruning: points of accuracy that each series loses or gains in each.

What goes in: by name of a series, in their order, the results of its runs at one
sparsity. ``rows = table(lines)``, ``chart(plan(rows), theme())``, ``description(rows)``. Of many
classes only those that lose and gain most are in the table: ``left_out(lines, rows)`` counts the
rest, and ``text.compare_detail`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts import heat_map
from app.charts.colours import Colours
from app.charts.heat_map import Grid
from app.charts.spec import Spec
from app.services import RunRecord
from app.ui.format import accuracy, signed, to_percent

Lines = Mapping[str, Sequence[RunRecord]]
COLUMNS = (
    "row",
    "column",
    "value",
    "text",
    "sign",
    "mean",
    "images",
    "runs",
    "points",
    "dense",
    "pruned",
    "told",
)
TOOLTIPS = {
    "column": "Series",
    "row": "Class",
    "points": "Change",
    "dense": "Dense",
    "pruned": "Pruned",
    "told": "Test images",
}
POINTS = "datum.value ? format(datum.value, '+.3~g') : '0'"
MOST = 20
"""Classes on show: of more, half of them those that lose most and half those that gain most."""


@dataclass(frozen=True)
class Plan:
    """``most`` is the change, in points, of the strongest shades."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    most: float


def table(lines: Lines) -> pd.DataFrame:
    """A row per class and series, the class that loses most on top: the mean over its runs.
    ``value`` and ``mean`` (over the series) are points of accuracy, pruned less dense. Results
    without counts by class, and classes without test images, are left out."""
    changes: dict[str, dict[str, dict[str, Any]]] = {}
    for series, results in lines.items():
        for name, cell in _by_class(results).items():
            changes.setdefault(name, {})[series] = cell
    means = {name: _mean(cell["value"] for cell in by.values()) for name, by in changes.items()}
    ordered = sorted(means, key=lambda name: means[name])
    shown = ordered if len(ordered) <= MOST else ordered[: MOST // 2] + ordered[-MOST // 2 :]
    rows = [
        {"row": name, "column": series, "mean": means[name], **cell} | {"sign": ""}
        for name in shown
        for series, cell in changes[name].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def left_out(lines: Lines, rows: pd.DataFrame) -> int:
    """How many classes are not in ``rows``, the table of ``lines``."""
    known = {name for results in lines.values() for name in _by_class(results)}
    return len(known) - rows["row"].nunique()


def plan(rows: pd.DataFrame) -> Plan:
    """How to draw ``rows``."""
    widest = float(rows["value"].abs().max()) if len(rows) else 0.0
    columns = tuple(rows["column"].unique())
    return Plan(tuple(rows["row"].unique()), columns, max(1.0, round(widest, 1)))


def chart(plan: Plan, colours: Colours) -> Spec:
    """The heat map: one colour for losses, the other for gains, the ground for no change."""
    shades = alt.Color(
        "value:Q",
        scale=alt.Scale(
            domain=[-plan.most, 0, plan.most],
            range=[colours.danger, heat_map.nothing(colours), colours.kept],
            interpolate="rgb",
        ),
        legend=heat_map.scale_of_shades(
            "Points of accuracy, pruned less dense", POINTS, [-plan.most, 0, plan.most]
        ),
    )
    lost, gained = (
        plan.most * heat_map.turn(end, colours) for end in (colours.danger, colours.kept)
    )
    strong = f"datum.value < {-lost:.3f} || datum.value > {gained:.3f}"
    return heat_map.chart(Grid(plan.rows, plan.columns, TOOLTIPS), shades, strong, colours)


def description(rows: pd.DataFrame) -> str:
    """The shades in words: who pays most, who least."""
    if rows.empty:
        return "Change of accuracy by class: not known."
    means = rows.drop_duplicates("row")
    worst, best = means.iloc[0], means.iloc[-1]
    return (
        f"Change of accuracy in {len(means)} classes, mean over the series: most is lost in "
        f"{worst['row']} ({_signed(worst['mean'])} points), least in {best['row']} "
        f"({_signed(best['mean'])} points)."
    )


def _by_class(results: Sequence[RunRecord]) -> dict[str, dict[str, Any]]:
    """A cell for each class of which there are test images."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for result in results:
        counts = result.per_class
        if not counts:
            continue
        names = result.data.classes
        of = (counts["images"], counts["dense"], counts["pruned"])
        for name, images, dense, pruned in zip(names, *of, strict=True):
            if images:
                found.setdefault(name, []).append((images, dense / images, pruned / images))
    return {name: _cell(several) for name, several in found.items()}


def _cell(several: Sequence[tuple[int, float, float]]) -> dict[str, Any]:
    images, dense, pruned = (list(values) for values in zip(*several, strict=True))
    value = to_percent(_mean(pruned) - _mean(dense))
    counted = f"{min(images):,}" if len(set(images)) == 1 else f"{min(images):,} or more"
    return {
        "value": value,
        "text": _short(value),
        "images": min(images),
        "runs": len(several),
        "points": f"{_signed(value)} points",
        "dense": accuracy(_mean(dense)),
        "pruned": accuracy(_mean(pruned)),
        "told": counted if len(several) == 1 else f"{counted} in each of {len(several)} runs",
    }


def _short(points: float) -> str:
    """In as few digits as tell something."""
    shown = _signed(points)
    return shown if abs(points) < 9.95 else f"{shown[0]}{abs(points):.0f}"


def _signed(points: float) -> str:
    return signed(points) if abs(points) >= 0.05 else "0"


def _mean(values: Any) -> float:
    several = list(values)
    return float(sum(several) / len(several))
