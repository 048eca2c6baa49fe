"""The first page: choose, see what it will take, press one button."""

from __future__ import annotations

import streamlit as st

from app import forms, pages, session
from app.forms.forecast import show_forecast, show_latest, show_standing
from app.forms.words import HOW, INTRO, SHARE, SHARE_OWN
from app.presets import PRESETS
from app.services import EngineError, RunConfig, estimates, runs, tokens
from app.ui.findings import plain, show_error

FORM = "run"
STARTED = "started"  # remembered for the way back: what the form showed when a run was started


def repair_address() -> None:
    """On the way back from a run that was started here, the settings come back too."""
    # Streamlit writes the parameters of the page it switches to into the address of this one
    # before it goes; on the way back they stand there in place of the form's own.
    if pages.ID in st.query_params:
        del st.query_params[pages.ID]
        if STARTED in st.session_state:
            session.prefill(st.session_state[STARTED])
        st.rerun()


def presets(config: RunConfig | None) -> None:
    """Settings to begin with; the one that the form shows is marked."""
    for number, preset in enumerate(PRESETS):
        st.button(
            preset.name,
            icon=":material/check:" if preset.config == config else None,
            help=preset.about,
            key=f"preset-{number}",
            on_click=forms.fill,
            args=(preset.config,),
        )


def the_form() -> tuple[RunConfig | None, str | None]:
    """The settings in the form, and why they cannot be used if they cannot."""
    try:
        config = forms.show()
    except EngineError as error:
        return None, str(error)
    st.caption(f":material/link: {SHARE} {SHARE_OWN if tokens(config) else ''}")
    return config, None


def prospect(config: RunConfig | None) -> str | None:
    """What a run will take; why it cannot be, if the network does not fit the images."""
    if config is None:
        return None
    try:
        show_forecast(estimates.forecast(config))
    except EngineError as error:
        show_error(error)
        return "These settings cannot be run: see above."
    return None


def button(config: RunConfig | None, obstacle: str | None) -> bool:
    """The one button. False if it was pressed in vain."""
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
            run = runs.start(config, session.visitor())
        except EngineError as error:
            show_error(error)
            return False
        else:
            st.session_state[STARTED] = config
            st.switch_page(pages.RUN, query_params=pages.to_run(run.id))
    if obstacle:
        st.caption(plain(obstacle))
    return True


repair_address()
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
    unmet = st.container()
    config, obstacle = the_form()
    with unmet:
        forms.show_unmet(FORM, forms.names(method=st.session_state["method"]))
with above:
    presets(config)
with right:
    try:
        records = runs.recent()
    except EngineError as error:
        show_error(error)
        st.stop()
    with st.container(border=True):
        misfit = prospect(config)
        taken = button(config, obstacle or misfit)
        if taken and config:
            show_standing(records, config, session.visitor())
    show_latest(records, session.visitor())
    st.markdown(INTRO)
