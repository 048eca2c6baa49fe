"""What several series keep of every layer: shades of density, collapsed layers marked.

What goes in: by name of a series, in their order, the results of its runs at one
sparsity. ``rows = table(lines)``, ``chart(plan(rows), theme())``, ``description(rows)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts import expressions, heat_map
from app.charts.colours import Colours
from app.charts.heat_map import Grid
from app.charts.layers import label
from app.charts.spec import Spec
from app.services import LayerRecord, RunRecord
from app.ui.format import cell_percent, percent

Lines = Mapping[str, Sequence[RunRecord]]
COLUMNS = (
    "row",
    "column",
    "name",
    "value",
    "share",
    "kept",
    "total",
    "runs",
    "empty",
    "text",
    "sign",
    "percent",
    "counts",
    "told",
)
TOOLTIPS = {
    "column": "Series",
    "name": "Parameter",
    "percent": "Share kept",
    "counts": "Weights kept",
    "told": "Runs",
}
LEAST = 1e-4
PERCENT = expressions.percent(3)
COLLAPSED = "✕"


@dataclass(frozen=True)
class Plan:
    """``least`` is the density of the palest shade."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    least: float


def table(lines: Lines) -> pd.DataFrame:
    """A row per layer and series, layers in the network's order: the mean over the runs. ``empty``
    counts the runs in which the layer lost all its weights."""
    numbers: dict[str, int] = {}
    found: dict[tuple[str, str], list[LayerRecord]] = {}
    for series, results in lines.items():
        for result in results:
            for layer in result.pruning.layers:
                numbers.setdefault(layer.name, len(numbers) + 1)
                found.setdefault((layer.name, series), []).append(layer)
    names = _apart(numbers)
    rows = [
        {"row": names[name], "column": series, "name": name, **_cell(found[name, series])}
        for name in numbers
        for series in lines
        if (name, series) in found
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def plan(rows: pd.DataFrame) -> Plan:
    """How to draw ``rows``."""
    known = rows["value"].dropna()
    least = _floor(known.min() if len(known) else 1.0)
    return Plan(tuple(rows["row"].unique()), tuple(rows["column"].unique()), least)


def chart(plan: Plan, colours: Colours) -> Spec:
    """The heat map; shades are those of the logarithm, for layers differ in factors."""
    shades = alt.Color(
        "value:Q",
        scale=alt.Scale(
            type="log",
            domain=[plan.least, 1],
            range=[heat_map.nothing(colours), colours.most],
            interpolate="rgb",
            clamp=True,
            nice=False,
        ),
        legend=heat_map.scale_of_shades(
            "Share of the layer's weights kept", PERCENT, _ticks(plan.least)
        ),
    )
    strong = plan.least ** (1 - heat_map.turn(colours.most, colours))
    grid = Grid(plan.rows, plan.columns, TOOLTIPS)
    return heat_map.chart(grid, shades, f"datum.value > {strong:.6f}", colours)


def description(rows: pd.DataFrame) -> str:
    """The shades in words: of every series, the layer that keeps the least."""
    told = []
    for series, group in rows.groupby("column", sort=False):
        worst = group.sort_values("share").iloc[0]
        told.append(f"{series} keeps least in {worst['row']} ({worst['percent']})")
    count = rows["row"].nunique()
    return f"Share of weights kept in each of {count} layers: {'; '.join(told) or 'nothing'}."


def _cell(layers: Sequence[LayerRecord]) -> dict[str, Any]:
    total = layers[0].total
    kept = sum(layer.kept for layer in layers) / len(layers)
    share = kept / total
    empty = sum(not layer.kept for layer in layers)
    told = "1" if len(layers) == 1 else f"mean of {len(layers)}"
    if empty:
        told += f"; no weight left in {empty}" if len(layers) > 1 else "; no weight left"
    return {
        "value": share or None,
        "share": share,
        "kept": kept,
        "total": total,
        "runs": len(layers),
        "empty": empty,
        "text": "" if empty else cell_percent(share),
        "sign": COLLAPSED if empty else "",
        "percent": percent(share),
        "counts": f"{kept:,.0f} of {total:,}",
        "told": told,
    }


def _apart(numbers: Mapping[str, int]) -> dict[str, str]:
    """What layers are called, no two the same."""
    labels = {name: label(name, number) for name, number in numbers.items()}
    seen = list(labels.values())
    return {name: text if seen.count(text) == 1 else name for name, text in labels.items()}


def _floor(share: float) -> float:
    """A tenth, a hundredth … not above ``share``, but at least ``LEAST``."""
    return max(LEAST, 10.0 ** math.floor(math.log10(min(share, 0.999)) + 1e-9))


def _ticks(least: float) -> list[float]:
    return [10.0**-power for power in range(round(-math.log10(least)), -1, -1)]
