"""Runs on this machine, in child processes connected by pipes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine.jobs.spawn import environment
from prospr_engine.sweeps.executor import UNEXPECTED, Ended, Message, Reported
from prospr_engine.sweeps.workspace import Workspace

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "prospr_engine.jobs.child")
WORKERS = (signal.SIGINT, signal.SIGTERM)
"""Signals that are for the worker alone."""
LAST_WORD = 5.0  # seconds that a child may take to exit after its last message


class LocalExecutor:
    """At most ``slots`` runs at a time. A child that finished a run takes the next one, if it
    reports that it can. ``workspace`` has the uploads and what runs share; ``grace`` is the time in
    seconds from the request to stop a run until its process is killed."""

    def __init__(
        self,
        workspace: Workspace | None = None,
        grace: float = 0.7,
        slots: int = 1,
    ):
        self._environment = environment()
        self._shared: str | None = None
        if workspace:
            self._environment |= workspace.variables
            self._shared = str(workspace.cache.absolute()) if workspace.cache else None
        self._grace, self._slots = grace, slots
        self._busy: dict[str, _Child | None] = {}
        self._idle: list[_Child] = []
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def free(self) -> int:
        """How many more runs may be started now."""
        return self._slots - len(self._busy)

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        """Begin a run in a child process, one that waits for it or a new one."""
        self._busy[id] = None
        order = {"config": settings, "out": str(out.absolute()), "shared": self._shared}
        try:
            self._busy[id] = self._begin(id, order)
        except OSError as error:
            sentence = f"The run could not be started ({error.strerror}). Try again later."
            self._messages.put(Ended(id, "failed", sentence))

    def cancel(self, id: str) -> None:
        """Ask a run to stop, and end its process after the grace period."""
        if child := self._busy.get(id):
            child.stop(self._grace)

    def poll(self, timeout: float = 0.0) -> list[Message]:
        """The messages since the last call; waits up to ``timeout`` seconds for one."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._messages.get(timeout=timeout))
            messages.extend(self._messages.get_nowait() for _ in range(self._messages.qsize()))
        for message in messages:
            if isinstance(message, Ended) and (child := self._busy.pop(message.id, None)):
                self._idle.append(child)
        return messages

    def close(self) -> None:
        """Cancel all runs and wait until they are over."""
        busy = [child for child in self._busy.values() if child]
        for child in busy:
            child.stop(self._grace)
        for child in (*self._idle, *busy):
            child.dismiss()
        self._idle.clear()

    def _begin(self, id: str, order: Mapping[str, Any]) -> _Child:
        """The child that computes the run."""
        while self._idle:
            child = self._idle.pop()
            if child.begin(id, order):
                return child
        with _deaf():
            process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
            )
        return _Child(process, self._messages.put, id, order)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """A process that starts here does not hear Ctrl-C and SIGTERM before it ignores them: where a
    service is stopped, both go to all of its processes at once, and the run should be put back."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WORKERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Task:
    """A run that a child computes."""

    id: str
    finished: bool = False  # it reported its result; all files had been written
    killer: threading.Timer | None = None  # set by the request to stop


class _Child:
    """A process that computes one run after another, and the thread that reads its messages."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        report: Callable[[Message], None],
        id: str,
        order: Mapping[str, Any],
    ):
        self._process, self._report = process, report
        self._task: _Task | None = _Task(id)
        self._killed = False
        # The task must not change between a check of it and what follows from the check.
        self._lock = threading.Lock()
        self._free = threading.Event()
        self._listener = threading.Thread(
            target=self._attend, name=f"child {process.pid}", daemon=True
        )
        self._listener.start()
        _write(process, json.dumps(order))

    def begin(self, id: str, order: Mapping[str, Any]) -> bool:
        """Give it another run; False if it has exited or is being killed."""
        with self._lock:
            if self._task or self._killed or self._process.poll() is not None:
                return False
            self._free.clear()
            self._task = _Task(id)
        _write(self._process, json.dumps(order))
        return True

    def stop(self, grace: float) -> None:
        """Ask its run to stop, and end the process if it does not in time."""
        task = self._task
        if task is None or task.killer:
            return
        task.killer = threading.Timer(grace, self._kill, [task])
        task.killer.daemon = True
        _write(self._process, "stop")
        task.killer.start()

    def dismiss(self) -> None:
        """Wait until its run is over, and end it."""
        self._free.wait()
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        self._listener.join(LAST_WORD)
        self._process.kill()
        self._listener.join()

    def _kill(self, task: _Task) -> None:
        with self._lock:
            if self._task is task:
                self._killed = True
                self._process.kill()

    def _attend(self) -> None:
        end: Ended | None = None
        try:
            end = self._follow()
        except Exception:
            log.exception("a child that computes runs")
        finally:
            # In any case, or the runs in the queue would wait for ever.
            self._over(end)

    def _follow(self) -> Ended | None:
        """Pass on the child's messages; how its last run ended."""
        with self._process as process:
            try:
                last = self._listen(process)
            finally:
                try:
                    process.wait(LAST_WORD)
                except subprocess.TimeoutExpired:
                    process.kill()
        task = self._task
        if task is None:
            return None
        if last:
            return Ended(task.id, last["end"], last.get("error"))
        if task.finished:
            return Ended(task.id, "done")
        if task.killer:
            return Ended(task.id, "stopped")
        log.warning("run %s: its process ended by %s", task.id, _cause(process.returncode))
        return Ended(task.id, "failed", _death(process.returncode))

    def _listen(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """The message on the end of the run with which the child exits; None if it sent none."""
        assert process.stdout
        for line in process.stdout:
            try:
                message: dict[str, Any] = json.loads(line)
            except ValueError:
                break  # incomplete: the child was killed while writing
            task = self._task
            assert task
            if "end" not in message:
                task.finished = message["event"] == "Finished"
                self._report(Reported(task.id, message))
            elif message.get("stays"):
                self._over(Ended(task.id, message["end"], message.get("error")))
            else:
                return message
        return None

    def _over(self, end: Ended | None) -> None:
        """Its run has ended, if it has one."""
        with self._lock:
            task, self._task = self._task, None
            self._free.set()
        if task and task.killer:
            task.killer.cancel()
        if task:
            self._report(end or Ended(task.id, "failed", UNEXPECTED))


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin
    # Unbuffered. If the process has just ended, the end of its output shows that.
    with contextlib.suppress(OSError, ValueError):
        os.write(process.stdin.fileno(), line.encode() + b"\n")


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _death(code: int) -> str:
    """The message for the page, which does not mention signals."""
    hint = (
        "The machine may have run out of memory: choose a smaller model, smaller batches or "
        "smaller images."
        if code == -9
        else "Try it again; if it happens again, the server's log has details."
    )
    return f"The run broke off unexpectedly. {hint}"
