"""Redraw a page when the runs on it change."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app.services import EngineError, Run
from app.services import runs as service
from app.ui import when
from app.ui.states import state

POLL = 2.0  # seconds between two polls of live runs


def watch(runs: Sequence[Run]) -> None:
    """Rerun the page as soon as one of the live ``runs`` changes."""
    live = [run for run in runs if run.live]
    if live:
        st.fragment(_poll, run_every=POLL)([run.id for run in live], [version(run) for run in live])


def _poll(ids: Sequence[str], versions: Sequence[tuple[object, ...]]) -> None:
    try:
        runs = [service.find(id) for id in ids]
    except EngineError:
        return  # the store is busy; the next poll may succeed
    if [version(run) for run in runs] != list(versions):
        st.rerun()


def version(run: Run | None) -> tuple[object, ...]:
    """Everything about a run that changes in the list. The time since it was submitted is updated
    only while the run is live."""
    if run is None:
        return ()
    age = when.ago(run.created, time.time()) if run.live else ""
    return (run.id, run.name, run.state, state(run), age)
