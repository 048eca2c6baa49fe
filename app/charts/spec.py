"""From an Altair chart to the spec that Streamlit draws with data of its own."""

from __future__ import annotations

from typing import Any

import altair as alt

Spec = dict[str, Any]

DATA = alt.NamedData("source")
"""The data of every chart, under the name that Streamlit delivers them to."""


def spec(chart: alt.Chart | alt.LayerChart) -> Spec:
    """The Vega-Lite spec of a chart of ``DATA``."""
    built: Spec = chart.to_dict()
    # Vega has every mark read out as a picture without a name; the chart's alt text says it all.
    built.setdefault("config", {})["mark"] = {"aria": False}
    return built
