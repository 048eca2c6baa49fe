"""Charts of two runs. A and B differ in colour and position, never in colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts.spec import DATA, Spec, spec
from app.services import EpochEnded, LayerRecord
from app.ui.format import fixed_percent
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.layers import label

RUNS = ["A", "B"]
NETWORKS = ["dense", "pruned"]
SHARES = ["kept by both", "only by A", "only by B"]
HEIGHT = 280  # pixels of the curves, with axis and legend
AROUND = 105  # pixels for axis and legend, which Streamlit takes from the chart's height
MOST_ROOMY = 16  # layers; with more of them the rows stand closer
PERCENT = expressions.percent()


def layers_table(first: Sequence[LayerRecord], second: Sequence[LayerRecord]) -> pd.DataFrame:
    """One row per layer and run, in the network's order. Both are of one network."""
    return pd.DataFrame(
        [
            {
                "order": number,
                "layer": label(layer.name, number),
                "name": layer.name,
                "run": run,
                "kept": layer.kept,
                "total": layer.total,
                "share": layer.density,
                "percent": fixed_percent(layer.density, 2),
            }
            for run, layers in zip(RUNS, (first, second), strict=True)
            for number, layer in enumerate(layers, 1)
        ]
    )


def layers_chart(count: int) -> Spec:
    """Share of weights kept in each of ``count`` layers: the upper bar is A, the lower one B."""
    step, size = (40, 13) if count <= MOST_ROOMY else (22, 11)
    chart = (
        alt.Chart(DATA)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "share:Q",
                title="Share of the layer's weights kept",
                axis=alt.Axis(labelExpr=PERCENT, values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=True),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("layer:N", sort=alt.SortField("order"), title=None, axis=_names(size)),
            yOffset=alt.YOffset("run:N", scale=alt.Scale(domain=RUNS, paddingOuter=0.15)),
            color=alt.Color("run:N", scale=alt.Scale(domain=RUNS), legend=_legend("square")),
            tooltip=[
                alt.Tooltip("run:N", title="Run"),
                alt.Tooltip("name:N", title="Parameter"),
                alt.Tooltip("kept:Q", title="Weights kept", format=","),
                alt.Tooltip("total:Q", title="of", format=","),
                alt.Tooltip("percent:N", title="Share kept"),
            ],
        )
        .properties(height=step * count + AROUND)
    )
    return spec(chart)


def layers_description(rows: pd.DataFrame) -> str:
    """The bars in words: where the two differ most."""
    first, second = (rows[rows["run"] == run].to_dict("records") for run in RUNS)
    pairs = zip(first, second, strict=True)
    one, other = max(pairs, key=lambda pair: abs(pair[0]["share"] - pair[1]["share"]))
    return (
        f"Share of weights kept in each of {len(first)} layers by A and by B. They differ most in "
        f"{one['layer']}: {fixed_percent(one['share'], 1)} and {fixed_percent(other['share'], 1)}."
    )


def curves_table(first: Sequence[EpochEnded], second: Sequence[EpochEnded]) -> pd.DataFrame:
    """One row per run, network and epoch."""
    return pd.DataFrame(
        [
            {
                "run": run,
                "network": epoch.network,
                "curve": f"{run}, {epoch.network}",
                "epoch": epoch.epoch,
                "accuracy": epoch.validation_accuracy,
                "percent": fixed_percent(epoch.validation_accuracy, 1),
            }
            for run, history in zip(RUNS, (first, second), strict=True)
            for epoch in history
        ],
        columns=["run", "network", "curve", "epoch", "accuracy", "percent"],
    )


def curves_chart(epochs: int) -> Spec:
    """Validation accuracy of both runs by epoch, of ``epochs`` in the longer one."""
    base = alt.Chart(DATA).encode(
        x=alt.X(
            # Ordinal: a quantitative axis drops some of three whole numbers.
            "epoch:O",
            title="Epoch",
            scale=alt.Scale(domain=list(range(1, epochs + 1))),
            axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=12, ticks=False),
        ),
        y=alt.Y(
            "accuracy:Q",
            title="Validation accuracy",
            scale=alt.Scale(zero=False, padding=8),
            axis=alt.Axis(labelExpr=PERCENT, tickCount=5),
        ),
        color=alt.Color("run:N", scale=alt.Scale(domain=RUNS), legend=_legend("stroke")),
        detail="curve:N",
        tooltip=[
            alt.Tooltip("run:N", title="Run"),
            alt.Tooltip("network:N", title="Network"),
            alt.Tooltip("epoch:O", title="Epoch"),
            alt.Tooltip("percent:N", title="Validation accuracy"),
        ],
    )
    dashes = alt.Scale(domain=NETWORKS, range=[[1, 0], [6, 3]])
    lines = base.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash("network:N", scale=dashes, legend=_legend("stroke"))
    )
    # A is a circle and B a square, dense is filled and pruned hollow: not colour alone, and visible
    # even where a single epoch leaves no line.
    points = base.mark_point(size=60 if epochs <= 20 else 15, opacity=1).encode(
        shape=alt.Shape(
            "run:N", scale=alt.Scale(domain=RUNS, range=["circle", "square"]), legend=None
        ),
        fill=alt.Fill("run:N", scale=alt.Scale(domain=RUNS), legend=None),
        fillOpacity=alt.condition("datum.network == 'dense'", alt.value(1), alt.value(0)),
    )
    return spec(alt.LayerChart(layer=[lines, points]).properties(height=HEIGHT))


def curves_description(rows: pd.DataFrame) -> str:
    """The curves in words: where each of them ends."""
    last = {row["curve"]: row for row in rows.to_dict("records")}
    ends = "; ".join(
        f"{name} {fixed_percent(row['accuracy'], 1)} after epoch {row['epoch']}"
        for name, row in last.items()
    )
    return f"Validation accuracy by epoch: {ends or 'nothing'}."


def overlap_table(layers: Sequence[Any]) -> pd.DataFrame:
    """One row per layer and share. ``layers`` are ``LayerOverlap``, in the network's order."""
    rows = []
    for number, layer in enumerate(layers, 1):
        counts = (layer.both, layer.first - layer.both, layer.second - layer.both)
        for place, (share, count) in enumerate(zip(SHARES, counts, strict=True)):
            rows.append(
                {
                    "order": number,
                    "layer": label(layer.name, number),
                    "name": layer.name,
                    "share": share,
                    "place": place,
                    "count": count,
                    "part": count / sum(counts) if sum(counts) else 0.0,
                    "percent": fixed_percent(count / sum(counts), 2)
                    if sum(counts)
                    else "none kept",
                }
            )
    return pd.DataFrame(rows)


def overlap_chart(count: int) -> Spec:
    """Of the weights that either keeps in each of ``count`` layers: those that both keep, and
    those that only one of them does."""
    step, size = (26, 13) if count <= MOST_ROOMY else (14, 11)
    chart = (
        alt.Chart(DATA)
        .mark_bar(height={"band": 0.72})
        .encode(
            x=alt.X(
                "part:Q",
                title="Share of the weights that A or B keeps",
                stack="zero",
                axis=alt.Axis(labelExpr=PERCENT, values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=True),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("layer:N", sort=alt.SortField("order"), title=None, axis=_names(size)),
            order="place:Q",
            # The theme's colours in the order A, B, both: A and B keep theirs.
            color=alt.Color(
                "share:N",
                scale=alt.Scale(domain=[SHARES[1], SHARES[2], SHARES[0]]),
                legend=_legend("square", values=SHARES),
            ),
            tooltip=[
                alt.Tooltip("name:N", title="Parameter"),
                alt.Tooltip("share:N", title="Weights"),
                alt.Tooltip("count:Q", title="Number", format=","),
                alt.Tooltip("percent:N", title="Share"),
            ],
        )
        .properties(height=step * count + AROUND)
    )
    return spec(chart)


def overlap_description(rows: pd.DataFrame) -> str:
    """The bars in words: where the two agree least and most."""
    both = rows[rows["share"] == SHARES[0]].to_dict("records")
    least, most = (pick(both, key=lambda row: row["part"]) for pick in (min, max))
    return (
        f"Of the weights that A or B keeps, the share that both keep, in {len(both)} layers: least "
        f"in {least['layer']} ({fixed_percent(least['part'], 1)}), most in {most['layer']} "
        f"({fixed_percent(most['part'], 1)})."
    )


def _names(size: int) -> alt.Axis:
    return alt.Axis(
        labelLimit=150,
        labelOverlap=False,
        labelFlush=False,
        labelFontSize=size,
        labelPadding=6,
        ticks=False,
        domain=False,
    )


def _legend(symbol: str, **more: Any) -> alt.Legend:
    return alt.Legend(
        title=None, orient="top", symbolType=symbol, symbolSize=200, symbolStrokeWidth=2.5, **more
    )
