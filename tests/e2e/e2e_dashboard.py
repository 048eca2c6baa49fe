"""A dashboard of our own: a real server, its store and its worker, all of which may be ended and
started again; and runs that the real engine has finished for it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paths import ROOT
from waiting import PATIENCE, until

from prospr_engine.config import RunConfig
from prospr_engine.jobs.spawn import LOG, at_work, worker_lock
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

STREAMLIT = (sys.executable, "-m", "streamlit", "run", "app/streamlit_app.py")
COOKIE = "prospr-visitor"
READY = RunConfig(epochs=1)
SPARSER = RunConfig(epochs=1, sparsity=0.98)
NARROWER = RunConfig(epochs=1, kind="channels", sparsity=0.6)
"""The runs that `compute_ready` finishes; nobody's, so that each visitor may have them."""


class Dashboard:
    """Start it, visit ``url``, and ``close`` it: nothing is left running then."""

    def __init__(self, folder: Path, ready: Path | None = None):
        self.folder = folder / "runs"
        if ready is not None:
            shutil.copytree(ready, self.folder)
        self.store = Store(self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.paused: list[int] = []

    def start(self) -> Dashboard:
        """Start the server, the first time or again: same port, same store."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("PROSPR_", "STREAMLIT_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*STREAMLIT, "--server.port", str(self.port)],
                cwd=ROOT,
                env={**ours, "PROSPR_RUNS": str(self.folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self.answers)
        return self

    def answers(self) -> bool:
        """Whether the server is there; raises if it cannot come any more."""
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
        with suppress(OSError), urllib.request.urlopen(f"{self.url}_stcore/health") as answer:
            return bool(answer.read() == b"ok")
        return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server and nothing else."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server without giving it a chance to do anything about it."""
        self.stop(signal.SIGKILL)

    def worker(self) -> int | None:
        """The process that computes runs, if there is one."""
        if not at_work(self.folder):
            return None
        begun: list[str] = re.findall(r"worker (\d+) begins", (self.folder / LOG).read_text())
        return int(begun[-1]) if begun else None

    def kill_worker(self) -> None:
        """End the worker without giving it a chance to do anything about it."""
        worker = self.worker()
        assert worker, "no worker is at work"
        os.kill(worker, signal.SIGKILL)
        self.resume()  # so that it can notice that it is alone
        until(lambda: self.worker() != worker)

    def pause(self) -> None:
        """Let whatever computes a run stand still until `resume`, so that it is not over before
        the test has done to it what it wants to do."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == self.worker():
                    self.paused.append(int(stat.parent.name))
        for process in self.paused:
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        while self.paused:
            with suppress(ProcessLookupError):
                os.kill(self.paused.pop(), signal.SIGCONT)

    @contextmanager
    def without_worker(self) -> Iterator[Store]:
        """The store, on which nobody works but the test."""
        self.end_worker()
        with worker_lock(self.folder):
            yield self.store

    def close(self) -> None:
        """End the server and the worker, and wait until both are gone."""
        self.stop()
        self.resume()
        self.end_worker()

    def end_worker(self) -> None:
        """End the worker, if there is one; what it computes is queued again."""
        while worker := self.worker():
            os.kill(worker, signal.SIGTERM)
            until(lambda worker=worker: self.worker() != worker)  # type: ignore[misc]

    def empty_queue(self) -> None:
        """Stop whatever still waits or runs, and wait until it has stopped."""

        def live() -> list[Run]:
            return [run for run in self.store.runs(studies=True) if run.live]

        for study in self.store.studies():
            self.store.stop_study(study.id, study.owner)
        for run in live():
            self.store.stop(run.id, run.owner)
        until(lambda: not live())

    def tracebacks(self) -> str:
        """What the server wrote if a page broke, which none may; else nothing."""
        written = self.log.read_text()
        return written if "Traceback" in written or "Uncaught" in written else ""

    def finished(self, config: RunConfig, secret: str) -> Run:
        """A finished run of a visitor: their own copy of one of those that were computed."""
        run = self.store.submit(config, owner(secret))
        assert run.state == "done", "only ready-made runs are done at once"
        return run


def compute_ready(folder: Path) -> Path:
    """A store in ``folder`` with finished runs, computed by the real engine in this process."""
    from prospr_engine.pipeline.run import run

    store = Store(folder)
    for config in (READY, SPARSER, NARROWER):
        submitted = store.submit(config, owner="nobody")
        assert store.claim("test")
        work = store.workspace.run(submitted.id)
        run(config, lambda event, id=submitted.id: store.record(id, event.to_dict()), out=work)
        store.finish(submitted.id, "done", folder=work)
    return folder


def visitors(journeys: str) -> tuple[str, str]:
    """Alice and Bob of these journeys, whom no others know: the secrets in their cookies."""
    alice, bob = (hashlib.sha256(f"{name}, {journeys}".encode()).hexdigest() for name in "AB")
    return alice[:32], bob[:32]


def owner(secret: str) -> str:
    """The visitor whose cookie holds ``secret``, as the record of runs calls them."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]
