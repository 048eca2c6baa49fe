"""The visitor's studies and runs, and those of the command line: find, open, compare, rename,
delete."""

from __future__ import annotations

import streamlit as st

from app import access, pages, session
from app.runs.actions import asking, show_actions, show_question
from app.runs.library import (
    found,
    kept,
    looked_for,
    picked,
    repair_address,
    show_all,
    show_cells,
    show_filters,
    show_runs,
    watch_all,
)
from app.runs.studies import asking as asking_about_study
from app.runs.studies import show_question as ask_about_study
from app.runs.studies import show_studies
from app.services import EngineError, Run, store
from app.services import runs as service
from app.services import studies as of_studies
from app.ui.findings import show_error
from app.ui.format import counted

TICK = "Tick one to rename or delete it, two or more to compare them."


def show_library(runs: list[Run], visitor: str) -> None:
    """All of the page below its title."""
    show_filters()
    matching = found(runs)
    if matching:
        count = counted(len(runs), "run")
        told = count if len(matching) == len(runs) else f"{len(matching):,} of {count}"
        st.caption(f"{told}. {TICK}")
        show_runs(matching)
    else:
        st.info("No matching runs.", icon=":material/search_off:")
        st.button("Show all runs", icon=":material/filter_list_off:", on_click=show_all)
    show_actions(picked(matching), visitor)
    show_question(runs, visitor)


repair_address()
st.title("Runs")
try:
    visitor = session.visitor()
    studies = [access.study_as_seen(s, visitor) for s in of_studies.mine(visitor)]
    show_studies(studies, visitor, looked_for())
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
        st.markdown(
            "No runs yet. Start one, close the tab if you like, and find it here when you come "
            "back: waiting, running or done."
        )
        st.page_link(pages.NEW, label="Start a run", icon=":material/add_circle:")
    ask_about_study(studies, visitor)
    st.caption(kept(limits))
    if not asking() and not asking_about_study():  # a page drawn anew would close the question
        watch_all(runs, studies, visitor, cells)
