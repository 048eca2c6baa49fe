"""How the networks of several series learn at one sparsity, and the dense one.

What goes in: by name of a series, in their order, the results of its runs at one
sparsity; and the looks of the frame (``compare_looks.looks``), so that a series looks as it does
in the other charts. ``rows = table(lines)``, ``chart(plan(rows, looks), theme())``,
``description(rows)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import altair as alt
import pandas as pd

from app.charts import expressions
from app.charts.colours import Colours
from app.charts.series_style import SHAPES, SOLID, Look, colour, legend
from app.charts.spec import DATA, Spec, spec
from app.services import EpochEnded, RunRecord
from app.ui.format import accuracy

Lines = Mapping[str, Sequence[RunRecord]]
DENSE = "Dense"
COLUMNS = ("series", "epoch", "accuracy", "percent", "seeds")
PERCENT = expressions.percent()
HEIGHT = 240  # pixels of the inside
MARGIN = 0.04  # of the accuracies on show, above and below
FEW = 20  # epochs; of more, points would hide the lines


@dataclass(frozen=True)
class Plan:
    """Of the dense network and the series: their looks, the number of epochs, and the ends of the
    axis."""

    looks: tuple[Look, ...]
    dense: bool
    epochs: int
    accuracy: tuple[float, float] = (0.0, 1.0)


def table(lines: Lines) -> pd.DataFrame:
    """A row per series and epoch: validation accuracy of its pruned networks, the mean over the
    runs; and one of the dense networks, each seed of which counts once."""
    dense: dict[int, Sequence[EpochEnded]] = {}
    for results in lines.values():
        for result in results:
            dense.setdefault(result.config.seed, result.history_of("dense"))
    rows = [*_means(DENSE, list(dense.values()))]
    for series, results in lines.items():
        rows += _means(series, [result.history_of("pruned") for result in results])
    return pd.DataFrame(rows, columns=list(COLUMNS))


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
    """A thin line per series; points too, where epochs are few."""
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
    """The curves in words: where each of them ends."""
    last = rows.drop_duplicates("series", keep="last").to_dict("records")
    told = "; ".join(f"{row['series']} {row['percent']} after epoch {row['epoch']}" for row in last)
    return f"Validation accuracy by epoch: {told or 'nothing'}."


def _means(series: str, histories: Sequence[Sequence[EpochEnded]]) -> Iterator[dict[str, Any]]:
    by_epoch: dict[int, list[float]] = {}
    for history in histories:
        for epoch in history:
            by_epoch.setdefault(epoch.epoch, []).append(epoch.validation_accuracy)
    for number, values in sorted(by_epoch.items()):
        yield {
            "series": series,
            "epoch": number,
            "accuracy": fmean(values),
            "percent": accuracy(fmean(values)),
            "seeds": "1" if len(values) == 1 else f"mean of {len(values)}",
        }
