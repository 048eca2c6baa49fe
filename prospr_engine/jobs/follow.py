"""Following a run of the store as if it were computed here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from prospr_engine.errors import StoreError
from prospr_engine.events import Event, OnEvent, StageStarted, ignore
from prospr_engine.jobs.ensure import ensure_worker
from prospr_engine.store.run import Run
from prospr_engine.store.store import Store

PAUSE = 0.3  # seconds between two looks
KINDS = {kind.__name__: kind for kind in Event.__subclasses__()}


def follow(store: Store, id: str, on_event: OnEvent = ignore) -> Run:
    """Tell what the run tells until it is over, and see to it that somebody computes it.

    While it waits, the stage ``"queue"`` says how many runs come before it. Raises ``StoreError``
    if the run is deleted, or the record cannot be read.
    """
    seen, ahead = 0, 0
    while True:
        # In this order: what was told before the end was seen is then told in full.
        run = store.get(id)
        if run is None:
            raise StoreError("The run was deleted.")
        for told in store.events(id, seen):
            seen = told["seq"]
            if event := _event(told):
                on_event(event)
        if not run.live:
            return run
        if run.ahead != ahead and run.ahead:
            on_event(StageStarted("queue", f"Waiting: {_runs(run.ahead)} ahead"))
        ahead = run.ahead
        ensure_worker(store.folder)
        time.sleep(PAUSE)


def _event(told: Mapping[str, Any]) -> Event | None:
    """The event as it was before it was written down; ``None`` if this version does not know it."""
    kind = KINDS.get(told["event"])
    if kind is None:
        return None
    known = {"result": {}, **told}  # the store keeps results as files
    return kind(**{field.name: known[field.name] for field in dataclasses.fields(kind)})


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
