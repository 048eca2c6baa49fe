"""Runs on this machine: one at a time, each in a child process, the others in line."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import prospr_engine
from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError
from prospr_engine.jobs.child import UNEXPECTED
from prospr_engine.jobs.job import Job

log = logging.getLogger(__name__)
DAY = 24 * 3600.0
SWEEP = 60.0  # seconds between two looks for what is old
FOLDER = "[0-9a-f]" * 32  # what jobs call their folders


class Line:
    """Jobs in the order in which they came. Each gets a folder of its own below ``folder``.

    At most ``most_waiting`` jobs wait. Of those that are over, at most ``most_kept`` are
    remembered, and none for longer than ``max_age`` seconds; with a job goes its folder. A job
    that did not finish leaves no files at all.
    """

    def __init__(
        self,
        folder: str | Path,
        grace: float = 0.7,
        most_waiting: int = 20,
        most_kept: int = 50,
        max_age: float = DAY,
    ):
        self.folder = Path(folder)
        self._grace, self._most_waiting = grace, most_waiting
        self._most_kept, self._max_age = most_kept, max_age
        self._jobs: dict[str, Job] = {}
        self._swept = 0.0
        self._lock = threading.RLock()
        self._worker: threading.Thread | None = None

    def start(self, config: RunConfig) -> Job:
        """Put a run into the line. Raises ``ResourceError`` if the line is full."""
        with self._lock:
            self._forget_old()
            if sum(job.state == "waiting" for job in self._jobs.values()) >= self._most_waiting:
                raise ResourceError(
                    f"{counted(self._most_waiting)} waiting already. Try again in a few minutes; "
                    "your settings stay as they are."
                )
            id = uuid.uuid4().hex
            job = Job(id, config, self.folder / id, self._grace)
            self._jobs[job.id] = job
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="runs", daemon=True)
                self._worker.start()
            return job

    def find(self, id: str) -> Job | None:
        """The job of that id, if it is remembered."""
        with self._lock:
            if time.monotonic() - self._swept > SWEEP:  # pages ask every second
                self._forget_old()
            return self._jobs.get(id)

    def ahead(self, job: Job) -> int:
        """How many runs have to end before ``job`` begins."""
        with self._lock:
            jobs = list(self._jobs.values())
            return sum(other.live for other in jobs[: jobs.index(job)]) if job in jobs else 0

    def close(self) -> None:
        """Stop every job and wait until the last process is gone."""
        with self._lock:
            worker = self._worker
            # From the back, so that none begins because the one before it was stopped.
            for job in reversed(self._jobs.values()):
                job.stop()
        if worker is not None:
            worker.join()

    def _work(self) -> None:
        while job := self._next():
            if not job.begin():
                continue
            try:
                _run(job)
            except Exception:
                # Whatever it is, the runs behind this one must not wait for ever.
                log.exception("run %s", job.id)
                job.end("failed", UNEXPECTED)

    def _next(self) -> Job | None:
        with self._lock:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._worker = None  # decided under the lock: `start` makes a new one
            return job

    def _forget_old(self) -> None:
        self._swept = time.monotonic()
        over = [job for job in self._jobs.values() if not job.live]
        surplus = over[: max(0, len(over) - self._most_kept)]
        for job in over:
            assert job.ended
            if job in surplus or time.time() - job.ended > self._max_age:
                del self._jobs[job.id]
                shutil.rmtree(job.out, ignore_errors=True)
        for left in self.folder.glob(FOLDER):  # by an earlier server
            if left.name not in self._jobs and time.time() - left.stat().st_mtime > self._max_age:
                shutil.rmtree(left, ignore_errors=True)


def _run(job: Job) -> None:
    """Compute ``job`` in a child process; returns when that is gone."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "prospr_engine.jobs.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
    except OSError as error:
        job.end("failed", f"The run could not be started ({error.strerror}). Try again later.")
        return
    with process:
        end = _listen(job, process)
    if end is None and any(event["event"] == "Finished" for event in job.events()[-1:]):
        end = {"end": "done"}  # all files were written before it told so
    if end is None and job.stopping:
        end = {"end": "stopped"}
    if end is None:
        end = {"end": "failed", "error": _death(process.returncode)}
    if end["end"] != "done":
        # Half a run is of no use, and its tensors may be large.
        shutil.rmtree(job.out, ignore_errors=True)
    job.end(end["end"], end.get("error"))


def _listen(job: Job, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """Give the order and take the events; the child's last word, or None if it died without."""
    assert process.stdout
    order = {"config": job.config.to_dict(), "out": str(job.out.absolute())}
    job.attach(process, order)
    for line in process.stdout:
        try:
            message = json.loads(line)
        except ValueError:
            return None  # cut off: the child died in mid-word
        if "end" in message:
            return dict(message)
        job.add(message)
    return None


def _death(code: int) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    hint = (
        " The machine may have run out of memory: choose a smaller model, smaller batches or "
        "smaller images."
        if code == -9
        else " Try it again; if it happens again, the server's log tells more."
    )
    return f"The process that computed this run ended unexpectedly ({how}).{hint}"


def _environment() -> dict[str, str]:
    """Ours, with this package importable wherever the server was started."""
    here = str(Path(prospr_engine.__file__).parents[1])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here + (os.pathsep + path if path else "")}


def counted(runs: int) -> str:
    """``1 run is``, ``3 runs are``."""
    return "1 run is" if runs == 1 else f"{runs:,} runs are"
