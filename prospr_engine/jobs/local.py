"""Runs on this machine, each in a child process that is talked to over pipes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prospr_engine.jobs.ensure import environment
from prospr_engine.jobs.executor import UNEXPECTED, Ended, Message, Told

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "prospr_engine.jobs.child")
LAST_WORD = 5.0  # seconds that a child may take to go after it said that it is done


class LocalExecutor:
    """At most ``slots`` runs at a time. ``variables`` are added to the children's environment;
    ``grace`` is the time in seconds between asking a run to stop and ending its process."""

    def __init__(
        self, variables: Mapping[str, str] | None = None, grace: float = 0.7, slots: int = 1
    ):
        self._environment = {**environment(), **(variables or {})}
        self._grace, self._slots = grace, slots
        self._children: dict[str, _Child | None] = {}
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def free(self) -> int:
        """How many more runs may be started now."""
        return self._slots - len(self._children)

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        """Begin a run in a child process."""
        self._children[id] = None
        try:
            process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
            )
        except OSError as error:
            sentence = f"The run could not be started ({error.strerror}). Try again later."
            self._messages.put(Ended(id, "failed", sentence))
            return
        _write(process, json.dumps({"config": settings, "out": str(out.absolute())}))
        self._children[id] = _Child(id, process, self._messages.put)

    def cancel(self, id: str) -> None:
        """Ask a run to stop, and end its process after the grace period."""
        if child := self._children.get(id):
            child.stop(self._grace)

    def poll(self, timeout: float = 0.0) -> list[Message]:
        """What was told since the last call; waits up to ``timeout`` seconds for it."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._messages.get(timeout=timeout))
            messages.extend(self._messages.get_nowait() for _ in range(self._messages.qsize()))
        for message in messages:
            if isinstance(message, Ended):
                self._children.pop(message.id, None)
        return messages

    def close(self) -> None:
        """Cancel all and wait until they are gone."""
        children = [child for child in self._children.values() if child]
        for child in children:
            child.stop(self._grace)
        for child in children:
            child.join()


class _Child:
    """A process that computes a run, and the thread that listens to it."""

    def __init__(self, id: str, process: subprocess.Popen[bytes], tell: Callable[[Message], None]):
        self._id, self._process, self._tell = id, process, tell
        self._stopping = False
        self._listener = threading.Thread(target=self._attend, name=f"run {id}", daemon=True)
        self._listener.start()
        self.join = self._listener.join

    def stop(self, grace: float) -> None:
        if self._stopping:
            return
        self._stopping = True
        _write(self._process, "stop")
        killer = threading.Timer(grace, self._process.kill)
        killer.daemon = True
        killer.start()

    def _attend(self) -> None:
        end = Ended(self._id, "failed", UNEXPECTED)
        try:
            end = self._follow()
        except Exception:
            log.exception("run %s", self._id)
        finally:
            # Whatever happened: the runs behind this one must not wait for ever.
            self._tell(end)

    def _follow(self) -> Ended:
        """Pass on what the child tells; how it ended, once its process is gone."""
        with self._process as process:
            try:
                last, finished = self._listen(process)
            finally:
                try:
                    process.wait(LAST_WORD)
                except subprocess.TimeoutExpired:
                    process.kill()
        if last:
            return Ended(self._id, last["end"], last.get("error"))
        if finished:
            return Ended(self._id, "done")  # all files were written before it told so
        if self._stopping:
            return Ended(self._id, "stopped")
        log.warning("run %s: its process ended by %s", self._id, _cause(process.returncode))
        return Ended(self._id, "failed", _death(process.returncode))

    def _listen(self, process: subprocess.Popen[bytes]) -> tuple[dict[str, Any] | None, bool]:
        """The child's last word, if it had one, and whether it told its result before."""
        assert process.stdout
        finished = False
        for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                break  # cut off: the child died in mid-word
            if "end" in message:
                return message, finished
            finished = message["event"] == "Finished"
            self._tell(Told(self._id, message))
        return None, finished


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin
    # Unbuffered, and if the process has just ended its output will say so.
    with contextlib.suppress(OSError, ValueError):
        os.write(process.stdin.fileno(), line.encode() + b"\n")


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _death(code: int) -> str:
    """What the page says; nobody there knows what a signal is."""
    hint = (
        "The machine may have run out of memory: choose a smaller model, smaller batches or "
        "smaller images."
        if code == -9
        else "Try it again; if it happens again, the server's log tells more."
    )
    return f"The run broke off unexpectedly. {hint}"
