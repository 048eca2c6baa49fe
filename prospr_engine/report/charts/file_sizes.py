"""The size of a network's file in every encoding, against the share of weights removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from prospr_engine.format import percent, size
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import HUES_DARK, HUES_LIGHT, Colours
from prospr_engine.report.charts.spec import Spec, channel, layered, line_legend, tooltip

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
    legend = line_legend(columns={"expr": "max(1, floor(width / 190))"}, labelLimit=180)
    common = {
        "x": channel(
            "density:Q",
            title="Weights removed",
            scale={"type": "log", "reverse": True, "nice": False},
            axis={
                "values": [round(1 - tick, 6) for tick in TICKS],
                "labelExpr": expressions.percent(share="(1 - datum.value)"),
                "grid": False,
            },
        ),
        "y": channel(
            "bytes:Q",
            title="File size",
            scale={"type": "log", "nice": False, "padding": 10},
            axis={"labelExpr": expressions.SIZE, "tickCount": 5},
        ),
        "color": channel(
            "encoding:N", scale={"domain": list(labels), "range": list(hues)}, legend=legend
        ),
        "tooltip": tooltip(
            ("encoding:N", "File"), ("removed:N", "Weights removed"), ("size:N", "Size")
        ),
    }
    stretches = [list(DASHES[place % len(DASHES)]) for place in range(len(labels))]
    dashes = channel(
        "encoding:N", scale={"domain": list(labels), "range": stretches}, legend=legend
    )
    rule = {
        "mark": {
            "type": "rule",
            "color": colours.ink,
            "strokeDash": [5, 3],
            "strokeWidth": 1.5,
            "tooltip": None,
        },
        "encoding": {"x": channel("density:Q")},
        "transform": [{"filter": "datum.here && datum.order == 0"}],
    }
    lines = {
        "mark": {"type": "line", "strokeWidth": 2.5},
        "encoding": {**common, "strokeDash": dashes},
    }
    points = {
        "mark": {"type": "circle", "size": 70, "opacity": 1},
        "encoding": common,
        "transform": [{"filter": "datum.here"}],
    }
    return layered([rule, lines, points], HEIGHT)


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for screen readers."""
    here = rows[rows["here"]]
    sizes = ", ".join(f"{row['encoding']} {row['size']}" for row in here.to_dict("records"))
    removed = here["removed"].iloc[0]
    return f"File size against weights removed, in every encoding. At {removed}: {sizes}."


def _first(point: tuple[float, Mapping[str, int]]) -> float:
    return point[0]
