"""Runs: start, find, follow, rename, delete. Everything is in the store, so a restart of the web
server loses nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import streamlit as st

from app import services
from app.services import NO_CONTROL, store
from app.services.origin import origin
from app.services.uploads import check_tokens
from prospr_engine.config import RunConfig
from prospr_engine.errors import DataError
from prospr_engine.identity import replace_files, same_settings
from prospr_engine.io.tokens import absolute
from prospr_engine.pipeline.record import RESULT, RunRecord
from prospr_engine.store.records import Artifact, Run

RECENT = 200
"""More than the queue holds. The form reads them on every change."""
ENOUGH, LATEST = 2, 40
"""Fewest and most runs that a pace is the mean of."""
INSTANT = 0.05  # seconds; a faster run was not computed, its result existed already
ENDED = ("failed", "stopped")
"""Without a result."""
GONE = (
    "The files of this run are no longer on the server. Start the run again: the same settings "
    "give the same files."
)


def start(config: RunConfig, owner: str, name: str = "") -> Run:
    """The run with these settings, new or existing; see ``Store.submit``.

    Raises ``EngineError`` if the settings cannot be used or the store does not take more.
    """
    run = store.current().submit(usable(config, owner), owner, name, origin())
    if run.live:
        store.ensure_worker(store.current().folder)
    return run


def usable(config: RunConfig, owner: str) -> RunConfig:
    """The settings in a form that the worker can use. Raises ``EngineError`` if the visitor may not
    use them."""
    # The form does not offer such settings, but a browser can send anything.
    check_tokens(config, owner)
    services.check_model(config.model)
    # The worker has another working directory.
    return replace_files(config, absolute)


def find(id: str | None) -> Run | None:
    """The run with that id, if there is one; makes sure that a live one has a worker."""
    run = store.current().get(id) if id else None
    if run is not None and run.live:
        store.ensure_worker(store.current().folder)
    return run


def mine(owner: str, studies: bool = False) -> list[Run]:
    """The runs listed for a visitor, newest first: their own and the command line's; those of
    studies only if ``studies``."""
    return store.current().runs(owner, studies=studies)


def controls_of(config: RunConfig, owner: str) -> dict[str, Run]:
    """The visitor's runs that differ from these settings only in the control, by control
    (``NO_CONTROL``: the original). Of several, a run that is live or done comes before one that
    ended without a result, and a newer before an older one."""
    found: dict[str, Run] = {}
    for run in sorted(mine(owner, studies=True), key=lambda run: run.state in ENDED):
        if same_settings(config, run.settings, but=("control",)):
            found.setdefault(run.settings.get("control", NO_CONTROL), run)
    return found


def same(config: RunConfig, runs: Sequence[Run]) -> list[Run]:
    """The ``runs`` with these settings."""
    return [run for run in runs if same_settings(config, run.settings)]


def recent(studies: bool = False) -> list[Run]:
    """The latest runs of all visitors, newest first; those of studies only if ``studies``. Not for
    display: they include other visitors' runs."""
    return store.current().runs(most=RECENT, studies=studies)


def pace(runs: Sequence[Run]) -> float | None:
    """The mean seconds of the latest ``runs`` that were computed; None if too few are done."""
    seconds = [
        run.ended - run.started
        for run in runs
        if run.state == "done" and run.started and run.ended and run.ended - run.started > INSTANT
    ]
    return fmean(seconds[-LATEST:]) if len(seconds) >= ENOUGH else None


def events(run: Run, after: int = 0) -> list[dict[str, Any]]:
    """The events of the run; see ``Store.events``."""
    return store.current().events(run.id, after)


def files(run: Run) -> dict[str, Artifact]:
    """The files of a finished run by name, without those already deleted."""
    return store.current().files(run.id)


def check(file: Artifact) -> None:
    """Raise ``DataError`` if a file is gone, or is no longer what its run wrote."""
    store.current().check(file)


def result(run: Run) -> RunRecord:
    """The result of a finished run, without individual predictions. Raises ``DataError`` if it is
    gone or cannot be read by this version."""
    artifact = files(run).get(RESULT)
    if artifact is None:
        raise DataError(GONE)
    return _result(str(artifact.path))


def stop(run: Run, owner: str) -> None:
    """Ask the run to stop. Raises ``StoreError`` if it is not the visitor's."""
    store.current().stop(run.id, owner)


def rename(run: Run, owner: str, name: str) -> None:
    """Name the run. Raises ``StoreError`` if it is not the visitor's."""
    store.current().rename(run.id, owner, name)


def delete(run: Run, owner: str) -> None:
    """Delete the run and its files. Raises ``StoreError`` if it is not the visitor's."""
    store.current().delete(run.id, owner)


# A file is named after the digest of its content, so it never changes. A resource, not data:
# copying it on every rerun would cost more than the rest of the page.
@st.cache_resource(max_entries=400, show_spinner=False)
def _result(path: str) -> RunRecord:
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        raise DataError(GONE) from None
    # Individual predictions are not shown, and are by far the largest part.
    return dataclasses.replace(RunRecord.from_dict(values), predictions={})
