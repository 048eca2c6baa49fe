"""The first page: choose, press one button, watch, take the file home."""

from __future__ import annotations

import streamlit as st

from app import forms, services, state
from app.components import style
from app.components.about import show_about
from app.components.findings import plain, show_error
from app.components.live import show_facts, show_live
from app.components.result import show_result
from app.services import EngineError, Job, RunConfig
from app.text.intro import HOW, INTRO, PRESET

STARTED = "started"  # remembered for one run of the page: the button has just been pressed


def set_up(job: Job | None) -> RunConfig | None:
    """The form and the one button; the settings in the form, None if they cannot be used."""
    forms.remember(job.config if job else RunConfig())
    config, obstacle = None, None
    try:
        config = forms.show()
    except EngineError as error:
        obstacle = str(error)
    if job is not None and job.live:
        obstacle = "A run is under way; stop it first."
    if st.button(
        "Prune and train",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=obstacle is not None,
        key="primary-start",
    ):
        assert config
        try:
            state.show(services.start(config))
        except EngineError as error:
            show_error(error)
        else:
            st.session_state[STARTED] = True
            st.rerun()
    if obstacle:
        st.caption(plain(obstacle))
    return config


def outcome(job: Job | None, form: RunConfig | None) -> None:
    """What the run that the address names is doing or has found, beside a form with ``form``."""
    if job is None:
        if state.run_id():
            st.warning(
                "The run in this address is not known here any more: runs are kept for a day, and "
                "until the server restarts. Start a new one.",
                icon=":material/history_toggle_off:",
            )
        st.markdown(INTRO)
        if form == RunConfig():
            st.markdown(PRESET)
    elif job.live:
        show_live(job, form)
    elif job.state == "done":
        show_result(job, form)
    else:
        if job.state == "stopped":
            st.info("The run was stopped; the button starts anew.", icon=":material/stop_circle:")
        else:
            show_error(job.error)
        if form == job.config:
            st.caption("Your settings are as they were.")
        show_about(job, form)
        show_facts(job, job.events())


st.title("Prune before training")
st.markdown(HOW)
job = state.current()
left, right = st.columns([0.36, 0.64], gap="large")
with left.container(border=True):
    form = set_up(job)
# The key tells the style that there is something to see, which goes first on a narrow screen.
with right.container(key=style.OUTCOME if job else None):
    outcome(job, form)
if st.session_state.pop(STARTED, False):
    style.bring_into_view()
