"""Runs: start, find, follow, keep. All that is known of them is in the store; this process only
asks, so a restart loses nothing."""

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
from app.services.uploads import check_tokens
from prospr_engine.config import RunConfig
from prospr_engine.errors import DataError
from prospr_engine.identity import replace_files, same_settings
from prospr_engine.io.tokens import absolute
from prospr_engine.pipeline.record import RESULT, RunRecord
from prospr_engine.store.records import Artifact, Run

RECENT = 200
"""More than can wait; the form asks for them whenever it moves."""
ENOUGH, LATEST = 2, 40
"""Runs that a pace needs, and the most that it is the mean of."""
INSTANT = 0.05  # seconds; a run that took less was not computed, its result existed already
ENDED = ("failed", "stopped")
"""Without a result."""
GONE = (
    "The files of this run are no longer on the server. Start the run again: the same settings "
    "give the same files."
)


def start(config: RunConfig, owner: str, name: str = "") -> Run:
    """The run of these settings, a new one or one that there is already; see ``Store.submit``.

    Raises ``EngineError`` if the settings cannot be used or the store does not take more.
    """
    run = store.current().submit(usable(config, owner), owner, name)
    if run.live:
        store.ensure_worker(store.current().folder)
    return run


def usable(config: RunConfig, owner: str) -> RunConfig:
    """The settings as a worker can use them. Raises ``EngineError`` if a visitor may not."""
    # The form offers no such thing, but whatever a browser sends is checked here again.
    check_tokens(config, owner)
    services.check_model(config.model)
    # The worker stands in another folder than this process.
    return replace_files(config, absolute)


def find(id: str | None) -> Run | None:
    """The run of that id, if there is one; looks after its worker if it needs one."""
    run = store.current().get(id) if id else None
    if run is not None and run.live:
        store.ensure_worker(store.current().folder)
    return run


def mine(owner: str, studies: bool = False) -> list[Run]:
    """What a visitor may see listed, the newest first: theirs and the command line's. The runs of
    studies only if ``studies`` says so."""
    return store.current().runs(owner, studies=studies)


def controls_of(config: RunConfig, owner: str) -> dict[str, Run]:
    """The visitor's runs of these settings but for the control, by that (``NO_CONTROL``: the
    choice as it is): of several the newest, and first those that have a result or may still get
    one."""
    found: dict[str, Run] = {}
    for run in sorted(mine(owner, studies=True), key=lambda run: run.state in ENDED):
        if same_settings(config, run.settings, but=("control",)):
            found.setdefault(run.settings.get("control", NO_CONTROL), run)
    return found


def same(config: RunConfig, runs: Sequence[Run]) -> list[Run]:
    """Those of ``runs`` that have these settings."""
    return [run for run in runs if same_settings(config, run.settings)]


def recent(studies: bool = False) -> list[Run]:
    """The latest runs of everybody, the newest first: what goes on here. Not to be listed. The
    runs of studies only if ``studies`` says so."""
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
    """What the run told; see ``Store.events``."""
    return store.current().events(run.id, after)


def files(run: Run) -> dict[str, Artifact]:
    """The files of a finished run by name, as far as they are still there."""
    return store.current().files(run.id)


def result(run: Run) -> RunRecord:
    """What a finished run found, but for the single predictions. Raises ``DataError`` if the result
    is gone, or cannot be read by this version."""
    artifact = files(run).get(RESULT)
    if artifact is None:
        raise DataError(GONE)
    return _result(str(artifact.path))


def stop(run: Run, owner: str) -> None:
    """Ask the run to stop. Raises ``StoreError`` if it is not the visitor's."""
    store.current().stop(run.id, owner)


def rename(run: Run, owner: str, name: str) -> None:
    """Call the run something. Raises ``StoreError`` if it is not the visitor's."""
    store.current().rename(run.id, owner, name)


def delete(run: Run, owner: str) -> None:
    """Forget the run and its files. Raises ``StoreError`` if it is not the visitor's."""
    store.current().delete(run.id, owner)


# The name of the file is the digest of its content: it never changes. A resource, not data:
# copies of it on every look at a page would cost more than the page.
@st.cache_resource(max_entries=400, show_spinner=False)
def _result(path: str) -> RunRecord:
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        raise DataError(GONE) from None
    # Nobody looks at single predictions here, and they are the largest part by far.
    return dataclasses.replace(RunRecord.from_dict(values), predictions={})
