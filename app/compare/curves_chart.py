"""Training curves of several series at one sparsity, and of the dense network.

Takes the means by epoch (``analysis.curves``), and the looks of the series in the other
charts. ``rows = table(means)``, ``chart(plan(rows, looks), theme())``, ``description(rows)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts.series_style import SHAPES, SOLID, Look, colour, legend
from app.charts.spec import DATA, Spec, spec
from app.ui.format import accuracy
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import Colours

DENSE = "Dense"
COLUMNS = ("series", "epoch", "accuracy", "percent", "seeds")
PERCENT = expressions.percent()
HEIGHT = 240  # pixels of the inside
MARGIN = 0.04  # of the range of accuracies, above and below
FEW = 20  # epochs; with more, points would hide the lines


@dataclass(frozen=True)
class Plan:
    """The looks of the series, whether there is a dense network, the number of epochs, and the ends
    of the accuracy axis."""

    looks: tuple[Look, ...]
    dense: bool
    epochs: int
    accuracy: tuple[float, float] = (0.0, 1.0)


def table(means: pd.DataFrame) -> pd.DataFrame:
    """A row per series and epoch, the dense network as a series of its own."""
    rows = means.assign(
        series=means["series"].where(means["network"] != "dense", DENSE),
        percent=means["accuracy"].map(accuracy),
        seeds=means["runs"].map(lambda runs: "1" if runs == 1 else f"mean of {runs}"),
    )
    return rows[list(COLUMNS)]


def plan(rows: pd.DataFrame, looks: Sequence[Look]) -> Plan:
    """How to draw ``rows``."""
    drawn = set(rows["series"])
    seen = tuple(look for look in looks if look.series in drawn)
    if rows.empty:
        return Plan(seen, False, 0)
    low, high = rows["accuracy"].min(), rows["accuracy"].max()
    margin = MARGIN * (high - low) or 0.01
    ends = max(0.0, round(low - margin, 3)), min(1.0, round(high + margin, 3))
    return Plan(seen, DENSE in drawn, int(rows["epoch"].max()), ends)


def chart(plan: Plan, colours: Colours) -> Spec:
    """A thin line per series; larger points where epochs are few."""
    names = [look.series for look in plan.looks]
    inks = [colour(colours, look) for look in plan.looks]
    dashes = [list(look.dash) for look in plan.looks]
    fills = [
        "transparent" if look.hollow else ink for look, ink in zip(plan.looks, inks, strict=True)
    ]
    shapes = [SHAPES[look.shape] for look in plan.looks]
    if plan.dense:
        names, dashes, shapes = [DENSE, *names], [list(SOLID), *dashes], ["stroke", *shapes]
        inks, fills = [colours.ink, *inks], ["transparent", *fills]
    under = legend(names)
    base = alt.Chart(DATA).encode(
        x=alt.X(
            # Ordinal: a quantitative axis drops some of three whole numbers.
            "epoch:O",
            title="Epoch",
            scale=alt.Scale(domain=list(range(1, plan.epochs + 1))),
            axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=12, ticks=False),
        ),
        y=alt.Y(
            "accuracy:Q",
            title="Validation accuracy",
            scale=alt.Scale(domain=list(plan.accuracy), nice=False, zero=False),
            axis=alt.Axis(labelExpr=PERCENT, tickCount=5),
        ),
        color=alt.Color("series:N", scale=alt.Scale(domain=names, range=inks), legend=under),
        tooltip=[
            alt.Tooltip("series:N", title="Series"),
            alt.Tooltip("epoch:O", title="Epoch"),
            alt.Tooltip("percent:N", title="Validation accuracy"),
            alt.Tooltip("seeds:N", title="Runs"),
        ],
    )
    lines = base.mark_line(strokeWidth=1.5).encode(
        strokeDash=alt.StrokeDash(
            "series:N", scale=alt.Scale(domain=names, range=dashes), legend=under
        )
    )
    points = base.mark_point(
        size=40 if plan.epochs <= FEW else 8, strokeWidth=1.2, opacity=1
    ).encode(
        fill=alt.Fill("series:N", scale=alt.Scale(domain=names, range=fills), legend=under),
        shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=shapes), legend=under),
    )
    layers = alt.LayerChart(layer=[lines, points])
    return spec(layers.properties(height=HEIGHT), grows=True)


def description(rows: pd.DataFrame) -> str:
    """The curves in words: where each ends."""
    last = rows.drop_duplicates("series", keep="last").to_dict("records")
    ends = "; ".join(f"{row['series']} {row['percent']} after epoch {row['epoch']}" for row in last)
    return f"Validation accuracy by epoch: {ends or 'nothing'}."
