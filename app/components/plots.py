"""Charts on a page: the one place that hands them to Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app.charts import accuracy, layers


def show_layers(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """One bar per layer of what was kept."""
    data = layers.table(rows)
    st.altair_chart(layers.chart(data), width="stretch", key=key, alt=layers.description(data))


def show_accuracy(epochs: Sequence[Mapping[str, Any]], of: int, key: str) -> None:
    """Validation accuracy of both networks, as far as it is known."""
    data = accuracy.table(epochs)
    st.altair_chart(
        accuracy.chart(data, of), width="stretch", key=key, alt=accuracy.description(data)
    )
