"""Two runs side by side: in what they differ, and what that did."""

from __future__ import annotations

import streamlit as st

from app import pages, session
from app.compare.pair import PLACES, chosen, repair_address, show_choice
from app.compare.pair_figures import complete
from app.compare.side_by_side import LETTERS, show_pair
from app.services import EngineError, Run
from app.services import runs as service
from app.ui.findings import plain, show_error
from app.ui.titles import title
from app.ui.watch import watch


def obstacle(letter: str, id: str | None, run: Run | None) -> str | None:
    """Why the run in the address cannot be shown, if it cannot."""
    if not id:
        return f"Choose a run for {letter}."
    if run is None:
        return (
            f"The run that this address has for {letter} is not here: it was deleted or its time "
            "was over, or the address is not complete. Choose another one."
        )
    if run.live:
        verb = "waits for its turn" if run.state == "queued" else "is at work"
        return f"{letter} ({title(run)}) {verb}; it appears here when it is done."
    if run.state != "done":
        ended = "failed" if run.state == "failed" else "was stopped"
        return f"{letter} ({title(run)}) {ended} and has no result. Choose another one."
    return None


def show_obstacles(runs: list[Run | None]) -> bool:
    """Say what stands in the way; is there anything?"""
    told = [
        sentence
        for letter, place, run in zip(LETTERS, PLACES, runs, strict=True)
        if (sentence := obstacle(letter, session.run_id(place), run))
    ]
    if not any(session.run_id(place) for place in PLACES):
        told = ["Choose two runs that are done."]
    elif not told and runs[0] == runs[1]:
        told = ["A and B are the same run. Choose another one for one of them."]
    for sentence in told:
        st.info(plain(sentence), icon=":material/info:")
    return bool(told)


repair_address()
st.title("Side by side")
try:
    runs = chosen()
    mine = [run for run in service.mine(session.visitor()) if run.state == "done"]
    if not any(session.run_id(place) for place in PLACES) and len(mine) < 2:
        st.markdown("Two runs that are done can be compared here. Start them first.")
        with st.container(horizontal=True):
            st.page_link(pages.NEW, label="Start a run", icon=":material/add_circle:")
            st.page_link(pages.RUNS, label="See your runs", icon=":material/list:")
    else:
        show_choice(runs, mine)
        there = [run for run in runs if run is not None]
        if not show_obstacles(runs):
            results = [service.result(run) for run in there]
            if all(map(complete, results)):
                show_pair(there, results)
            else:
                show_error(
                    "A result was written by another version of this software. Start both "
                    "runs again to compare them."
                )
        watch(there)
except EngineError as error:
    show_error(error)
