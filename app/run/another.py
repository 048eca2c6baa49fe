"""Starting another run from the page of one."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import pages, session
from app.services import EngineError, Run, RunConfig, runs
from app.ui.findings import show_error


def start_another(run: Run, change: Callable[[RunConfig], RunConfig]) -> None:
    """Start the run that ``change`` makes of the settings of ``run``, and open its page; an error
    stands where the button is."""
    try:
        new = runs.start(change(run.config), session.visitor())
    except EngineError as error:
        show_error(error)
        return
    st.switch_page(pages.RUN, query_params=pages.to_run(new.id))
