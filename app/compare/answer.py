"""A comparison in words: the answer above the chart, its caveats below."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.compare import words
from app.compare.filters import Shown
from app.services.analysis import done, originals, sparsest
from app.ui.findings import plain
from app.ui.format import accuracy, percent, signed, signed_points, to_percent


def show_answer(shown: Shown, classes: int | None) -> None:
    """Who leads, where accuracy collapses, and whether chance does as well."""
    sentences, controls = _answer(shown.key, classes, shown.rows)
    if sentences:
        st.markdown(f"**{plain(sentences[0])}** {plain(' '.join(sentences[1:]))}")
    for sentence in controls:
        st.markdown(f":material/experiment: {plain(sentence)}")


def show_warnings(shown: Shown) -> None:
    """What must not be compared."""
    for sentence in words.warnings(shown.rows):
        st.warning(plain(sentence), icon=":material/rule:")


def show_caveats(shown: Shown, start: float) -> None:
    """What the chart does not show; its accuracy axis starts at ``start``."""
    show_sentences(_caveats(shown.key, start, shown.rows))


def show_sentences(sentences: Sequence[str]) -> None:
    """The caption of a chart."""
    st.caption(plain(" ".join(sentences)))


# These sentences take as long to compute as the charts.
@st.cache_data(max_entries=60, show_spinner=False)
def _answer(key: str, classes: int | None, _rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    sentences = [words.leader(_rows, classes) or alone(_rows), words.near_guessing(_rows, classes)]
    return list(filter(None, sentences)), words.controls(_rows, classes)


@st.cache_data(max_entries=60, show_spinner=False)
def _caveats(key: str, start: float, _rows: pd.DataFrame) -> list[str]:
    sentences = (
        words.noise(_rows),
        words.doubtful(_rows),
        words.axis_start(start),
        words.caveats(_rows),
    )
    return list(filter(None, sentences))


def alone(rows: pd.DataFrame) -> str:
    """What the sparsest network has lost, where only one series is no control."""
    cells = done(rows)
    names = originals(cells) or list(cells["series"].unique())
    if len(names) != 1 or not rows["epochs"].max():
        return ""
    found = sparsest(cells, names[0])
    difference = f"{signed_points(found.points)} against" if found.points else "as much as"
    sentence = (
        f"With {percent(found.sparsity)} removed, {found.series} has {accuracy(found.accuracy)}: "
        f"{difference} the dense network ({accuracy(found.dense)})"
    )
    if found.change.low is not None and found.change.high is not None:
        ends = (signed(to_percent(end)) for end in (found.change.low, found.change.high))
        return (
            f"{sentence}; the 95\N{NO-BREAK SPACE}% interval of the difference over "
            f"{found.change.count} seeds is {' to '.join(ends)} points."
        )
    chance = "which is more than the choice of test images explains"
    if found.explained is not False:
        chance = "which the choice of test images could explain"
    end = f", {chance}." if found.points else "."
    return f"From one seed: {sentence[0].lower()}{sentence[1:]}{end}"
