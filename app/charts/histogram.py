"""Histogram of the scores, with the threshold between kept and removed weights."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.charts.spec import DATA, Spec, spec
from app.ui.format import scientific
from prospr_engine.report.charts.colours import Colours

KEPT, REMOVED = "kept", "removed"
HEIGHT = 240  # pixels, with axes and legend
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COUNT = "format(datum.value, '~s')"
DECADES = range(-46, 39)  # range of single precision


def table(
    edges: NDArray[np.float64], counts: NDArray[np.int64], log: bool, threshold: float
) -> pd.DataFrame:
    """One row per bin, and two for the bin with the ``threshold``. ``log``: positions are powers of
    ten, and a threshold of zero has none."""
    place = np.log10(edges) if log else edges
    line = (math.log10(threshold) if threshold > 0 else None) if log else threshold
    rows = []
    for low, high, count in zip(place[:-1].tolist(), place[1:].tolist(), counts, strict=True):
        divided = line is not None and low < line < high
        for start, end in [(low, line), (line, high)] if divided else [(low, high)]:
            scores = (10**start, 10**end) if log else (start, end)
            rows.append(
                {
                    "low": start,
                    "high": end,
                    "count": int(count),
                    "side": KEPT if line is None or start >= line else REMOVED,
                    "range": " to ".join(map(scientific, scores)),
                    "line": line,
                }
            )
    return pd.DataFrame(rows)


def chart(log: bool, colours: Colours) -> Spec:
    """Bars of kept and removed weights, and a line at the threshold."""
    powers = {str(p): f"10{str(p).translate(SUPERSCRIPT)}" for p in DECADES}
    # SynFlow's scores, sums over all paths in double precision, can be far outside it.
    label = f"{powers}[datum.value] || '10^' + datum.value"
    axis = (
        alt.Axis(tickMinStep=1, labelExpr=label, grid=False, labelFlush=False)
        if log
        else alt.Axis(grid=False, format="~g")
    )
    scale = alt.Scale(zero=False, nice=False)
    base = alt.Chart(DATA)
    bars = base.mark_rect(stroke=None).encode(
        x=alt.X("low:Q", title="Score", axis=axis, scale=scale),
        x2="high:Q",
        y=alt.Y("count:Q", title="Weights", axis=alt.Axis(labelExpr=COUNT, tickCount=4)),
        y2=alt.datum(0),
        color=alt.Color(
            "side:N",
            scale=alt.Scale(domain=[REMOVED, KEPT], range=[colours.removed, colours.kept]),
            legend=alt.Legend(title=None, orient="top", symbolType="square"),
        ),
        tooltip=[
            alt.Tooltip("side:N", title="Weights"),
            alt.Tooltip("range:N", title="Score"),
            alt.Tooltip("count:Q", title="In this range", format=","),
        ],
    )
    line = base.mark_rule(color=colours.ink, strokeWidth=2, strokeDash=[5, 3]).encode(
        x=alt.X("max(line):Q", axis=axis, title="Score", scale=scale)
    )
    return spec(alt.LayerChart(layer=[bars, line]).properties(height=HEIGHT))


def description(rows: pd.DataFrame, threshold: float, layer: str) -> str:
    """The chart in words, for screen readers."""
    highest = max(rows.to_dict("records"), key=lambda row: row["count"])
    return (
        f"Histogram of the scores of {layer}. Most lie around {highest['range']}; "
        f"those above {scientific(threshold)} are kept."
    )
