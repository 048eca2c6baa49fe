"""The first process of a container: ``python -m prospr_engine.jobs.init COMMAND …``.

``docker stop`` sends SIGTERM to the first process alone, and once that has ended, the system kills
all others: a worker, which has a session of its own so that it outlives the server, would never
hear of it, and its run would look as if it had crashed. So this process starts the server, passes
on the signal to it and then to what it left, waits for their end, and reaps what nobody else does.
It works as well below another one, as with ``docker run --init``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

SERVER_TIME = 4.0
"""Seconds that the command may take to end, before the others are told to."""
ALL_TIME = 8.5
"""Seconds until all are killed; after 10, Docker does."""
TICK = 0.2  # seconds
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: orphans become children of this process


class _Init:
    """The state between signals: of the command, and of the end."""

    def __init__(self, command: Sequence[str]):
        self.code: int | None = None  # of the command, once it has ended
        self._end: float | None = None  # when the end began
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._begin_to_end)
        signal.signal(signal.SIGALRM, self._tick)
        self._command = subprocess.Popen(command)

    def wait(self) -> int:
        """Reap children until none is left; the exit code of the command."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, 0)  # goes on after a signal
                if pid == self._command.pid:
                    self.code = self._command.returncode = os.waitstatus_to_exitcode(status)
                    self._begin_to_end()
        signal.setitimer(signal.ITIMER_REAL, 0)
        code = self.code or 0
        return code if code >= 0 else 128 - code

    def _begin_to_end(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        if self._end is None:
            self._end = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        if self.code is None:
            _send(self._command.pid, number)
        self._tick()

    def _tick(self, number: int = signal.SIGALRM, frame: FrameType | None = None) -> None:
        assert self._end is not None
        passed = time.monotonic() - self._end
        if self.code is None and passed < SERVER_TIME:
            return  # a page that is still served could start another worker
        if passed > ALL_TIME:
            for pid in descendants(os.getpid()):
                _send(pid, signal.SIGKILL)
            return
        for pid in descendants(os.getpid(), deep=False):  # a worker sees to its own children
            _send(pid, signal.SIGKILL if pid == self._command.pid else signal.SIGTERM)


def descendants(root: int, deep: bool = True) -> list[int]:
    """The children of ``root``, as /proc of Linux has them, and if ``deep`` all below them."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # A name in brackets, which may contain anything, comes before state and parent.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found, below = [], {root}
    while below:
        below = {pid for pid, parent in parents.items() if parent in below}
        found += sorted(below)
        if not deep:
            break
    return found


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def main(command: Sequence[str]) -> int:
    """Run the command as described above; its exit code."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    return _Init(command).wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
