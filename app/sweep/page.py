"""Many runs at once: compare criteria on the same footing, or look for the sparsity that meets a
goal."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import forms, pages, session
from app.forms import search_form, sweep_form
from app.forms.words import SHARE, SHARE_OWN
from app.presets import SWEEPS
from app.services import EngineError, SearchConfig, SweepConfig, estimates, store, studies, tokens
from app.sweep.plan import obstacle, show_latest, show_plan
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
    """On the way back from a study that was started here, the settings come back too: see the
    first page."""
    strangers = [p for p in (pages.STUDY, pages.ID, pages.RUNS_OF) if p in st.query_params]
    if strangers:
        for parameter in strangers:
            del st.query_params[parameter]
        if STARTED in st.session_state:
            show(st.session_state[STARTED])
        st.rerun()


def show(config: Config) -> None:
    """Let the page show ``config``. Before its widgets are drawn."""
    st.session_state[TASK] = COMPARE if isinstance(config, SweepConfig) else FIND
    FORMS[st.session_state[TASK]].fill(config)


def presets(config: Config | None) -> None:
    """Sweeps to begin with; the one that the form shows is marked."""
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
    """The settings in the form, and why they cannot be used if they cannot."""
    try:
        config: Config = FORMS[task].show()
    except EngineError as error:
        return None, str(error)
    st.caption(f":material/link: {SHARE} {SHARE_OWN if tokens(config.run) else ''}")
    return config, None


def names(task: str) -> dict[str, str]:
    """What the settings of the form are called."""
    if task == COMPARE:
        return sweep_form.called(st.session_state[sweep_form.CRITERIA])
    return search_form.called(st.session_state["method"])


def prospect(config: Config) -> str | None:
    """What the study will take; why it cannot be, if it cannot."""
    limits = store.current().limits
    hindered = obstacle(config, session.visitor(), limits)
    try:
        show_plan(config, estimates.plan(config), limits)
    except EngineError as error:
        show_error(error)
        return "With these settings there can be no run: see above."
    return hindered


def button(task: str, config: Config | None, hindered: str | None) -> None:
    """The one button."""
    if st.button(
        BUTTONS[task],
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=hindered is not None,
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
    if hindered:
        st.caption(plain(hindered))


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
            misfit = prospect(config) if config else None
            button(task, config, wrong or misfit)
        show_latest(session.visitor())
    except EngineError as error:
        show_error(error)
    st.markdown(ABOUT[task])
