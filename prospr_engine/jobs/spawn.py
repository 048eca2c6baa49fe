"""Start the worker that computes the queue: one process per store.

The process that has the lock on ``worker.lock`` is the worker. The system releases the lock when
the process ends, however it ends, so no stale lock can remain.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prospr_engine.errors import StoreError
from prospr_engine.io.processes import with_package

COMMAND = (sys.executable, "-m", "prospr_engine.jobs.worker")
LOG = "worker.log"
DATA = "PROSPR_DATA"
LOG_SIZE = 1_000_000  # bytes; a longer log is renamed when the next worker starts
STARTING = 10.0  # seconds that a new worker may take to acquire its lock
PAUSE = 2.0  # seconds between two attempts if workers end at once


@dataclass(frozen=True)
class _Start:
    process: subprocess.Popen[bytes]
    time: float


_starts: dict[Path, _Start] = {}
_guard = threading.Lock()


def ensure_worker(folder: str | Path) -> None:
    """Start a worker for the store in ``folder``, unless one is running or starting.

    Cheap if one is running (well below a millisecond): call it after every submission, and whenever
    a page shows a live run. Raises ``StoreError`` if no worker can be started.
    """
    folder = Path(folder).absolute()
    try:
        if at_work(folder):
            return
        with _guard:  # many pages may notice at once
            if not _starting(folder):
                _starts[folder] = _Start(_spawn(folder), time.monotonic())
    except OSError as error:
        raise StoreError(
            f"The process that computes runs could not be started ({error.strerror or error}). "
            "Runs stay in the queue until it can be; the server's disk or memory may be full."
        ) from None


def at_work(folder: Path) -> bool:
    """Whether a worker is running."""
    lock = worker_lock(folder)
    try:
        # Not quite non-blocking: another process that checks has the lock for a moment.
        lock.acquire(timeout=0.003, poll_interval=0.001)
    except Timeout:
        return True
    lock.release()
    return False


def worker_lock(folder: Path) -> FileLock:
    """The lock that the worker of the store in ``folder`` holds."""
    return FileLock(folder / "worker.lock", thread_local=False)


def _starting(folder: Path) -> bool:
    """Whether a worker was started so recently that it may not have its lock yet."""
    start = _starts.get(folder)
    if start is None:
        return False
    alive = start.process.poll() is None
    return time.monotonic() - start.time < (STARTING if alive else PAUSE)


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    log = folder / LOG
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_SIZE:
            log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*COMMAND, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,  # does not depend on who starts it, and will not be deleted
            env=environment(),
            **_detached(),
        )
    # So that it does not remain as a zombie when it has ended.
    threading.Thread(target=process.wait, name="worker", daemon=True).start()
    return process


def environment() -> dict[str, str]:
    """The variables of this process, with this package importable from any folder."""
    variables = with_package()
    if variables.get(DATA):  # a relative path would mean another folder in the new process
        variables[DATA] = str(Path(variables[DATA]).expanduser().absolute())
    return variables


def _detached() -> dict[str, Any]:
    """Arguments of ``Popen``: the worker must outlive the server that started it, and not receive
    its Ctrl-C."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    return {"start_new_session": True}
