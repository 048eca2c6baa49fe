"""Where the pages are, and what their addresses carry."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

NEW = "app_pages/new.py"
RUN = "app_pages/run.py"
TRY_IT = "app_pages/try_it.py"
RUNS = "app_pages/runs.py"
SIDE_BY_SIDE = "app_pages/side_by_side.py"
LEARN = "app_pages/learn.py"
SWEEP = "app_pages/sweep.py"
COMPARE = "app_pages/compare.py"

ID, FIRST, SECOND = "id", "a", "b"
"""Parameters of addresses: a run, and the two that stand side by side."""
STUDY, RUNS_OF = "study", "runs"
"""And what is compared: a study, or any runs."""


def pages() -> list[st.Page]:
    """All pages, in the order of the bar."""
    return [
        st.Page(NEW, title="New run", icon=":material/add_circle:", default=True),
        st.Page(SWEEP, title="Sweep", icon=":material/grid_view:", url_path="sweep"),
        st.Page(RUNS, title="Runs", icon=":material/list:", url_path="runs"),
        st.Page(TRY_IT, title="Try it", icon=":material/draw:", url_path="try"),
        st.Page(LEARN, title="Learn", icon=":material/school:", url_path="learn"),
        st.Page(RUN, title="Run", url_path="run", visibility="hidden"),
        st.Page(SIDE_BY_SIDE, title="Side by side", url_path="side-by-side", visibility="hidden"),
        st.Page(COMPARE, title="Compare", url_path="compare", visibility="hidden"),
    ]


def to_run(id: str) -> dict[str, str]:
    """The parameters of the page of a run."""
    return {ID: id}


def to_study(id: str) -> dict[str, str]:
    """The parameters of the page that compares the runs of a study."""
    return {STUDY: id}


def to_comparison(ids: Iterable[str]) -> dict[str, str]:
    """The parameters of the page that compares those runs."""
    return {RUNS_OF: ",".join(ids)}
