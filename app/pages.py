"""Where the pages are, and what their addresses carry."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

NEW = "new_run/page.py"
RUN = "run/page.py"
TRY_IT = "try_it/page.py"
RUNS = "runs/page.py"
LEARN = "learn/page.py"
SWEEP = "sweep/page.py"
COMPARE = "compare/page.py"

URLS = {
    SWEEP: "sweep",
    RUNS: "runs",
    TRY_IT: "try",
    LEARN: "learn",
    RUN: "run",
    COMPARE: "compare",
}
"""The path of each page but the first, as people share it: never changed."""

TWO_RUNS = "side-by-side"
"""An earlier address of the page that compares, for two runs."""

ID = "id"
"""Parameter of addresses: a run."""
STUDY, RUNS_OF = "study", "runs"
"""And what is compared: a study, or any runs."""
FIRST, SECOND = "a", "b"
"""The two runs in the earlier address."""


def pages() -> list[st.Page]:
    """All pages, in the order of the bar."""
    return [
        st.Page(NEW, title="New run", icon=":material/add_circle:", default=True),
        st.Page(SWEEP, title="Sweep", icon=":material/grid_view:", url_path=URLS[SWEEP]),
        st.Page(RUNS, title="Runs", icon=":material/list:", url_path=URLS[RUNS]),
        st.Page(TRY_IT, title="Try it", icon=":material/draw:", url_path=URLS[TRY_IT]),
        st.Page(LEARN, title="Learn", icon=":material/school:", url_path=URLS[LEARN]),
        st.Page(RUN, title="Run", url_path=URLS[RUN], visibility="hidden"),
        st.Page(COMPARE, title="Compare", url_path=URLS[COMPARE], visibility="hidden"),
        st.Page(COMPARE, title="Compare", url_path=TWO_RUNS, visibility="hidden"),
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
