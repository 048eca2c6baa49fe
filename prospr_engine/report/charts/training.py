"""Training curves of the dense and the pruned network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from prospr_engine.events import EpochEnded
from prospr_engine.format import accuracy
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.spec import Spec, channel, layered, line_legend, tooltip

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
    common = {
        # Ordinal: a quantitative axis drops some of three whole numbers.
        "x": channel(
            "epoch:O",
            title="Epoch",
            scale={"domain": list(range(1, epochs + 1))},
            axis={
                "values": _ticks(epochs),
                "labelAngle": 0,
                "labelOverlap": False,
                "ticks": False,
            },
        ),
        "y": channel(
            f"{measure.column}:Q",
            title=measure.title,
            scale={"zero": False, "padding": 8},
            axis={"labelExpr": measure.axis, "tickCount": 5},
        ),
        "color": channel("network:N", scale={"domain": NETWORKS}, legend=line_legend()),
        "tooltip": tooltip(
            ("network:N", "Network"),
            ("epoch:O", "Epoch"),
            ("percent:N", "Validation accuracy"),
            ("validation_loss:Q", "Validation loss (nats)", ".3f"),
            ("train_loss:Q", "Training loss (nats)", ".3f"),
        ),
    }
    # Dashes, so as not to rely on colour alone.
    dashes = channel(
        "network:N",
        scale={"domain": NETWORKS, "range": [[1, 0], [6, 3]]},
        legend=line_legend(),
    )
    lines = {
        "mark": {"type": "line", "strokeWidth": 2.5},
        "encoding": {**common, "strokeDash": dashes},
    }
    points = {
        "mark": {"type": "circle", "size": 60 if epochs <= 20 else 15, "opacity": 1},
        "encoding": common,
    }
    return layered([lines, points], HEIGHT)


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
