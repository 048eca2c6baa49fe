"""Charts on a page: the one place that hands them to Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app.charts import accuracy, layers


def show_layers(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """One bar per layer of what was kept."""
    spec, words = _layers(rows)
    st.vega_lite_chart(spec=spec, width="stretch", key=key, alt=words)


def show_accuracy(epochs: Sequence[Mapping[str, Any]], of: int, key: str) -> None:
    """Validation accuracy of both networks, as far as it is known."""
    spec, words = _accuracy(epochs, of)
    st.vega_lite_chart(spec=spec, width="stretch", key=key, alt=words)


# Building a chart costs more than the rest of the page, and a live run is looked at every second,
# mostly with nothing new.
@st.cache_data(max_entries=50, show_spinner=False)
def _layers(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    data = layers.table(rows)
    return layers.chart(data).to_dict(), layers.description(data)


@st.cache_data(max_entries=50, show_spinner=False)
def _accuracy(epochs: Sequence[Mapping[str, Any]], of: int) -> tuple[dict[str, Any], str]:
    data = accuracy.table(epochs)
    return accuracy.chart(data, of).to_dict(), accuracy.description(data)
