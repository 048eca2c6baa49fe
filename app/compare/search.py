"""A budget search: what it found, and every sparsity it tried."""

from __future__ import annotations

import streamlit as st

from app import pages
from app.charts.spec import Spec
from app.compare import detail_words as words
from app.compare import search_chart
from app.compare.answer import show_sentences
from app.services.comparison import Comparison
from app.services.searches import SearchResult, search_result
from app.ui.findings import plain
from app.ui.plots import theme
from prospr_engine.report.charts.colours import Colours


def is_search(compared: Comparison) -> bool:
    """Whether the comparison is a search."""
    return compared.study is not None and compared.study.kind == "search"


def show_search(compared: Comparison) -> None:
    """The answer first, then the trail."""
    found = search_result(compared)
    if found is None:
        return
    _answer(found)
    if found.trail:
        data = search_chart.table(found.trail, found.limit, found.goal)
        spec = _spec(search_chart.plan(data, found.goal, found.counted), theme())
        st.vega_lite_chart(data, spec, key="trail", alt=search_chart.description(data))
        show_sentences(words.search(data))
        with st.container(border=True, gap=None):
            for number, (probe, line) in enumerate(zip(found.trail, found.lines, strict=True), 1):
                icon = ":green[:material/check:]" if probe.met else ":gray[:material/close:]"
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.markdown(f"{number}. {icon} {plain(line)}", width="content")
                    _links(probe.runs)


def _answer(found: SearchResult) -> None:
    if not found.sentences:
        return
    answer, *rest = found.sentences
    st.markdown(f"### {plain(answer)}")
    if rest:
        st.markdown(plain(" ".join(rest)))
    if found.runs:
        st.page_link(
            pages.RUN,
            label="Open the network found",
            icon=":material/target:",
            query_params=pages.to_run(found.runs[0]),
        )


def _links(runs: tuple[str, ...]) -> None:
    for number, id in enumerate(runs, 1):
        label = "Open" if len(runs) == 1 else f"Run {number}"
        st.page_link(pages.RUN, label=label, query_params=pages.to_run(id))


@st.cache_data(max_entries=30, show_spinner=False)
def _spec(plan: search_chart.Plan, colours: Colours) -> Spec:
    return search_chart.chart(plan, colours)
