"""Sweep: many runs at once, to compare criteria or to search for the sparsity that meets a goal."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import forms, pages, session
from app.forms import search_form, sweep_form
from app.forms.words import SHARE, SHARE_OWN
from app.presets import SWEEPS
from app.services import EngineError, SearchConfig, SweepConfig, estimates, store, studies, tokens
from app.sweep.plan import problem_of, show_latest, show_plan
from app.ui.findings import plain, show_error
from app.ui.studies import HOW_SEARCH, HOW_SWEEP, SEARCH, SWEEP

TASK, STARTED = "task", "sweep-started"
COMPARE, FIND = "Compare criteria", "Find the sparsity"
FORMS: dict[str, Any] = {COMPARE: sweep_form, FIND: search_form}
HOW = {COMPARE: HOW_SWEEP, FIND: HOW_SEARCH}
ABOUT = {COMPARE: SWEEP, FIND: SEARCH}
BUTTONS = {COMPARE: "Start the sweep", FIND: "Start the search"}
Config = SweepConfig | SearchConfig


def repair_address() -> None:
    """Restore the settings when the visitor comes back from a study started here."""
    foreign = [p for p in (pages.STUDY, pages.ID, pages.RUNS_OF) if p in st.query_params]
    if foreign:
        for parameter in foreign:
            del st.query_params[parameter]
        if STARTED in st.session_state:
            show(st.session_state[STARTED])
        st.rerun()


def show(config: Config) -> None:
    """Fill the form with ``config``. Call before its widgets are drawn."""
    st.session_state[TASK] = COMPARE if isinstance(config, SweepConfig) else FIND
    FORMS[st.session_state[TASK]].fill(config)


def presets(config: Config | None) -> None:
    """Buttons for the presets; the current one is marked."""
    with st.container(horizontal=True):
        for number, preset in enumerate(SWEEPS):
            st.button(
                preset.name,
                icon=":material/check:" if preset.config == config else None,
                help=preset.about,
                key=f"sweep-preset-{number}",
                on_click=show,
                args=(preset.config,),
            )


def the_form(task: str) -> tuple[Config | None, str | None]:
    """The settings in the form, and why they cannot be used, if so."""
    try:
        config: Config = FORMS[task].show()
    except EngineError as error:
        return None, str(error)
    st.caption(f":material/link: {SHARE} {SHARE_OWN if tokens(config.run) else ''}")
    return config, None


def names(task: str) -> dict[str, str]:
    """The labels of the settings in the form."""
    if task == COMPARE:
        return sweep_form.called(st.session_state[sweep_form.CRITERIA])
    return search_form.called(st.session_state["method"])


def show_forecast(config: Config) -> str | None:
    """Show what the study will take; returns why it cannot start, if so."""
    limits = store.current().limits
    problem = problem_of(config, session.visitor(), limits)
    try:
        show_plan(config, estimates.plan(config), limits)
    except EngineError as error:
        show_error(error)
        return "These settings cannot run: see above."
    return problem


def button(task: str, config: Config | None, problem: str | None) -> None:
    """The start button."""
    if st.button(
        BUTTONS[task],
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=problem is not None,
        key="primary-start",
    ):
        assert config
        try:
            study = studies.start(config, session.visitor())
        except EngineError as error:
            show_error(error)
        else:
            st.session_state[STARTED] = config
            st.switch_page(pages.COMPARE, query_params=pages.to_study(study.id))
    if problem:
        st.caption(plain(problem))


repair_address()
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
above = st.container()
left, right = st.columns([0.5, 0.5], gap="large")
forms.read_address(task)
with left.container(border=True):
    unmet = st.container()
    config, wrong = the_form(task)
    with unmet:
        forms.show_unmet(task, names(task))
if task == COMPARE:
    with above:
        presets(config)
with right:
    try:
        with st.container(border=True):
            blocked = show_forecast(config) if config else None
            button(task, config, wrong or blocked)
        show_latest(session.visitor())
    except EngineError as error:
        show_error(error)
    st.markdown(ABOUT[task])
