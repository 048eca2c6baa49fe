"""Following a run or a study of the store as if it were computed here."""

from __future__ import annotations

import time

from prospr_engine.errors import StoreError
from prospr_engine.events import (
    CellEnded,
    CellStarted,
    OnEvent,
    StageStarted,
    from_dict,
    ignore,
)
from prospr_engine.format import counted
from prospr_engine.jobs.spawn import ensure_worker
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.store.study import row_of

PAUSE = 0.3  # seconds between two looks


def follow(store: Store, id: str, on_event: OnEvent = ignore) -> Run:
    """Report the run's events until it is over, and make sure that a worker computes it.

    While it waits, the stage ``"queue"`` says how many runs come before it. Raises ``StoreError``
    if the run is deleted, or the record cannot be read.
    """
    seen, ahead = 0, 0
    while True:
        # In this order, events from before the end are all reported.
        run = store.get(id)
        if run is None:
            raise StoreError("The run was deleted.")
        for values in store.events(id, seen):
            seen = values["seq"]
            if event := from_dict(values):
                on_event(event)
        if not run.live:
            return run
        if run.ahead != ahead and run.ahead:
            on_event(StageStarted("queue", f"Waiting: {counted(run.ahead, 'run')} ahead"))
        ahead = run.ahead
        ensure_worker(store.folder)
        time.sleep(PAUSE)


def follow_study(store: Store, id: str, on_event: OnEvent = ignore) -> list[Run]:
    """Report which runs of a study begin and end, and their events, until all are over; the
    runs, in order. Make sure that a worker computes them.

    While others come before, the stage ``"queue"`` says how many. Raises ``StoreError`` if the
    study is deleted, or the record cannot be read.
    """
    seen: dict[str, int] = {}
    over: set[str] = set()
    ahead = 0
    while True:
        # In this order, events from before the end are all reported.
        runs = store.study_runs(id)
        if not runs:
            raise StoreError("The study was deleted.")
        for number, run in enumerate(runs, start=1):
            if run.state != "queued" and run.id not in over:
                _report_cell(store, run, (number, len(runs)), seen, on_event)
                over |= set() if run.live else {run.id}
        live = [run for run in runs if run.live]
        if not live:
            return runs
        before = min(run.ahead for run in live)  # one that runs has none
        if before != ahead and before:
            on_event(StageStarted("queue", f"Waiting: {counted(before, 'run')} ahead"))
        ahead = before
        ensure_worker(store.folder)
        time.sleep(PAUSE)


def _report_cell(
    store: Store, run: Run, place: tuple[int, int], seen: dict[str, int], on_event: OnEvent
) -> None:
    """Report a run of a study: its begin, its events since ``seen``, and its end."""
    known = run.state == "done" and run.started == run.ended  # adopted, without being begun
    begun = run.started is not None and not known
    if begun and run.id not in seen:
        on_event(CellStarted(*place, dict(run.settings)))
    seen.setdefault(run.id, 0)
    for values in store.events(run.id, seen[run.id]) if begun else []:
        seen[run.id] = values["seq"]
        if event := from_dict(values):
            on_event(event)
    if not run.live:
        on_event(CellEnded(*place, row_of(run), known))
