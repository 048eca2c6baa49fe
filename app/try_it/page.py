"""Both networks of a run classify an image side by side: drawn, uploaded, or from the test."""

from __future__ import annotations

import streamlit as st

from app import pages, session
from app.services import EngineError, Run, runs
from app.try_it.changed import show_changed
from app.try_it.image import show_try
from app.ui.findings import plain, show_error
from app.ui.titles import short, title

CHOICE = "try-run"


def choose(known: list[Run], current: Run | None) -> Run | None:
    """The run to try: the one in the address, or another finished one."""
    by_id = {run.id: run for run in known}
    if current is not None and current.state == "done":
        by_id.setdefault(current.id, current)
    if not by_id:
        return None
    # The address decides; the box only changes it.
    st.session_state[CHOICE] = current.id if current and current.id in by_id else next(iter(by_id))
    id = st.selectbox(
        "Run",
        list(by_id),
        format_func=lambda id: short(by_id[id]),
        key=CHOICE,
        on_change=lambda: st.query_params.update({pages.ID: st.session_state[CHOICE]}),
    )
    return by_id[id]


def show(run: Run) -> None:
    """The page of a finished run."""
    st.page_link(
        pages.RUN,
        label="See its result",
        icon=":material/insights:",
        query_params=pages.to_run(run.id),
    )
    show_try(run)
    st.header("Test images whose prediction changed")
    show_changed(run)


def show_nothing(known: list[Run]) -> None:
    """Say what to do when there is no run to try."""
    st.markdown(
        "Draw a digit, upload an image or pick a test image, and see how the dense and the pruned "
        "network classify it. This needs a finished run."
    )
    live = next((run for run in known if run.live), None)
    if live is not None:
        st.page_link(
            pages.RUN,
            label="Watch the run in progress",
            icon=":material/monitoring:",
            query_params=pages.to_run(live.id),
        )
    else:
        st.page_link(pages.NEW, label="Start a run", icon=":material/add_circle:")


st.title("Try it")
try:
    requested = session.run_id()
    current = runs.find(requested)
    known = runs.mine(session.visitor())
    if requested and current is None:
        st.warning(
            "The run in this address does not exist: it was deleted or has expired, or the "
            "address is incomplete.",
            icon=":material/search_off:",
        )
    elif current is not None and current.state != "done":
        reason = (
            "is not done yet, so there are no networks to try."
            if current.live
            else "did not finish, so there are no networks to try."
        )
        st.info(
            f"{plain(title(current))} {reason}",
            icon=":material/hourglass_empty:",
        )
    chosen = choose([run for run in known if run.state == "done"], current)
    if chosen is None:
        show_nothing(known)
    else:
        show(chosen)
except EngineError as error:
    show_error(error)
