"""What is known of one run: its settings, how it stands, and what it has told."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any, Literal

from prospr_engine.config import RunConfig

State = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(eq=False)
class Job:
    """One run. ``out`` is its folder; ``error`` the sentence why it failed, if it did.

    ``id`` cannot be guessed: who knows it may look at the run, stop it and take its files.
    """

    id: str
    config: RunConfig
    out: Path
    grace: float
    """Seconds between asking a run to stop and ending its process."""
    ended: float | None = None
    """When it was over (seconds since 1970), once it is."""
    state: State = "waiting"
    error: str | None = None
    stopping: bool = False
    _events: list[dict[str, Any]] = field(default_factory=list)
    _process: Popen[bytes] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def live(self) -> bool:
        """Waiting or running."""
        return self.state in ("waiting", "running")

    def events(self) -> list[dict[str, Any]]:
        """What the run has told so far, as ``Event.to_dict`` gives it. Does not wait."""
        with self._lock:
            return list(self._events)

    def stop(self) -> None:
        """Ask the run to stop; its process is ended if it has not after ``grace`` seconds."""
        with self._lock:
            if not self.live or self.stopping:
                return
            self.stopping = True
            if self.state == "waiting":
                self.end("stopped")
            elif self._process is not None:
                self._ask_to_stop(self._process)

    def _ask_to_stop(self, process: Popen[bytes]) -> None:
        _write(process, "stop")
        killer = threading.Timer(self.grace, process.kill)
        killer.daemon = True
        killer.start()

    def begin(self) -> bool:
        """From waiting to running; false if somebody stopped it while it waited."""
        with self._lock:
            if self.state != "waiting":
                return False
            self.state = "running"
            return True

    def attach(self, process: Popen[bytes], order: object) -> None:
        """The process that shall compute this run exists: give it the order."""
        with self._lock:
            self._process = process
            _write(process, json.dumps(order))
            if self.stopping:
                self._ask_to_stop(process)

    def add(self, event: dict[str, Any]) -> None:
        """Keep what the run told. Of a piece of work in progress only the latest is kept: a long
        run tells thousands of times how far it is."""
        with self._lock:
            last = self._events[-1] if self._events else {}
            same = [e.get("event") == "Progress" and e["stage"] for e in (last, event)]
            if same[0] and same[0] == same[1]:
                self._events[-1] = event
            else:
                self._events.append(event)

    def end(self, state: State, error: str | None = None) -> None:
        """The run is over. ``state`` is told last: who sees it sees all the rest."""
        with self._lock:
            self._process = None
            self.error = error
            self.ended = time.time()
            self.state = state


def _write(process: Popen[bytes], line: str) -> None:
    assert process.stdin
    # Unbuffered, and if the process has just ended its output will say so.
    with contextlib.suppress(OSError):
        os.write(process.stdin.fileno(), line.encode() + b"\n")
