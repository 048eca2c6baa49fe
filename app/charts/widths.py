"""The channels of each layer before and after channels were removed: a bar within a bar."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from app.charts.colours import Colours
from app.charts.layers import BELOW, axis, counted, height, label
from app.charts.spec import DATA, Spec, spec
from app.services import Width
from app.ui.format import percent


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
    by_order = alt.SortField("order")
    bars = alt.Chart(DATA).encode(
        tooltip=[
            alt.Tooltip("layer:N", title="Layer"),
            alt.Tooltip("after:Q", title="Channels kept", format=","),
            alt.Tooltip("before:Q", title="of", format=","),
            alt.Tooltip("percent:N", title="Share kept"),
        ],
    )

    def across(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            title="Output channels",
            axis=alt.Axis(format=",d", tickMinStep=1, tickCount=5),
        )

    def bar(field: str, colour: str, names: alt.Axis | None) -> alt.Chart:
        mark = bars.mark_bar(color=colour, cornerRadiusEnd=2, height={"band": 0.72})
        return mark.encode(
            x=across(field), y=alt.Y("layer:N", sort=by_order, title=None, axis=names)
        )

    layered = (
        alt.layer(
            bar("before", colours.ground, axis(count)),
            bar("after", colours.kept, None),
            counted(bars, count),
        )
        .resolve_scale(y="independent")
        .properties(height=height(count, BELOW))
    )
    return spec(layered)


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for screen readers."""
    layers = "; ".join(f"{row.layer} {row.after:,} of {row.before:,}" for row in rows.itertuples())
    return f"Output channels kept in each of {len(rows)} layers: {layers}."
