"""The visitor's runs and studies, and those of the command line."""

from __future__ import annotations

import streamlit as st

from app import access, pages, session
from app.runs import actions, dialogs
from app.runs import studies as study_list
from app.runs.library import (
    clear_filters,
    matching_runs,
    retention,
    search_text,
    selected,
    show_cells,
    show_filters,
    show_runs,
    watch_all,
)
from app.services import EngineError, Run, store
from app.services import runs as service
from app.services import studies as of_studies
from app.ui.findings import show_error
from app.ui.format import counted

SELECT = "Select one to rename or delete it, or two or more to compare them."


def show_library(runs: list[Run], visitor: str) -> None:
    """The list of single runs, with filters and actions."""
    show_filters()
    matching = matching_runs(runs)
    if matching:
        count = counted(len(runs), "run")
        number = count if len(matching) == len(runs) else f"{len(matching):,} of {count}"
        st.caption(f"{number}. {SELECT}")
        show_runs(matching)
    else:
        st.info("No matching runs.", icon=":material/search_off:")
        st.button("Show all runs", icon=":material/filter_list_off:", on_click=clear_filters)
    actions.show_actions(selected(matching), visitor)


if session.drop_foreign_parameters():
    st.rerun()
st.title("Runs")
try:
    visitor = session.visitor()
    studies = [access.study_as_seen(s, visitor) for s in of_studies.mine(visitor)]
    study_list.show_studies(studies, visitor, search_text())
    cells = bool(studies) and show_cells()
    runs = [access.as_seen(run, visitor) for run in service.mine(visitor, studies=cells)]
    limits = store.current().limits
except EngineError as error:
    show_error(error)
else:
    if runs:
        show_library(runs, visitor)
    elif studies:
        st.caption("There are no single runs.")
    else:
        st.markdown("No runs yet. Runs that you start are listed here, even if you close the tab.")
        st.page_link(pages.NEW, label="Start a run", icon=":material/add_circle:")
    dialogs.show_outcome()
    actions.show_dialog(runs, visitor)
    study_list.show_dialog(studies, visitor)
    st.caption(retention(limits))
    if dialogs.current() is None:  # a rerun would close the dialog
        watch_all(runs, studies, visitor, cells)
