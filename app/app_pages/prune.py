"""The first page: choose, press one button, watch, take the file home."""

from __future__ import annotations

import streamlit as st

from app import forms, services, state
from app.components.findings import show_error
from app.components.live import show_facts, show_live
from app.components.result import show_result
from app.services import EngineError, Job, RunConfig
from app.text.intro import HOW, INTRO


def set_up(job: Job | None) -> None:
    """The form and the one button."""
    forms.remember(job.config if job else RunConfig())
    config = forms.show()
    live = job is not None and job.live
    if st.button(
        "Prune and train",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=config is None or live,
        help="A run is under way; stop it first." if live else None,
        key="primary-start",
    ):
        assert config
        try:
            state.show(services.start(config))
        except EngineError as error:
            show_error(error)
        else:
            st.rerun()


def outcome(job: Job | None) -> None:
    """What the run that the address names is doing or has found."""
    if job is None:
        if state.run_id():
            st.warning(
                "The run in this address is not known here any more: runs are kept for a day, and "
                "until the server restarts. Start a new one.",
                icon=":material/history_toggle_off:",
            )
        st.markdown(INTRO)
    elif job.live:
        show_live(job)
    elif job.state == "done":
        show_result(job)
    elif job.state == "stopped":
        st.info(
            "The run was stopped. Your settings are as they were; press the button to start anew.",
            icon=":material/stop_circle:",
        )
        show_facts(job, job.events())
    else:
        show_error(job.error)
        st.caption("Your settings are as they were.")
        show_facts(job, job.events())


st.title("Prune before training")
st.markdown(HOW)
job = state.current()
left, right = st.columns([0.36, 0.64], gap="large")
with left.container(border=True):
    set_up(job)
with right:
    outcome(job)
