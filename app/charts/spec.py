"""From an Altair chart to the spec that Streamlit draws with data of its own."""

from __future__ import annotations

from typing import Any

import altair as alt

Spec = dict[str, Any]

DATA = alt.NamedData("source")
"""The data of every chart, under the name that Streamlit uses."""

GROWS = {"type": "fit-x", "contains": "padding"}


def spec(chart: alt.Chart | alt.LayerChart, grows: bool = False) -> Spec:
    """The Vega-Lite spec of a chart of ``DATA``. Its height includes axes and legends, unless the
    chart ``grows``: then these are added to it."""
    built: Spec = chart.to_dict()
    # Screen readers would read every mark as an unnamed image; the chart's alt text is enough.
    built.setdefault("config", {})["mark"] = {"aria": False}
    if grows:
        built["autosize"] = GROWS
    return built
