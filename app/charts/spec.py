"""From an Altair chart to the spec that Streamlit draws with data of its own."""

from __future__ import annotations

import altair as alt

from prospr_engine.report.charts.spec import CONFIG, GROWS, SOURCE, Spec

DATA = alt.NamedData(SOURCE)
"""The data of every chart, under the name that Streamlit uses."""


def spec(chart: alt.Chart | alt.LayerChart, grows: bool = False) -> Spec:
    """The Vega-Lite spec of a chart of ``DATA``. Its height includes axes and legends, unless the
    chart ``grows``: then these are added to it."""
    built: Spec = chart.to_dict()
    built.setdefault("config", {}).update(CONFIG)
    if grows:
        built["autosize"] = GROWS
    return built
