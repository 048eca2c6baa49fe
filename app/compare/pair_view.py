"""Two results side by side: answers, settings, figures, layers, curves, masks, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from app.charts.spec import Spec
from app.compare import classes_chart, detail_words, pair_charts, words
from app.compare.answer import show_sentences
from app.compare.differences import differences, sentence
from app.compare.download import show_downloads
from app.compare.filters import Shown, axis
from app.compare.pair_figures import comparable, figures, noise, other_images, shared
from app.compare.plots import classes_spec, show_accuracy
from app.compare.points import show_point
from app.services import EngineError, EpochEnded, LayerRecord, Run, RunRecord, analysis
from app.services.comparison import Comparison, frame
from app.services.overlap import LayerOverlap, overlap
from app.ui import run_link
from app.ui.answer import answer, compared
from app.ui.findings import plain, show_error, show_findings
from app.ui.glossary import TERMS
from app.ui.plots import show_layers, theme
from app.ui.titles import of

LETTERS = ("A", "B")
SAME_FOR_CHART = ("data", "digest", "model", "epochs", "seed", "test_images")
"""Columns in which two runs must agree to share a chart."""


def show_pair(
    both: Comparison, runs: Sequence[Run], results: Sequence[RunRecord], given: Mapping[str, str]
) -> None:
    """Two finished runs; ``given`` are their query parameters."""
    run_link.style()
    shown = Shown(frame(both), both.key)
    warning = other_images(*results)
    if warning:
        st.warning(plain(warning), icon=":material/rule:")
    st.markdown(plain(sentence(differences(runs[0].settings, runs[1].settings))))
    for column, letter, run, result in zip(st.columns(2), LETTERS, runs, results, strict=True):
        with column.container(border=True, height="stretch"):
            _answer(letter, run, result)
    _figures(results, _control(shown.rows, both.classes))
    _accuracy(both, shown, given)
    _layers(results)
    _curves(results)
    _classes(results)
    _overlap(runs, results)
    st.markdown("### Findings", help=f"{TERMS['health']} {TERMS['trust']}")
    for column, letter, result in zip(st.columns(2), LETTERS, results, strict=True):
        with column:
            st.markdown(f"**{letter}**")
            show_findings(result.pruning)


def _answer(letter: str, run: Run, result: RunRecord) -> None:
    run_link.show_link(run, letter)
    st.markdown(f"### {answer(result)}")
    st.markdown(compared(result))
    st.caption(plain(of(run)))


def _figures(results: Sequence[RunRecord], control: str) -> None:
    st.markdown("### Results", help=TERMS["point"])
    rows = [f"| {f.name} | {f.first} | {f.second} | {f.difference} |" for f in figures(*results)]
    st.markdown("\n".join(["| Figure | A | B | B \N{MINUS SIGN} A |", "|:--|--:|--:|--:|", *rows]))
    if comparable(*results):
        show_sentences([noise(*results), control])


def _control(rows: pd.DataFrame, classes: int | None) -> str:
    """What the comparison means if one run is a control of the other."""
    found = analysis.controlled(rows, classes)
    return words.meaning(found[0]) if found else ""


def _accuracy(both: Comparison, shown: Shown, given: Mapping[str, str]) -> None:
    """The accuracy chart, if the two share one, and the downloads."""
    rows = shown.rows
    if len(rows) < 2:
        return  # settings of another version
    drawn = (
        rows["epochs"].iloc[0] > 0
        and all(rows[name].nunique(dropna=False) == 1 for name in SAME_FOR_CHART)
        and not rows.duplicated(["series", "sparsity"]).any()
    )
    against = "sparsity"
    if drawn:
        against = axis(rows)
        comparison_id = next(iter(given.values()))
        start = show_accuracy(shown, against, False, comparison_id)
        show_point(comparison_id, rows, both.by_id)
        caveats = [words.axis_start(start), words.shares(rows), words.caveats(rows)]
        show_sentences(list(filter(None, caveats)))
    show_downloads(both, shown, against, False, given, picture=drawn)


def _layers(results: Sequence[RunRecord]) -> None:
    st.markdown("### Weights kept in each layer", help=TERMS["mask"])
    one, other = (result.pruning.layers for result in results)
    if [(x.name, x.total) for x in one] == [(x.name, x.total) for x in other]:
        st.caption("Upper bar: A. Lower bar: B.")
        data, words = _layers_data(one, other)
        st.vega_lite_chart(data, _layers_spec(len(one)), key="pair-layers", alt=words)
        return
    st.caption("The networks differ, so their layers cannot be matched.")
    for column, letter, layers in zip(st.columns(2), LETTERS, (one, other), strict=True):
        with column:
            st.markdown(f"**{letter}**")
            show_layers(layers, key=f"layers-{letter}")


def _curves(results: Sequence[RunRecord]) -> None:
    st.markdown("### Training curves", help=TERMS["validation images"])
    histories = [result.history for result in results]
    if not any(histories):
        st.caption("Neither was trained.")
        return
    epochs = max(epoch.epoch for history in histories for epoch in history)
    data, words = _curves_data(*histories)
    st.vega_lite_chart(data, _curves_spec(epochs), key="pair-curves", alt=words)


def _classes(results: Sequence[RunRecord]) -> None:
    lines = {letter: [result] for letter, result in zip(LETTERS, results, strict=True)}
    if not comparable(*results) or not all(result.per_class for result in results):
        return
    st.markdown("### Change in accuracy by class")
    means = analysis.classes(lines)
    data = classes_chart.table(means)
    spec = classes_spec(classes_chart.plan(data), theme())
    st.vega_lite_chart(data, spec, key="pair-classes", alt=classes_chart.description(data))
    show_sentences(detail_words.classes(data, classes_chart.left_out(means, data)))


def _overlap(runs: Sequence[Run], results: Sequence[RunRecord]) -> None:
    if len({result.config.model for result in results}) > 1:
        return  # different networks have no weights in common
    st.markdown("### Overlap of masks", help=TERMS["overlap"])
    try:
        layers = overlap(*runs)
    except EngineError as error:
        show_error(error)
        return
    if layers is None:
        st.caption("The layers have different sizes, so their weights cannot be matched.")
        return
    st.markdown(shared(layers))
    if len({_start(result) for result in results}) > 1:
        st.caption(
            "The two networks started from different weights, so the same position does not hold "
            "the same weight."
        )
    data, words = _overlap_data(layers)
    st.vega_lite_chart(data, _overlap_spec(len(layers)), key="pair-overlap", alt=words)


def _start(result: RunRecord) -> tuple[str, int]:
    """What decides the initial weights."""
    return result.config.weights, result.config.seed


# Building charts costs more than the rest of the page.
Layers = Sequence[LayerRecord]
Epochs = Sequence[EpochEnded]


@st.cache_data(max_entries=20, show_spinner=False)
def _layers_data(first: Layers, second: Layers) -> tuple[pd.DataFrame, str]:
    data = pair_charts.layers_table(first, second)
    return data, pair_charts.layers_description(data)


@st.cache_data(max_entries=20, show_spinner=False)
def _curves_data(first: Epochs, second: Epochs) -> tuple[pd.DataFrame, str]:
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
