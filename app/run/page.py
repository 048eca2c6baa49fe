"""A run: queued, running, and its result. The address of the page is the link to it."""

from __future__ import annotations

import dataclasses

import streamlit as st

from app import access, pages, session
from app.run.about import show_about, show_again, show_manage, show_study
from app.run.another import start_another
from app.run.controls import show_original
from app.run.live import follow, show_findings_so_far, show_live
from app.run.result import show_result
from app.services import SKIP_BROKEN, EngineError, Run, RunConfig, runs
from app.ui.findings import plain, show_error
from app.ui.titles import title


def show(run: Run) -> None:
    """The page of ``run``, whatever state it is in."""
    if run.live:
        show_live(run)
    elif run.state == "done":
        show_result(run)
    else:
        _show_ended(run)


def _show_ended(run: Run) -> None:
    """A run without a result."""
    st.title(plain(title(run)))
    show_about(run)
    show_original(run)
    if run.state == "stopped":
        st.info("The run was stopped before it finished.", icon=":material/stop_circle:")
    else:
        show_error(run.error or "The run failed for an unknown reason.")
        _offer_to_skip(run)
    with st.container(horizontal=True):
        show_again(run)
        show_study(run)
        show_manage(run)
    show_findings_so_far(follow(run))


def _offer_to_skip(run: Run) -> None:
    """For a run that failed on an image that cannot be read: the same run without such images."""
    if SKIP_BROKEN not in (run.error or ""):
        return
    if st.button(
        "Start again without broken images",
        type="primary",
        icon=":material/healing:",
        key="primary-skip-broken",
        help="A new run with the same settings. It leaves out the images that cannot be read, and "
        "lists them.",
    ):
        start_another(run, _skipping)


def _skipping(config: RunConfig) -> RunConfig:
    loading = dataclasses.replace(config.loading, skip_broken=True)
    return dataclasses.replace(config, loading=loading)


def _show_nothing(id: str | None) -> None:
    """Say why there is no run to show, and what to do."""
    if id:
        st.title("There is no such run")
        st.markdown(
            "It was deleted or has expired, or its address is incomplete. The same settings give "
            "the same result again."
        )
    else:
        st.title("No run selected")
        st.markdown("The address of this page does not say which run to show.")
    with st.container(horizontal=True):
        st.page_link(pages.NEW, label="Start a new run", icon=":material/add_circle:")
        st.page_link(pages.RUNS, label="See your runs", icon=":material/list:")


try:
    run = runs.find(session.run_id())
    if run is None:
        _show_nothing(session.run_id())
    else:
        show(access.as_seen(run, session.visitor()))
except EngineError as error:
    show_error(error)
