"""The pages, their paths and their query parameters."""

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
"""The path of each page but the first. People share these addresses: never change them."""

TWO_RUNS = "side-by-side"
"""An earlier path of the Compare page, for two runs."""

ID = "id"
"""Query parameter: a run."""
STUDY, RUNS_OF = "study", "runs"
"""Query parameters: the study, or the runs, to compare."""
FIRST, SECOND = "a", "b"
"""Query parameters of the earlier address: the two runs."""


def pages() -> list[st.Page]:
    """All pages, in the order of the navigation bar."""
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
    """The query parameters of the page of a run."""
    return {ID: id}


def to_study(id: str) -> dict[str, str]:
    """The query parameters of the Compare page for a study."""
    return {STUDY: id}


def to_comparison(ids: Iterable[str]) -> dict[str, str]:
    """The query parameters of the Compare page for runs."""
    return {RUNS_OF: ",".join(ids)}
