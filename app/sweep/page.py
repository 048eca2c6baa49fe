"""Sweep: many runs at once, to compare criteria or to search for the sparsity that meets a goal."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import forms, pages, session
from app.forms import search_form, start, sweep_form
from app.presets import SWEEPS
from app.services import EngineError, SearchConfig, SweepConfig, estimates, store, studies
from app.sweep.plan import problem_of, show_latest, show_plan
from app.ui.findings import show_error
from app.ui.studies import HOW_SEARCH, HOW_SWEEP, SEARCH, SWEEP

TASK, STARTED = "task", "sweep-started"
COMPARE, FIND = "Compare criteria", "Find the sparsity"
FORMS: dict[str, Any] = {COMPARE: sweep_form, FIND: search_form}
HOW = {COMPARE: HOW_SWEEP, FIND: HOW_SEARCH}
ABOUT = {COMPARE: SWEEP, FIND: SEARCH}
BUTTONS = {COMPARE: "Start the sweep", FIND: "Start the search"}
Config = SweepConfig | SearchConfig


def restore_settings() -> None:
    """Restore the settings when the visitor comes back from a study started here."""
    if session.drop_foreign_parameters():
        if STARTED in st.session_state:
            show(st.session_state[STARTED])
        st.rerun()


def show(config: Config) -> None:
    """Fill the form with ``config``. Call before its widgets are drawn."""
    st.session_state[TASK] = COMPARE if isinstance(config, SweepConfig) else FIND
    FORMS[st.session_state[TASK]].fill(config)


def names(task: str) -> dict[str, str]:
    """The labels of the settings in the form."""
    if task == COMPARE:
        return sweep_form.names(st.session_state[sweep_form.CRITERIA])
    return search_form.names(st.session_state["method"])


def show_forecast(config: Config) -> str | None:
    """Show what the study will take; returns why it cannot start, if so."""
    limits = store.current().limits
    problem = problem_of(config, session.visitor(), limits)
    try:
        show_plan(config, estimates.plan(config), limits)
    except EngineError as error:
        show_error(error)
        return start.CANNOT_RUN
    return problem


def start_study() -> None:
    """Start the study in the form and open its page."""
    assert config
    study = studies.start(config, session.visitor())
    st.session_state[STARTED] = config
    st.switch_page(pages.COMPARE, query_params=pages.to_study(study.id))


restore_settings()
st.title("Sweep")
how = st.container()
task = st.segmented_control(
    "What to do",
    list(FORMS),
    default=COMPARE,
    required=True,
    key=TASK,
    label_visibility="collapsed",
    bind="query-params",
)
how.markdown(HOW[task])
above = st.container(horizontal=True)
left, right = st.columns([0.5, 0.5], gap="large")
forms.read_address(task)
with left.container(border=True):
    warnings = st.container()
    config, invalid = start.draw_form(FORMS[task].show)
    if config:
        start.share_note(config.run)
    with warnings:
        forms.show_unusable(task, names(task))
if task == COMPARE:
    with above:
        start.preset_buttons(SWEEPS, config, show, "sweep-preset")
with right:
    try:
        with st.container(border=True):
            blocked = show_forecast(config) if config else None
            start.start_button(BUTTONS[task], invalid or blocked, start_study)
        show_latest(session.visitor())
    except EngineError as error:
        show_error(error)
    st.markdown(ABOUT[task])
