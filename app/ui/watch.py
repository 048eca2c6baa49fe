"""Drawing a page anew when the runs on it have changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app.services import EngineError, Run
from app.services import runs as service
from app.ui import when
from app.ui.states import state

POLL = 2.0  # seconds between two looks at live runs


def watch(runs: Sequence[Run]) -> None:
    """Draw the page anew as soon as one of the live ``runs`` has changed."""
    live = [run for run in runs if run.live]
    if live:
        st.fragment(_look, run_every=POLL)([run.id for run in live], [pace(run) for run in live])


def _look(ids: Sequence[str], paces: Sequence[tuple[object, ...]]) -> None:
    try:
        runs = [service.find(id) for id in ids]
    except EngineError:
        return  # the record is busy; the next look will tell
    if [pace(run) for run in runs] != list(paces):
        st.rerun()


def pace(run: Run | None) -> tuple[object, ...]:
    """What of a run changes in the list. How long ago it was asked for is brought up to date
    while it is live; a page that rests is not drawn anew for that."""
    if run is None:
        return ()
    age = when.ago(run.created, time.time()) if run.live else ""
    return (run.id, run.name, run.state, state(run), age)
