"""Between the store and an executor: starts what is queued, records what is reported."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prospr_engine.errors import ResourceError
from prospr_engine.pipeline.record import RESULT
from prospr_engine.store.records import State
from prospr_engine.store.store import Store
from prospr_engine.sweeps.executor import UNEXPECTED, Ended, Executor, Message
from prospr_engine.sweeps.runner import Job, Runner

log = logging.getLogger(__name__)
BEAT = 0.3  # seconds between two looks whether a run is still wanted
PACE = 0.4  # seconds between two records of a progress that is still moving
SWEEP = 60.0  # seconds between two looks for what is too old or too much

Wanted = Literal["go", "stop", "gone", "late", "close"]


@dataclass
class _Running:
    """A run in the executor's hands, and what of it is not yet in the store."""

    id: str
    folder: Path
    since: float
    pending: deque[Mapping[str, Any]] = field(default_factory=deque)
    progressed: float = -math.inf
    end: Ended | None = None
    wanted: Wanted = "go"

    def receive(self, message: Message) -> None:
        if isinstance(message, Ended):
            self.end = message
            return
        stage = _progress_of(message.event)
        if stage and self.pending and _progress_of(self.pending[-1]) == stage:
            self.pending.pop()  # superseded
        self.pending.append(message.event)

    @property
    def due(self) -> bool:
        """Is there something to write down now? Progress that may still move on waits a little."""
        if len(self.pending) == 1 and not self.end and _progress_of(self.pending[0]):
            return time.monotonic() - self.progressed >= PACE
        return bool(self.pending)


class Dispatcher:
    """Computes the queue of ``store``, for as long as ``step`` is called.

    ``name`` identifies this worker. Every method raises ``StoreError`` or
    ``ResourceError`` when the record or the disk refuses, and loses nothing then: the next
    ``step`` goes on where this one ended.
    """

    def __init__(self, store: Store, executor: Executor, name: str):
        self._store, self._executor, self._name = store, executor, name
        self._runner = Runner(self, executor)
        self._running: dict[str, _Running] = {}
        self._beaten = self._swept = -math.inf

    @property
    def busy(self) -> bool:
        """Is a run being computed?"""
        return bool(self._running)

    def recover(self) -> None:
        """Take over from a worker that is gone: what was finished is kept, the rest begins again.
        Only for the one who holds the worker's lock."""
        work = self._store.workspace.runs
        for result in work.glob(f"*/{RESULT}"):  # the last file that a run writes
            self._keep(result.parent.name, result.parent)
        self._store.recover()
        self._store.clear_work()

    def step(self, timeout: float = 0.2) -> None:
        """One turn; waits up to ``timeout`` seconds for messages from the executor."""
        self._runner.step(timeout)

    def receive(self, message: Message) -> None:
        """See ``runner.Source``: kept until ``settle``."""
        if running := self._running.get(message.id):
            running.receive(message)

    def unwanted(self) -> list[str]:
        """Runs that were stopped or deleted, or took too long; looked up every ``BEAT``."""
        now = time.monotonic()
        if now - self._swept >= SWEEP:
            self._swept = now
            self._store.sweep()
        if now - self._beaten < BEAT:
            return []
        self._beaten = now
        return self._beat()

    def settle(self) -> None:
        """Write to the store what was received."""
        self._write()

    def next(self) -> Job | None:
        """The run at the head of the queue, now in this worker's hands."""
        run = self._store.claim(self._name) if self._store.waiting() else None
        if run is None:
            return None
        folder = self._store.workspace.run(run.id)
        self._running[run.id] = _Running(run.id, folder, time.monotonic())
        return Job(run.id, run.settings, folder)

    def close(self) -> None:
        """Stop what runs. It is put back into the queue, and begins again with another worker."""
        for running in self._running.values():
            if running.wanted == "go":
                running.wanted = "close"
        self._executor.close()
        self._runner.collect()
        self._write()

    def abandon(self) -> None:
        """Stop what runs and write nothing down: there is no store any more."""
        self._executor.close()
        for running in self._running.values():
            # Its child may have made it again after it was deleted.
            shutil.rmtree(running.folder, ignore_errors=True)
        self._running.clear()

    def _beat(self) -> list[str]:
        minutes = self._store.limits.run_minutes
        for running in self._running.values():
            wanted: Wanted = self._store.beat(running.id, self._name)
            if wanted == "go" and minutes and time.monotonic() - running.since > 60 * minutes:
                wanted = "late"
            running.wanted = wanted
        return [running.id for running in self._running.values() if running.wanted != "go"]

    def _write(self) -> None:
        for running in list(self._running.values()):
            while running.due:
                event = running.pending[0]
                if running.wanted != "gone":
                    self._store.record(running.id, event)
                running.pending.popleft()
                if _progress_of(event):
                    running.progressed = time.monotonic()
            if running.end:
                self._finish(running, running.end)
                shutil.rmtree(running.folder, ignore_errors=True)
                del self._running[running.id]

    def _finish(self, running: _Running, end: Ended) -> None:
        if running.wanted == "gone":
            return
        if end.state == "done":
            try:
                self._keep(running.id, running.folder)
            except ResourceError:
                # Its files wait for space on the disk, unless it was stopped meanwhile.
                if running.wanted != "stop":
                    raise
                self._store.finish(running.id, "stopped")
        elif end.state == "stopped" and running.wanted == "close":
            self._store.release(running.id)
        elif end.state == "stopped" and running.wanted == "late":
            self._store.finish(running.id, "failed", _late(self._store.limits.run_minutes))
        else:
            # Visitors read it: what the server's folders are called is not their business.
            error = end.error and end.error.replace(f"{running.folder}{os.sep}", "")
            self._store.finish(running.id, end.state, error)

    def _keep(self, id: str, folder: Path) -> None:
        state: State = "done"
        try:
            self._store.finish(id, state, folder=folder)
        except (OSError, ValueError, LookupError):
            log.exception("the files of run %s cannot be taken over", id)
            self._store.finish(id, "failed", UNEXPECTED)


def _progress_of(event: Mapping[str, Any]) -> str | None:
    """The stage whose progress this is, if it is progress at all."""
    return event.get("stage") if event["event"] == "Progress" else None


def _late(minutes: float) -> str:
    return (
        f"The run took longer than the {minutes:g} minutes that this server allows and was ended. "
        "Choose a smaller model, fewer epochs or fewer images."
    )
