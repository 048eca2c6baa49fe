"""The channels of each layer before and after channels were removed: a bar within a bar."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from prospr_engine.format import percent
from prospr_engine.pipeline.pruning_record import Width
from prospr_engine.report.charts.colours import Colours
from prospr_engine.report.charts.layers import BELOW, axis, counted, height, label, rows_by
from prospr_engine.report.charts.spec import Spec, channel, layered, tooltip


def table(widths: Sequence[Width]) -> pd.DataFrame:
    """One row per layer, in the network's order."""
    rows = [
        {
            "order": number,
            "layer": label(width.layer, number),
            "before": width.before,
            "after": width.after,
            "percent": percent(width.after / width.before),
            # The right axis shows what follows the bar; the number keeps equal counts apart.
            "counts": f"{number}|{width.after:,} of {width.before:,}",
        }
        for number, width in enumerate(widths, 1)
    ]
    return pd.DataFrame(rows)


def chart(count: int, colours: Colours) -> Spec:
    """The widths of ``count`` layers, the numbers to the right of the bars."""
    tips = tooltip(
        ("layer:N", "Layer"),
        ("after:Q", "Channels kept", ","),
        ("before:Q", "of", ","),
        ("percent:N", "Share kept"),
    )

    def bar(field: str, colour: str, names: Spec | None) -> Spec:
        channels = channel(
            f"{field}:Q",
            title="Output channels",
            axis={"format": ",d", "tickMinStep": 1, "tickCount": 5},
        )
        return {
            "mark": {
                "type": "bar",
                "color": colour,
                "cornerRadiusEnd": 2,
                "height": {"band": 0.72},
            },
            "encoding": {"x": channels, "y": rows_by("layer", names), "tooltip": tips},
        }

    return layered(
        [
            bar("before", colours.ground, axis(count)),
            bar("after", colours.kept, None),
            counted(count, tips),
        ],
        height(count, BELOW),
        resolve={"scale": {"y": "independent"}},
    )


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for screen readers."""
    layers = "; ".join(f"{row.layer} {row.after:,} of {row.before:,}" for row in rows.itertuples())
    return f"Output channels kept in each of {len(rows)} layers: {layers}."
