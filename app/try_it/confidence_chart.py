"""The probabilities of a network's most likely classes, one bar each."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from app.charts.spec import Spec, spec
from app.ui.format import fixed_percent

NETWORKS = ["dense", "pruned"]
STEP = 30  # pixels per bar
WIDEST = 1.3  # the end of the axis: room for the number behind a full bar


def table(
    network: str, classes: Sequence[str], chosen: Sequence[int], probabilities: np.ndarray
) -> pd.DataFrame:
    """One row per class of ``chosen``, in their order."""
    rows = [
        {
            "network": network,
            "order": order,
            "class": classes[i],
            "share": float(probabilities[i]),
            "percent": fixed_percent(float(probabilities[i])),
        }
        for order, i in enumerate(chosen)
    ]
    return pd.DataFrame(rows)


def chart(classes: tuple[str, ...]) -> Spec:
    """Bars for these classes, from the top; colours are those of the training curves."""
    base = alt.Chart().encode(
        y=alt.Y(
            "class:N",
            title=None,
            scale=alt.Scale(domain=list(classes)),
            axis=alt.Axis(ticks=False, labelLimit=110, labelFontSize=13),
        ),
        x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, WIDEST]), axis=None),
        tooltip=[
            alt.Tooltip("class:N", title="Class"),
            alt.Tooltip("percent:N", title="Confidence"),
        ],
    )
    bars = base.mark_bar().encode(
        color=alt.Color("network:N", scale=alt.Scale(domain=NETWORKS), legend=None)
    )
    numbers = base.mark_text(align="left", dx=5, fontSize=13).encode(text="percent:N")
    height = STEP * len(classes) + 20
    return spec(alt.LayerChart(layer=[bars, numbers]).properties(height=height))


def description(network: str, rows: pd.DataFrame) -> str:
    """The chart in words."""
    ranked = rows.sort_values("share", ascending=False, kind="stable")
    values = ", ".join(f"{row['class']} {row['percent']}" for row in ranked.to_dict("records"))
    return f"Confidence of the {network} network: {values}."
