"""What the tests of the queue share: a result that is none, and workers to be ended."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakes import RESULT
from waiting import until

from prospr_engine.config import RunConfig
from prospr_engine.jobs import spawn
from prospr_engine.jobs.spawn import at_work
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.sweeps.executor import Ended, Message, Reported

CHILD = f"""
import json, os, pathlib, sys, time
order = json.loads(sys.stdin.readline())
out = pathlib.Path(order["out"])
tell = lambda **message: print(json.dumps(message), flush=True)
def finish():
    (out / "model.onnx").write_bytes(b"model")
    (out / "result.json").write_text({json.dumps(json.dumps(RESULT))})
    tell(event="Finished", result={{}})
    tell(end="done")
out.mkdir(parents=True)
(out / "config.json").write_text("{{}}")
tell(event="StageStarted", stage="train", text="Training")
"""
"""A child that computes nothing; what it does next is appended."""

FINISHES = CHILD + "finish()"
HANGS = CHILD + "time.sleep(600)"
# As the engine's child does: goes when asked to stop, and when nobody holds its input any more.
OBEYS = CHILD + "tell(end='stopped' if sys.stdin.readline() else 'failed')"
DIES = CHILD + "os.kill(os.getpid(), 9)"


WORKER = (
    "import sys\n"
    "from prospr_engine.jobs import local, worker\n"
    "local.COMMAND = (sys.executable, '-c', {child!r})\n"
    "sys.exit(worker.main(sys.argv[1:]))"
)
"""A worker, but for the code that its children run."""


def seeded(seed: int) -> RunConfig:
    return RunConfig(seed=seed)


def look(store: Store, id: str) -> Run:
    run = store.get(id)
    assert run is not None
    return run


def write_result(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "result.json").write_text(json.dumps(RESULT))


def pids(store: Store) -> list[int]:
    """The workers that ever were, the latest last."""
    log = store.folder / spawn.LOG
    text = log.read_text() if log.exists() else ""
    return [int(pid) for pid in re.findall(r"worker (\d+) begins", text)]


def gone(pid: int) -> bool:
    """Dead, or a zombie whom nobody has buried yet."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def end_workers(store: Store) -> None:
    for pid in pids(store):
        kill(pid)
    until(lambda: not at_work(store.folder))


class PuppetExecutor:
    """Computes nothing: the test says what is told."""

    def __init__(self) -> None:
        self.started: dict[str, Path] = {}
        self.cancelled: list[str] = []
        self.messages: list[Message] = []
        self.busy = 0

    def free(self) -> int:
        return 1 - self.busy

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        self.started[id] = out
        self.busy += 1

    def cancel(self, id: str) -> None:
        self.cancelled.append(id)

    def poll(self, timeout: float = 0.0) -> list[Message]:
        messages, self.messages = self.messages, []
        self.busy -= sum(isinstance(message, Ended) for message in messages)
        return messages

    def close(self) -> None:
        self.messages += [Ended(id, "stopped") for id in list(self.started)[-self.busy :]]

    def tell(self, id: str, event: str, **values: Any) -> None:
        self.messages.append(Reported(id, {"event": event, **values}))

    def end(self, id: str, state: Any = "done", error: str | None = None) -> None:
        if state == "done":
            write_result(self.started[id])
        self.messages.append(Ended(id, state, error))
