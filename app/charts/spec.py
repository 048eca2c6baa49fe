"""From an Altair chart to the spec that Streamlit draws with data of its own."""

from __future__ import annotations

from typing import Any

import altair as alt

Spec = dict[str, Any]

DATA = alt.NamedData("source")
"""The data of every chart, under the name that Streamlit delivers them to."""

GROWS = {"type": "fit-x", "contains": "padding"}


def spec(chart: alt.Chart | alt.LayerChart, grows: bool = False) -> Spec:
    """The Vega-Lite spec of a chart of ``DATA``. Its height holds all of it; of a chart that
    ``grows`` only the inside, and what stands around that takes the room that it needs."""
    built: Spec = chart.to_dict()
    # Vega has every mark read out as a picture without a name; the chart's alt text says it all.
    built.setdefault("config", {})["mark"] = {"aria": False}
    if grows:
        built["autosize"] = GROWS
    return built
