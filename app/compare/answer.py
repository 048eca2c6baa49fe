"""What a comparison says in words: the answer before the chart, its limits under it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.compare import words
from app.compare.filters import Shown
from app.services.analysis import done, originals, sparsest
from app.ui.findings import plain
from app.ui.format import accuracy, percent, signed_points


def show_answer(shown: Shown, classes: int | None) -> None:
    """Who leads, where it breaks, and whether chance does as well."""
    told, controls = _answer(shown.key, classes, shown.rows)
    if told:
        st.markdown(f"**{plain(told[0])}** {plain(' '.join(told[1:]))}")
    for sentence in controls:
        st.markdown(f":material/experiment: {plain(sentence)}")


def show_warnings(shown: Shown) -> None:
    """What on the chart must not be compared."""
    for sentence in words.unlike(shown.rows):
        st.warning(plain(sentence), icon=":material/rule:")


def show_limits(shown: Shown, start: float) -> None:
    """What the chart shows and what it does not; its axis begins at the accuracy ``start``."""
    show_sentences(_limits(shown.key, start, shown.rows))


def show_sentences(told: Sequence[str]) -> None:
    """Small, under a chart."""
    st.caption(plain(" ".join(told)))


# Words take as long as the charts.
@st.cache_data(max_entries=60, show_spinner=False)
def _answer(key: str, classes: int | None, _rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    told = [words.leader(_rows, classes) or alone(_rows), words.breaks(_rows, classes)]
    return list(filter(None, told)), words.controls(_rows, classes)


@st.cache_data(max_entries=60, show_spinner=False)
def _limits(key: str, start: float, _rows: pd.DataFrame) -> list[str]:
    told = (words.luck(_rows), words.doubted(_rows), words.axis(start), words.limits(_rows))
    return list(filter(None, told))


def alone(rows: pd.DataFrame) -> str:
    """Of a single line that is no control, what the sparsest network has lost."""
    cells = done(rows)
    names = originals(cells) or list(cells["series"].unique())
    if len(names) != 1 or not rows["epochs"].max():
        return ""
    found = sparsest(cells, names[0])
    apart = f"{signed_points(found.points)} against" if found.points else "as much as"
    return (
        f"With {percent(found.sparsity)} removed, {found.series} has {accuracy(found.accuracy)}: "
        f"{apart} the dense network ({accuracy(found.dense)})."
    )
