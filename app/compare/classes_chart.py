"""Which classes lose accuracy: the change by pruning in each class, by series.

Takes the means by class (``analysis.classes``). ``rows = table(means)``,
``chart(plan(rows), theme())``, ``description(rows)``. Of many classes only those that lose and gain
most are in the table: ``left_out(means, rows)`` counts the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts import heat_map
from app.charts.heat_map import Grid
from app.charts.rows import records
from app.charts.spec import Spec
from app.ui.format import accuracy, signed, to_percent
from prospr_engine.report.charts.colours import Colours

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
    "count",
)
TOOLTIPS = {
    "column": "Series",
    "row": "Class",
    "points": "Change",
    "dense": "Dense",
    "pruned": "Pruned",
    "count": "Test images",
}
POINTS = "datum.value ? format(datum.value, '+.3~g') : '0'"
MOST = 20
"""Classes shown: of more, the half that lose most and the half that gain most."""


@dataclass(frozen=True)
class Plan:
    """``most`` is the change, in points, of the strongest shades."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    most: float


def table(means: pd.DataFrame) -> pd.DataFrame:
    """A row per class and series, most affected class first. ``value`` and ``mean`` (over the
    series) are points of accuracy, pruned − dense."""
    ordered = list(means["name"].unique())
    shown = ordered if len(ordered) <= MOST else ordered[: MOST // 2] + ordered[-MOST // 2 :]
    means = means[means["name"].isin(shown)]
    value = means["change"].map(to_percent)
    rows = means.rename(columns={"name": "row", "series": "column", "fewest": "images"}).assign(
        value=value,
        mean=means["mean"].map(to_percent),
        text=value.map(_short),
        sign="",
        points=value.map(lambda points: f"{_signed(points)} points"),
        dense=means["dense"].map(accuracy),
        pruned=means["pruned"].map(accuracy),
        count=[_images(**one) for one in records(means[["fewest", "most", "runs"]])],
    )
    return rows[list(COLUMNS)]


def left_out(means: pd.DataFrame, rows: pd.DataFrame) -> int:
    """How many classes are not in ``rows``, the table of ``means``."""
    return int(means["name"].nunique() - rows["row"].nunique())


def plan(rows: pd.DataFrame) -> Plan:
    """How to draw ``rows``."""
    widest = float(rows["value"].abs().max()) if len(rows) else 0.0
    columns = tuple(rows["column"].unique())
    return Plan(tuple(rows["row"].unique()), columns, max(1.0, round(widest, 1)))


def chart(plan: Plan, colours: Colours) -> Spec:
    """The heat map: one colour for losses, another for gains, the background for no change."""
    shades = alt.Color(
        "value:Q",
        scale=alt.Scale(
            domain=[-plan.most, 0, plan.most],
            range=[colours.danger, heat_map.palest(colours), colours.kept],
            interpolate="rgb",
        ),
        legend=heat_map.shades_legend(
            "Points of accuracy, pruned \N{MINUS SIGN} dense", POINTS, [-plan.most, 0, plan.most]
        ),
    )
    lost, gained = (
        plan.most * heat_map.ink_switch(end, colours) for end in (colours.danger, colours.kept)
    )
    strong = f"datum.value < {-lost:.3f} || datum.value > {gained:.3f}"
    return heat_map.chart(Grid(plan.rows, plan.columns, TOOLTIPS), shades, strong, colours)


def description(rows: pd.DataFrame) -> str:
    """The shades in words: the classes that lose most and least."""
    if rows.empty:
        return "Change of accuracy by class: unknown."
    means = rows.drop_duplicates("row")
    worst, best = means.iloc[0], means.iloc[-1]
    return (
        f"Change of accuracy in {len(means)} classes, mean over the series: most is lost in "
        f"{worst['row']} ({_signed(worst['mean'])} points), least in {best['row']} "
        f"({_signed(best['mean'])} points)."
    )


def _images(fewest: int, most: int, runs: int) -> str:
    """``120``, ``118 or more in each of 5 runs``"""
    images = f"{fewest:,}" if fewest == most else f"{fewest:,} or more"
    return images if runs == 1 else f"{images} in each of {runs} runs"


def _short(points: float) -> str:
    """With as few digits as are significant."""
    shown = _signed(points)
    return shown if abs(points) < 9.95 else f"{shown[0]}{abs(points):.0f}"


def _signed(points: float) -> str:
    return signed(points) if abs(points) >= 0.05 else "0"
