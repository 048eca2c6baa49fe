"""Charts on a page: the one place that hands them to Streamlit.

Specs are cached; only the data is sent again, and the browser swaps it in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from app.charts import histogram, picture
from app.charts.spec import Spec
from app.services import EpochEnded, LayerRecord, PruningRecord, Width
from app.services.scores import Histogram
from app.ui.findings import plain
from prospr_engine.report.charts import file_sizes, layers, training, widths
from prospr_engine.report.charts.colours import Colours, colours


def theme() -> Colours:
    """The colours of the visitor's theme."""
    return colours(st.context.theme.type == "dark")


def show_layers(rows: Sequence[LayerRecord], key: str) -> None:
    """One bar per layer for the weights kept, a legend of the signs at some of them, and the layers
    that were set by hand."""
    data, words, signs = _layers(rows)
    st.vega_lite_chart(data, _layers_spec(len(rows), theme()), key=key, alt=words)
    if signs:
        st.caption(signs)
    if by_hand := layers.set_by_hand(rows):
        st.caption(plain(by_hand))


def show_widths(rows: Sequence[Width], key: str) -> None:
    """The channels of each layer before and after."""
    data, words = _widths(tuple(rows))
    st.vega_lite_chart(data, _widths_spec(len(rows), theme()), key=key, alt=words)


def show_kept(pruning: PruningRecord, key: str) -> None:
    """What each layer keeps: channels where channels were removed, else weights."""
    if pruning.structure:
        show_widths(pruning.structure.widths, key)
    else:
        show_layers(pruning.layers, key)


def show_accuracy(epochs: Sequence[EpochEnded], of: int, key: str) -> None:
    """Validation accuracy of both networks so far."""
    _show_curves(epochs, of, "Accuracy", key)


@st.fragment
def show_training(history: Sequence[EpochEnded], epochs: int, key: str) -> None:
    """Training curves of both networks: accuracy or loss."""
    shown = st.segmented_control(
        "What the curves show",
        list(training.MEASURES),
        default="Accuracy",
        required=True,
        label_visibility="collapsed",
        key=f"{key}-measure",
    )
    _show_curves(history, epochs, shown, key)


def show_histogram(shown: Histogram, threshold: float, layer: str, key: str) -> None:
    """Histogram of the scores of ``layer`` ("all layers"), with a line at ``threshold``."""
    data = histogram.table(shown.edges, shown.counts, shown.log, threshold)
    words = histogram.description(data, threshold, layer)
    st.vega_lite_chart(data, _histogram_spec(shown.log, theme()), key=key, alt=words)


def show_file_sizes(
    curve: Sequence[tuple[float, Mapping[str, int]]],
    here: tuple[float, Mapping[str, int]],
    labels: Mapping[str, str],
    key: str,
) -> None:
    """Bytes in each encoding against sparsity, see ``charts.file_sizes``."""
    data = file_sizes.table(curve, here, labels)
    chart = _sizes_spec(tuple(labels.values()), st.context.theme.type == "dark")
    st.vega_lite_chart(data, chart, key=key, alt=file_sizes.description(data))


def show_picture(
    rows: pd.DataFrame,
    axes: tuple[str, str],
    tooltips: Mapping[str, str],
    key: str,
    alt: str,
    on_click: Callable[[], None] | None = None,
) -> None:
    """A picture under cells, see ``charts.picture``. The clicked cell is in the session under
    ``key``, see ``clicked``."""
    spec = _picture_spec(axes, dict(tooltips), theme().ink, on_click is not None)
    st.vega_lite_chart(rows, spec, key=key, on_select=on_click or "ignore", alt=alt)


def clicked(key: str) -> tuple[int, int] | None:
    """Top and left of the cell clicked last in the picture with that key."""
    points = st.session_state[key]["selection"].get(picture.CLICK) or []
    return (int(points[0]["top"]), int(points[0]["left"])) if points else None


def _show_curves(epochs: Sequence[EpochEnded], of: int, shown: str, key: str) -> None:
    data, words = _curves(epochs, shown)
    st.vega_lite_chart(data, _curves_spec(of, shown), key=key, alt=words)


@st.cache_data(max_entries=50, show_spinner=False)
def _layers(rows: Sequence[LayerRecord]) -> tuple[pd.DataFrame, str, str]:
    data = layers.table(rows)
    return data, layers.description(data), layers.legend(data)


@st.cache_data(max_entries=50, show_spinner=False)
def _layers_spec(count: int, colours: Colours) -> Spec:
    return layers.chart(count, colours)


@st.cache_data(max_entries=50, show_spinner=False)
def _widths(rows: Sequence[Width]) -> tuple[pd.DataFrame, str]:
    data = widths.table(rows)
    return data, widths.description(data)


@st.cache_data(max_entries=50, show_spinner=False)
def _widths_spec(count: int, colours: Colours) -> Spec:
    return widths.chart(count, colours)


@st.cache_data(max_entries=50, show_spinner=False)
def _curves(epochs: Sequence[EpochEnded], shown: str) -> tuple[pd.DataFrame, str]:
    data = training.table(epochs)
    return data, training.description(data, training.MEASURES[shown])


@st.cache_data(max_entries=50, show_spinner=False)
def _curves_spec(of: int, shown: str) -> Spec:
    return training.chart(of, training.MEASURES[shown])


@st.cache_data(max_entries=4, show_spinner=False)
def _histogram_spec(log: bool, colours: Colours) -> Spec:
    return histogram.chart(log, colours)


@st.cache_data(max_entries=20, show_spinner=False)
def _sizes_spec(labels: tuple[str, ...], dark: bool) -> Spec:
    return file_sizes.chart(labels, colours(dark), dark)


@st.cache_data(max_entries=20, show_spinner=False)
def _picture_spec(
    axes: tuple[str, str], tooltips: dict[str, str], ink: str, clickable: bool
) -> Spec:
    return picture.chart(axes, tooltips, ink, clickable)
