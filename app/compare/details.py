"""Details of a comparison at one sparsity; nothing is read before a section is opened."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.charts.spec import Spec
from app.compare import sections
from app.compare.answer import show_sentences
from app.compare.filters import Shown, level
from app.compare.sections import Lines, Made, Section
from app.services import EngineError, Run
from app.services.analysis import done
from app.ui.findings import show_error
from app.ui.format import percent
from app.ui.plots import theme
from prospr_engine.report.charts.colours import Colours


def show_details(shown: Shown, runs: dict[str, Run]) -> None:
    """The choice of a sparsity, and the sections, closed at first."""
    st.markdown("### Details at one sparsity")
    at = level(shown.rows)
    rows = done(shown.rows)
    there = rows[rows["sparsity"] == at].sort_values(["order", "seed"], kind="stable")
    lines: Lines = {}
    for series, run in zip(there["series"], there["run"], strict=True):
        lines.setdefault(series, []).append(runs[run])
    if not lines:
        st.caption("No finished runs at this sparsity.")
        return
    for section in sections.SECTIONS:
        if len(lines) < section.fewest_lines:
            continue
        box = st.expander(
            f"{section.title}, at {percent(at)}",
            icon=f":material/{section.icon}:",
            key=section.key,
            bind="query-params",
        )
        if box.open:
            with box:
                try:
                    _show(section, f"{shown.key} at {at}", lines, there)
                except EngineError as error:
                    show_error(error)


def _show(section: Section, key: str, lines: Lines, there: pd.DataFrame) -> None:
    count, found = section.read(lines)
    made = _make(section.name, key, count, section, found, there)
    if made.plan is not None:
        spec = _draw(section.name, made.plan, theme(), section)
        st.vega_lite_chart(made.data, spec, key=f"detail-{section.name}", alt=made.alt)
    show_sentences(made.sentences)
    if section.more:
        section.more(found)


# ``count`` is part of the key: some results may be deleted later.
@st.cache_data(max_entries=200, show_spinner=False)
def _make(
    name: str, key: str, count: int, _section: Section, _found: Any, _there: pd.DataFrame
) -> Made:
    return _section.make(_found, _there)


@st.cache_data(max_entries=200, show_spinner=False)
def _draw(name: str, plan: Any, colours: Colours, _section: Section) -> Spec:
    return _section.chart(plan, colours)
