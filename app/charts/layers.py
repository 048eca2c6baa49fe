"""What was kept of every layer: one horizontal bar each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

BELOW = 55  # pixels for the axis, which Streamlit takes from the chart's height
PERCENT = "round(100 * datum.value) + '\N{NO-BREAK SPACE}%'"
MOST_ROOMY = 16  # layers; with more of them the rows stand closer


def table(layers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per layer, in the network's order. ``layers`` are those of ``result.json``."""
    rows = [
        {
            "order": number,
            "layer": label(layer["name"], number),
            "name": layer["name"],
            "kept": layer["kept"],
            "total": layer["total"],
            "share": layer["kept"] / layer["total"],
            "percent": f"{100 * layer['kept'] / layer['total']:.2f}\N{NO-BREAK SPACE}%",
            "works": layer["effective"],
            # The right axis shows what follows the bar; the number keeps equal counts apart.
            "counts": f"{number}|{layer['kept']:,} of {layer['total']:,}",
        }
        for number, layer in enumerate(layers, 1)
    ]
    return pd.DataFrame(rows)


def chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Share of weights kept by layer, with the counts to the right of the bars."""
    roomy = len(rows) <= MOST_ROOMY
    step, size = (26, 13) if roomy else (14, 11)
    bars = alt.Chart(rows).encode(
        x=alt.X(
            "share:Q",
            title="Share of the layer's weights kept",
            axis=alt.Axis(labelExpr=PERCENT, values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=True),
            scale=alt.Scale(domain=[0, 1]),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="Parameter"),
            alt.Tooltip("kept:Q", title="Weights kept", format=","),
            alt.Tooltip("total:Q", title="of", format=","),
            alt.Tooltip("percent:N", title="Share kept"),
            alt.Tooltip("works:Q", title="Connected to both ends", format=","),
        ],
    )
    left = alt.Axis(
        labelLimit=150,
        labelOverlap=False,
        labelFlush=False,
        labelFontSize=size,
        labelPadding=6,
        ticks=False,
        domain=False,
    )
    right = alt.Axis(
        orient="right",
        labelExpr="split(datum.label, '|')[1]",
        labelLimit=170,
        labelOverlap=False,
        labelFlush=False,
        labelFontSize=size,
        labelPadding=6,
        ticks=False,
        domain=False,
        grid=False,
    )
    by_order = alt.SortField("order")
    return (
        alt.layer(
            bars.mark_bar(cornerRadiusEnd=2, height={"band": 0.72}).encode(
                y=alt.Y("layer:N", sort=by_order, title=None, axis=left),
            ),
            # Invisible and as wide as the plot: a short bar is hard to point at.
            bars.mark_rect(opacity=0).encode(
                y=alt.Y("counts:N", sort=by_order, title=None, axis=right),
                x=alt.value(0),
                x2=alt.value("width"),
            ),
        )
        .resolve_scale(y="independent")
        .properties(height=step * len(rows) + BELOW)
    )


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for those who cannot see it."""
    records = rows.to_dict("records")
    least, most = (pick(records, key=lambda row: row["share"]) for pick in (min, max))
    return (
        f"Share of weights kept in each of {len(rows)} layers: most in {most['layer']} "
        f"({100 * most['share']:.1f} %), least in {least['layer']} ({100 * least['share']:.1f} %)."
    )


def label(name: str, number: int) -> str:
    """What layer ``number`` is called: ``layer1.0.conv1.weight`` is layer1.0.conv1; a bare
    position says nothing."""
    name = name.removesuffix(".weight")
    return name if any(c.isalpha() for c in name) else f"Layer {number}"
