"""Two results next to each other: answers, settings, figures, layers, curves, masks, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.charts.spec import Spec
from app.compare import pair_charts
from app.compare.differences import differences, sentence
from app.compare.pair_figures import Result, comparable, figures, luck, other_images, shared
from app.services import EngineError, Run
from app.services.overlap import LayerOverlap, overlap
from app.ui import run_link
from app.ui.answer import answer, compared
from app.ui.findings import plain, show_error, show_findings
from app.ui.glossary import TERMS
from app.ui.plots import show_layers
from app.ui.titles import of

LETTERS = ("A", "B")


def show_pair(runs: Sequence[Run], results: Sequence[Result]) -> None:
    """All of two runs that are done."""
    run_link.style()
    warning = other_images(*results)
    if warning:
        st.warning(plain(warning), icon=":material/rule:")
    st.markdown(plain(sentence(differences(runs[0].settings, runs[1].settings))))
    for column, letter, run, result in zip(st.columns(2), LETTERS, runs, results, strict=True):
        with column.container(border=True, height="stretch"):
            _answer(letter, run, result)
    _figures(results)
    _layers(results)
    _curves(results)
    _overlap(runs, results)
    st.markdown("### What was found", help=f"{TERMS['health']} {TERMS['trust']}")
    for column, letter, result in zip(st.columns(2), LETTERS, results, strict=True):
        with column:
            st.markdown(f"**{letter}**")
            show_findings(result)


def _answer(letter: str, run: Run, result: Result) -> None:
    run_link.show_link(run, letter)
    st.markdown(f"### {answer(result)}")
    st.markdown(compared(result))
    st.caption(plain(of(run)))


def _figures(results: Sequence[Result]) -> None:
    st.markdown("### In figures", help=TERMS["point"])
    rows = [f"| {f.name} | {f.first} | {f.second} | {f.difference} |" for f in figures(*results)]
    st.markdown("\n".join(["| Figure | A | B | B less A |", "|:--|--:|--:|--:|", *rows]))
    if comparable(*results):
        st.caption(luck(*results))


def _layers(results: Sequence[Result]) -> None:
    st.markdown("### What was kept of every layer", help=TERMS["mask"])
    one, other = (result["layers"] for result in results)
    if [(x["name"], x["total"]) for x in one] == [(x["name"], x["total"]) for x in other]:
        st.caption("The upper bar is A, the lower one B.")
        data, words = _layers_data(one, other)
        st.vega_lite_chart(data, _layers_spec(len(one)), key="pair-layers", alt=words)
        return
    st.caption("The networks are different ones: their layers have no partners.")
    for column, letter, layers in zip(st.columns(2), LETTERS, (one, other), strict=True):
        with column:
            st.markdown(f"**{letter}**")
            show_layers(layers, key=f"layers-{letter}")


def _curves(results: Sequence[Result]) -> None:
    st.markdown("### Accuracy while training", help=TERMS["validation images"])
    histories = [result["history"] for result in results]
    if not any(histories):
        st.caption("Neither was trained.")
        return
    epochs = max(epoch["epoch"] for history in histories for epoch in history)
    data, words = _curves_data(*histories)
    st.vega_lite_chart(data, _curves_spec(epochs), key="pair-curves", alt=words)


def _overlap(runs: Sequence[Run], results: Sequence[Result]) -> None:
    if len({result["config"].get("model") for result in results}) > 1:
        return  # masks of different networks have no weight in common
    st.markdown("### Which weights both keep", help=TERMS["overlap"])
    try:
        layers = overlap(*runs)
    except EngineError as error:
        show_error(error)
        return
    if layers is None:
        st.caption("The layers have different sizes, so the weights have no partners.")
        return
    st.markdown(shared(layers))
    if len({_start(result) for result in results}) > 1:
        st.caption(
            "The two began with different initial weights: the same place in the network does not "
            "hold the same weight."
        )
    data, words = _overlap_data(layers)
    st.vega_lite_chart(data, _overlap_spec(len(layers)), key="pair-overlap", alt=words)


def _start(result: Result) -> tuple[Any, Any]:
    """What decides the initial weights."""
    return result["config"].get("weights"), result["config"].get("seed")


# Building charts costs more than the rest of the page.
Rows = Sequence[Mapping[str, Any]]


@st.cache_data(max_entries=20, show_spinner=False)
def _layers_data(first: Rows, second: Rows) -> tuple[pd.DataFrame, str]:
    data = pair_charts.layers_table(first, second)
    return data, pair_charts.layers_description(data)


@st.cache_data(max_entries=20, show_spinner=False)
def _curves_data(first: Rows, second: Rows) -> tuple[pd.DataFrame, str]:
    data = pair_charts.curves_table(first, second)
    return data, pair_charts.curves_description(data)


@st.cache_data(max_entries=20, show_spinner=False)
def _overlap_data(layers: tuple[LayerOverlap, ...]) -> tuple[pd.DataFrame, str]:
    data = pair_charts.overlap_table(layers)
    return data, pair_charts.overlap_description(data)


@st.cache_data(max_entries=50, show_spinner=False)
def _layers_spec(count: int) -> Spec:
    return pair_charts.layers_chart(count)


@st.cache_data(max_entries=50, show_spinner=False)
def _curves_spec(epochs: int) -> Spec:
    return pair_charts.curves_chart(epochs)


@st.cache_data(max_entries=50, show_spinner=False)
def _overlap_spec(count: int) -> Spec:
    return pair_charts.overlap_chart(count)
