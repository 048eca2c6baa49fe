"""Both networks of a run answer side by side: what is drawn, uploaded, or was in the test."""

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
    """The run to try: the one in the address, or another of those that are done."""
    by_id = {run.id: run for run in known}
    if current is not None and current.state == "done":
        by_id.setdefault(current.id, current)
    if not by_id:
        return None
    # The address decides; the box only writes into it.
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
    """The page of a run that is done."""
    st.page_link(
        pages.RUN,
        label="See its result",
        icon=":material/insights:",
        query_params=pages.to_run(run.id),
    )
    show_try(run)
    st.header("Which test images changed their answer")
    show_changed(run)


def show_nothing(known: list[Run]) -> None:
    """There is no run to try: what to do."""
    st.markdown(
        "Draw a digit, upload a picture or take one from the test, and see what the dense and the "
        "pruned network say to it. This needs a finished run."
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
    asked = session.run_id()
    current = runs.find(asked)
    known = runs.mine(session.visitor())
    if asked and current is None:
        st.warning(
            "The run in this address is not here: it was deleted or has expired, or the address "
            "is incomplete.",
            icon=":material/search_off:",
        )
    elif current is not None and current.state != "done":
        why = (
            "is not done yet, so there are no networks to try."
            if current.live
            else "did not finish, so there are no networks to try."
        )
        st.info(
            f"{plain(title(current))} {why}",
            icon=":material/hourglass_empty:",
        )
    chosen = choose([run for run in known if run.state == "done"], current)
    if chosen is None:
        show_nothing(known)
    else:
        show(chosen)
except EngineError as error:
    show_error(error)
