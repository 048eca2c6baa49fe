"""What lies behind the comparison at one sparsity: nothing of it is read before it is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from app.charts import series_style
from app.charts.colours import Colours
from app.charts.rows import done
from app.charts.spec import Spec
from app.compare import classes_chart, curves_chart, overlap_chart
from app.compare import detail_words as words
from app.compare import layers_chart as compare_layers
from app.compare.answer import show_sentences
from app.compare.filters import SECTIONS, Shown, level
from app.compare.plots import classes_spec
from app.services import EngineError, Run
from app.services.compared_results import Results, results
from app.services.overlap import Likeness, likeness
from app.ui.findings import show_error
from app.ui.format import percent
from app.ui.glossary import TERMS
from app.ui.plots import theme

Lines = dict[str, list[Run]]


def show_details(shown: Shown, runs: dict[str, Run]) -> None:
    """The sections, closed, and the sparsity that they are about."""
    st.markdown("### Up close, at one sparsity")
    at = level(shown.rows)
    rows = done(shown.rows)
    there = rows[rows["sparsity"] == at].sort_values(["order", "seed"], kind="stable")
    lines: Lines = {}
    for series, run in zip(there["series"], there["run"], strict=True):
        lines.setdefault(series, []).append(runs[run])
    if not lines:
        st.caption("Nothing is done at this sparsity.")
        return
    key = f"{shown.key} at {at}"
    parts: list[tuple[str, str, str, Callable[[], None]]] = [
        ("How they learned", "curves", "show_chart", lambda: _curves(key, lines, there)),
        ("What they keep of every layer", "layers", "stacks", lambda: _layers(key, lines)),
        ("Which classes pay", "classes", "category", lambda: _classes(key, lines)),
    ]
    if len(lines) > 1:
        title = "Which weights they have in common"
        parts.insert(2, (title, "overlap", "join_inner", lambda: _overlap(key, lines)))
    for title, name, icon, show in parts:
        box = st.expander(
            f"{title}, at {percent(at)}",
            icon=f":material/{icon}:",
            key=SECTIONS[name],
            bind="query-params",
        )
        if box.open:
            with box:
                try:
                    show()
                except EngineError as error:
                    show_error(error)


def _curves(key: str, lines: Lines, there: pd.DataFrame) -> None:
    count, found = _sized(lines)
    data, plan, alt = _curves_data(key, count, found, there)
    if not data.empty:
        st.vega_lite_chart(data, _curves_spec(plan, theme()), key="detail-curves", alt=alt)
    show_sentences(words.curves(data))


def _layers(key: str, lines: Lines) -> None:
    data, plan, alt = _layers_data(key, *_sized(lines))
    st.vega_lite_chart(data, _layers_spec(plan, theme()), key="detail-layers", alt=alt)
    show_sentences(words.layers(data))


def _classes(key: str, lines: Lines) -> None:
    data, plan, alt, left_out = _classes_data(key, *_sized(lines))
    if not data.empty:
        st.vega_lite_chart(data, classes_spec(plan, theme()), key="detail-classes", alt=alt)
    show_sentences(words.classes(data, left_out))


def _overlap(key: str, lines: Lines) -> None:
    found, names = likeness(lines), tuple(lines)
    data, alt = _overlap_data(key, names, found)
    if data["jaccard"].notna().any():
        st.vega_lite_chart(data, _overlap_spec(names, theme()), key="detail-overlap", alt=alt)
    show_sentences(words.overlap(data))
    pairs = [(one.first, one.second) for one in found if not one.layer]
    if pairs:
        _overlap_layers(found, pairs)


def _overlap_layers(found: Sequence[Likeness], pairs: Sequence[tuple[str, str]]) -> None:
    """The same for two lines, layer by layer."""
    st.markdown("**Layer by layer**", help=TERMS["layer"])
    alike = max((one for one in found if not one.layer), key=lambda one: one.jaccard or 0)
    first, second = alike.first, alike.second
    if len(pairs) > 1:
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        left, right = st.columns(2)
        first = left.selectbox("Masks of", names, names.index(first), key="pair-first")
        known = [a if b == first else b for a, b in pairs if first in (a, b)]
        start = known.index(second) if first == alike.first else 0
        second = right.selectbox("and of", known, start, key=f"pair-second-{first}")
    data = overlap_chart.layers_table(found, first, second)
    layers = tuple(data["layer"])
    spec = _overlap_layers_spec(layers, theme())
    alt = overlap_chart.layers_description(data)
    st.vega_lite_chart(data, spec, key="detail-overlap-layers", alt=alt)
    show_sentences(words.overlap_layers(data, first, second))


def _read(lines: Lines) -> Results:
    """The results as far as they are there; says how many are not."""
    with st.spinner("Reading the results"):
        found, gone = results(lines)
    if gone:
        several = "result is" if gone == 1 else "results are"
        st.caption(f"{gone:,} {several} not on the server any more.")
    return found


def _sized(lines: Lines) -> tuple[int, Results]:
    """The results, and how many there are: of those of a key, some may go."""
    found = _read(lines)
    return sum(map(len, found.values())), found


# Kept by what is on show and how many results of it were there.
@st.cache_data(max_entries=60, show_spinner=False)
def _curves_data(
    key: str, count: int, _found: Results, _there: pd.DataFrame
) -> tuple[pd.DataFrame, curves_chart.Plan, str]:
    data = curves_chart.table(_found)
    plan = curves_chart.plan(data, series_style.looks(_there))
    return data, plan, curves_chart.description(data)


@st.cache_data(max_entries=60, show_spinner=False)
def _layers_data(
    key: str, count: int, _found: Results
) -> tuple[pd.DataFrame, compare_layers.Plan, str]:
    data = compare_layers.table(_found)
    return data, compare_layers.plan(data), compare_layers.description(data)


@st.cache_data(max_entries=60, show_spinner=False)
def _classes_data(
    key: str, count: int, _found: Results
) -> tuple[pd.DataFrame, classes_chart.Plan, str, int]:
    data = classes_chart.table(_found)
    left_out = classes_chart.left_out(_found, data)
    return data, classes_chart.plan(data), classes_chart.description(data), left_out


@st.cache_data(max_entries=60, show_spinner=False)
def _overlap_data(
    key: str, names: tuple[str, ...], _found: Sequence[Likeness]
) -> tuple[pd.DataFrame, str]:
    data = overlap_chart.table(_found, names)
    return data, overlap_chart.description(data)


@st.cache_data(max_entries=60, show_spinner=False)
def _curves_spec(plan: curves_chart.Plan, colours: Colours) -> Spec:
    return curves_chart.chart(plan, colours)


@st.cache_data(max_entries=60, show_spinner=False)
def _layers_spec(plan: compare_layers.Plan, colours: Colours) -> Spec:
    return compare_layers.chart(plan, colours)


@st.cache_data(max_entries=60, show_spinner=False)
def _overlap_spec(names: tuple[str, ...], colours: Colours) -> Spec:
    return overlap_chart.chart(names, colours)


@st.cache_data(max_entries=60, show_spinner=False)
def _overlap_layers_spec(layers: tuple[str, ...], colours: Colours) -> Spec:
    return overlap_chart.layers_chart(layers, colours)
