"""Connects the store and an executor: starts queued runs and records their events."""

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
BEAT = 0.3  # seconds between two checks whether a run is still wanted
PACE = 0.4  # seconds between two records of the progress of a stage
SWEEP = 60.0  # seconds between two clean-ups of the store

Wanted = Literal["go", "stop", "gone", "late", "close"]


@dataclass
class _Running:
    """A run being computed, and its events that are not in the store yet."""

    id: str
    folder: Path
    since: float
    minutes: float  # that it may take; 0 is no limit
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
        """Whether there is something to record now. Progress waits, as newer may replace it."""
        if len(self.pending) == 1 and not self.end and _progress_of(self.pending[0]):
            return time.monotonic() - self.progressed >= PACE
        return bool(self.pending)


class Dispatcher:
    """Computes the queue of ``store``, for as long as ``step`` is called.

    ``name`` identifies this worker. Every method raises ``StoreError`` or ``ResourceError`` if the
    database or the disk fails. Nothing is lost then: the next ``step`` continues.
    """

    def __init__(self, store: Store, executor: Executor, name: str):
        self._store, self._executor, self._name = store, executor, name
        self._runner = Runner(self, executor)
        self._running: dict[str, _Running] = {}
        self._beaten = self._swept = -math.inf

    @property
    def busy(self) -> bool:
        """Whether a run is being computed."""
        return bool(self._running)

    def recover(self) -> None:
        """Take over from a worker that ended: finished runs are kept, the others start again. Only
        for the process with the worker's lock."""
        work = self._store.workspace.runs
        for result in work.glob(f"*/{RESULT}"):  # the last file that a run writes
            self._keep(result.parent.name, result.parent)
        self._store.recover()
        self._store.clear_work()

    def step(self, timeout: float = 0.2) -> None:
        """One turn; waits up to ``timeout`` seconds for messages from the executor."""
        self._runner.step(timeout)

    def receive(self, message: Message) -> None:
        """See ``runner.Source``; recorded by ``settle``."""
        if running := self._running.get(message.id):
            running.receive(message)

    def unwanted(self) -> list[str]:
        """Runs that were stopped or deleted, or take too long; checked every ``BEAT``."""
        now = time.monotonic()
        if now - self._swept >= SWEEP:
            self._swept = now
            self._store.sweep()
        if now - self._beaten < BEAT:
            return []
        self._beaten = now
        return self._beat()

    def settle(self) -> None:
        """Record what was received in the store."""
        self._write()

    def next(self) -> Job | None:
        """The first run in the queue, now assigned to this worker."""
        run = self._store.claim(self._name) if self._store.waiting() else None
        if run is None:
            return None
        folder = self._store.workspace.run(run.id)
        # Whoever uses the command line decides how long it may take.
        minutes = self._store.limits.run_minutes if run.owner else 0.0
        self._running[run.id] = _Running(run.id, folder, time.monotonic(), minutes)
        return Job(run.id, run.settings, folder)

    def close(self) -> None:
        """Stop the runs and return them to the queue, where another worker starts them again."""
        for running in self._running.values():
            if running.wanted == "go":
                running.wanted = "close"
        self._executor.close()
        self._runner.collect()
        self._write()

    def abandon(self) -> None:
        """Stop the runs without recording anything: the store was deleted."""
        self._executor.close()
        for running in self._running.values():
            # Its child may have created it again after it was deleted.
            shutil.rmtree(running.folder, ignore_errors=True)
        self._running.clear()

    def _beat(self) -> list[str]:
        for running in self._running.values():
            wanted: Wanted = self._store.beat(running.id, self._name)
            taken = time.monotonic() - running.since
            if wanted == "go" and running.minutes and taken > 60 * running.minutes:
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
            self._store.finish(running.id, "failed", _late(running.minutes))
        else:
            # Visitors read it, and must not learn the names of the server's folders.
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
    """The stage of an event of progress; None for other events."""
    return event.get("stage") if event["event"] == "Progress" else None


def _late(minutes: float) -> str:
    return (
        f"The run took longer than the {minutes:g} minutes that this server allows and was ended. "
        "Choose a smaller model, fewer epochs or fewer images."
    )
