"""The size of a network's file in every encoding, against the share of weights removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from app.charts import expressions
from app.charts.colours import Colours
from app.charts.series_style import HUES_DARK, HUES_LIGHT
from app.charts.spec import DATA, Spec, spec
from app.ui.format import percent, size

HEIGHT = 320  # pixels, with axes and legend
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [5, 5], [1, 3])
"""So as not to rely on colour alone."""
TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def table(
    curve: Sequence[tuple[float, Mapping[str, int]]],
    here: tuple[float, Mapping[str, int]],
    labels: Mapping[str, str],
) -> pd.DataFrame:
    """One row per encoding and point: the sparsity and the bytes of the ``curve``, and those
    ``here``, where the slider is. ``labels`` are those of the encodings, in their order."""
    rows = [
        {
            "encoding": label,
            "order": order,
            "density": 1 - sparsity,
            "bytes": bytes[name],
            "removed": percent(sparsity),
            "size": size(bytes[name]),
            "here": sparsity == here[0],
        }
        for order, (name, label) in enumerate(labels.items())
        for sparsity, bytes in sorted([p for p in curve if p[0] != here[0]] + [here], key=_first)
    ]
    return pd.DataFrame(rows)


def chart(labels: Sequence[str], colours: Colours, dark: bool = False) -> Spec:
    """A line per encoding with one of these ``labels``, and a mark where the slider is."""
    hues = (HUES_DARK if dark else HUES_LIGHT)[: len(labels)]
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolSize=250, symbolStrokeWidth=2.5,
        columns=alt.ExprRef("max(1, floor(width / 190))"), labelLimit=180,
    )  # fmt: skip
    base = alt.Chart(DATA).encode(
        x=alt.X(
            "density:Q",
            title="Weights removed",
            scale=alt.Scale(type="log", reverse=True, nice=False),
            axis=alt.Axis(
                values=[round(1 - tick, 6) for tick in TICKS],
                labelExpr=expressions.percent(share="(1 - datum.value)"),
                grid=False,
            ),
        ),
        y=alt.Y(
            "bytes:Q",
            title="File size",
            scale=alt.Scale(type="log", nice=False, padding=10),
            axis=alt.Axis(labelExpr=expressions.SIZE, tickCount=5),
        ),
        color=alt.Color(
            "encoding:N", scale=alt.Scale(domain=list(labels), range=list(hues)), legend=legend
        ),
        tooltip=[
            alt.Tooltip("encoding:N", title="File"),
            alt.Tooltip("removed:N", title="Weights removed"),
            alt.Tooltip("size:N", title="Size"),
        ],
    )
    dashes = alt.Scale(
        domain=list(labels), range=[list(DASHES[i % len(DASHES)]) for i in range(len(labels))]
    )
    lines = base.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash("encoding:N", scale=dashes, legend=legend)
    )
    here = base.transform_filter("datum.here")
    rule = (
        alt.Chart(DATA)
        .transform_filter("datum.here && datum.order == 0")
        .mark_rule(color=colours.ink, strokeDash=[5, 3], strokeWidth=1.5, tooltip=None)
        .encode(x="density:Q")
    )
    points = here.mark_circle(size=70, opacity=1)
    return spec(alt.LayerChart(layer=[rule, lines, points]).properties(height=HEIGHT))


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for screen readers."""
    here = rows[rows["here"]]
    sizes = ", ".join(f"{row['encoding']} {row['size']}" for row in here.to_dict("records"))
    removed = here["removed"].iloc[0]
    return f"File size against weights removed, in every encoding. At {removed}: {sizes}."


def _first(point: tuple[float, Mapping[str, int]]) -> float:
    return point[0]
