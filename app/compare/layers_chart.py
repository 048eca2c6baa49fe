"""Share of weights kept in each layer by several series, collapsed layers marked.

Takes the means by layer (``analysis.layers``). ``rows = table(means)``,
``chart(plan(rows), theme())``, ``description(rows)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts import heat_map
from app.charts.heat_map import Grid
from app.charts.spec import Spec
from app.ui.format import cell_percent, percent
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import Colours
from prospr_engine.report.charts.layers import label

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
    "mean_of",
)
TOOLTIPS = {
    "column": "Series",
    "name": "Parameter",
    "percent": "Share kept",
    "counts": "Weights kept",
    "mean_of": "Runs",
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


def table(means: pd.DataFrame) -> pd.DataFrame:
    """A row per layer and series, layers in the network's order. ``empty`` is the number of runs in
    which the layer lost all its weights."""
    names = _unique(dict(zip(means["name"], means["number"], strict=True)))
    empty = means["empty"] > 0
    rows = means.rename(columns={"series": "column"}).assign(
        row=means["name"].map(names),
        value=means["share"].where(means["share"] > 0),
        text=means["share"].map(cell_percent).where(~empty, ""),
        sign=empty.map({True: COLLAPSED, False: ""}),
        percent=means["share"].map(percent),
        counts=[f"{m.kept:,.0f} of {m.total:,}" for m in means.itertuples()],
        mean_of=[_runs(*pair) for pair in zip(means["runs"], means["empty"], strict=True)],
    )
    return rows[list(COLUMNS)]


def plan(rows: pd.DataFrame) -> Plan:
    """How to draw ``rows``."""
    known = rows["value"].dropna()
    least = _floor(known.min() if len(known) else 1.0)
    return Plan(tuple(rows["row"].unique()), tuple(rows["column"].unique()), least)


def chart(plan: Plan, colours: Colours) -> Spec:
    """The heat map; the colour scale is logarithmic, as densities differ by factors."""
    shades = alt.Color(
        "value:Q",
        scale=alt.Scale(
            type="log",
            domain=[plan.least, 1],
            range=[heat_map.palest(colours), colours.most],
            interpolate="rgb",
            clamp=True,
            nice=False,
        ),
        legend=heat_map.shades_legend(
            "Share of the layer's weights kept", PERCENT, _ticks(plan.least)
        ),
    )
    strong = plan.least ** (1 - heat_map.ink_switch(colours.most, colours))
    grid = Grid(plan.rows, plan.columns, TOOLTIPS)
    return heat_map.chart(grid, shades, f"datum.value > {strong:.6f}", colours)


def description(rows: pd.DataFrame) -> str:
    """The shades in words: of every series, the layer that keeps the least."""
    lines = []
    for series, group in rows.groupby("column", sort=False):
        worst = group.sort_values("share").iloc[0]
        lines.append(f"{series} keeps least in {worst['row']} ({worst['percent']})")
    count = rows["row"].nunique()
    return f"Share of weights kept in each of {count} layers: {'; '.join(lines) or 'nothing'}."


def _runs(runs: int, empty: int) -> str:
    """``1``, ``mean of 5``, and in how many of them the layer is empty."""
    text = "1" if runs == 1 else f"mean of {runs}"
    if not empty:
        return text
    return f"{text}; no weight left in {empty}" if runs > 1 else f"{text}; no weight left"


def _unique(numbers: Mapping[str, int]) -> dict[str, str]:
    """The label of each layer; its full name where labels repeat."""
    labels = {name: label(name, number) for name, number in numbers.items()}
    seen = list(labels.values())
    return {name: text if seen.count(text) == 1 else name for name, text in labels.items()}


def _floor(share: float) -> float:
    """The largest power of ten not above ``share``, but at least ``LEAST``."""
    return max(LEAST, 10.0 ** math.floor(math.log10(min(share, 0.999)) + 1e-9))


def _ticks(least: float) -> list[float]:
    return [10.0**-power for power in range(round(-math.log10(least)), -1, -1)]
