"""Training curves of the dense and the pruned network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts import expressions
from app.charts.spec import DATA, Spec, spec
from app.services import EpochEnded
from app.ui.format import accuracy

NETWORKS = ["dense", "pruned"]
HEIGHT = 260  # pixels, with axis and legend


@dataclass(frozen=True)
class Measure:
    """A column of the table, its title, and the format of its numbers."""

    column: str
    title: str
    axis: str
    text: Callable[[float], str]


MEASURES = {
    "Accuracy": Measure(
        "validation_accuracy",
        "Validation accuracy",
        expressions.percent(),
        accuracy,
    ),
    "Loss": Measure(
        "validation_loss", "Validation loss", "format(datum.value, '.3~g')", "{:.3f}".format
    ),
}


def table(epochs: Sequence[EpochEnded]) -> pd.DataFrame:
    """One row per network and epoch."""
    columns = ["network", "epoch", "validation_accuracy", "validation_loss", "train_loss"]
    rows = pd.DataFrame([[getattr(epoch, c) for c in columns] for epoch in epochs], columns=columns)
    rows["percent"] = [accuracy(share) for share in rows["validation_accuracy"]]
    return rows


def chart(epochs: int, measure: Measure) -> Spec:
    """``measure`` by epoch; training has ``epochs`` epochs."""
    base = alt.Chart(DATA).encode(
        x=alt.X(
            # Ordinal: a quantitative axis drops some of three whole numbers.
            "epoch:O",
            title="Epoch",
            scale=alt.Scale(domain=list(range(1, epochs + 1))),
            axis=alt.Axis(values=_ticks(epochs), labelAngle=0, labelOverlap=False, ticks=False),
        ),
        y=alt.Y(
            f"{measure.column}:Q",
            title=measure.title,
            scale=alt.Scale(zero=False, padding=8),
            axis=alt.Axis(labelExpr=measure.axis, tickCount=5),
        ),
        color=alt.Color("network:N", scale=alt.Scale(domain=NETWORKS), legend=_legend()),
        tooltip=[
            alt.Tooltip("network:N", title="Network"),
            alt.Tooltip("epoch:O", title="Epoch"),
            alt.Tooltip("percent:N", title="Validation accuracy"),
            alt.Tooltip("validation_loss:Q", title="Validation loss (nats)", format=".3f"),
            alt.Tooltip("train_loss:Q", title="Training loss (nats)", format=".3f"),
        ],
    )
    # Dashes, so as not to rely on colour alone.
    dashes = alt.Scale(domain=NETWORKS, range=[[1, 0], [6, 3]])
    lines = base.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash("network:N", scale=dashes, legend=_legend())
    )
    points = base.mark_circle(size=60 if epochs <= 20 else 15, opacity=1)
    return spec(alt.LayerChart(layer=[lines, points]).properties(height=HEIGHT))


def description(rows: pd.DataFrame, measure: Measure) -> str:
    """The chart in words, for screen readers."""
    last = {row["network"]: row for row in rows.to_dict("records")}
    values = ", ".join(
        f"{name} {measure.text(last[name][measure.column])} after epoch {last[name]['epoch']}"
        for name in NETWORKS
        if name in last
    )
    return f"{measure.title} by epoch: {values or 'nothing yet'}."


def _ticks(epochs: int) -> list[int]:
    """About ten epochs, and the first."""
    step = math.ceil(epochs / 10)
    return sorted({1, *range(step, epochs + 1, step)}) if epochs else []


def _legend() -> alt.Legend:
    return alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolSize=250, symbolStrokeWidth=2.5
    )
