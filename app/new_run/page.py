"""The first page: choose settings, see what a run will take, start it."""

from __future__ import annotations

import streamlit as st

from app import forms, pages, session
from app.forms import start
from app.forms.forecast import show_existing, show_forecast, show_latest
from app.forms.words import HOW, steps
from app.presets import PRESETS
from app.services import EngineError, RunConfig, estimates, runs
from app.ui.findings import show_error

FORM = "run"
STARTED = "started"  # in the session: the settings of the run started here last


def restore_settings() -> None:
    """Restore the settings when the visitor comes back from a run started here."""
    if session.drop_foreign_parameters():
        if STARTED in st.session_state:
            session.prefill(st.session_state[STARTED])
        st.rerun()


def problem_of(config: RunConfig | None) -> str | None:
    """Show what a run will take; returns why it cannot run, if so."""
    if config is None:
        return None
    try:
        show_forecast(estimates.forecast(config), config.kind)
    except EngineError as error:
        show_error(error)
        return start.CANNOT_RUN
    return None


def start_run() -> None:
    """Start the run in the form and open its page."""
    assert config
    run = runs.start(config, session.visitor())
    st.session_state[STARTED] = config
    st.switch_page(pages.RUN, query_params=pages.to_run(run.id))


restore_settings()
prefilled = session.take_prefill()
if prefilled:
    forms.fill(prefilled)
    forms.expect(FORM, forms.values_of(prefilled))
    st.query_params.from_dict(forms.address(prefilled))
st.title("Prune before training")
st.markdown(HOW)
above = st.container(horizontal=True)
left, right = st.columns([0.5, 0.5], gap="large")
forms.read_address(FORM)
with left.container(border=True):
    warnings = st.container()
    config, invalid = start.draw_form(forms.show)
    if config:
        start.share_note(config)
    with warnings:
        forms.show_unusable(FORM, forms.names(method=st.session_state["method"]))
with above:
    start.preset_buttons(PRESETS, config, forms.fill, "preset")
with right:
    try:
        records = runs.recent()
    except EngineError as error:
        show_error(error)
        st.stop()
    with st.container(border=True):
        problem = invalid or problem_of(config)
        started = start.start_button("Prune and train", problem, start_run)
        if started and config and not problem:
            show_existing(records, config, session.visitor())
    show_latest(records, session.visitor())
    st.markdown(steps(config or RunConfig()))
