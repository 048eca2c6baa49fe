"""The process that works off a store's queue: ``python -m prospr_engine.jobs.worker FOLDER``.

There is one per store, whoever and how many start it: it holds the lock ``worker.lock``. It
belongs to no server and outlives them; when nothing was to do for a while it goes, and the next
submission starts another (``ensure.py``). It imports neither torch nor anything that needs it.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import Timeout

from prospr_engine import uploads
from prospr_engine.errors import EngineError
from prospr_engine.jobs.dispatcher import Dispatcher
from prospr_engine.jobs.ensure import worker_lock
from prospr_engine.jobs.local import LocalExecutor
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store

log = logging.getLogger(__name__)
IDLE = 60.0  # seconds without work after which the worker goes; another starts in a third of one
CONTEST = 0.5  # seconds to try for the lock: one who only looks holds it for a moment
RETRY = 1.0  # seconds between two attempts when the record or the disk refuses
Leave = Callable[[], bool]


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until there is nothing to do or somebody sends SIGTERM."""
    parser = argparse.ArgumentParser(description="Work off the queue of a store of runs.")
    parser.add_argument("folder", type=Path, help="the store's folder")
    folder = parser.parse_args(arguments).folder.absolute()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asked: list[int] = []  # not an Event: its lock could be held when the signal comes
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return work(folder, lambda: bool(asked))
    except (EngineError, OSError) as error:
        log.error("%s", error)
        return 2


def work(folder: Path, leave: Leave = lambda: False, idle: float = IDLE) -> int:
    """Be the worker of the store in ``folder`` until ``leave`` says so or nothing came for
    ``idle`` seconds; return at once if it has one."""
    lock = worker_lock(folder)
    while True:
        try:
            lock.acquire(timeout=CONTEST)
        except Timeout:
            return 0
        try:
            store = Store(folder, Limits.from_environment())
            log.info("worker %d begins", os.getpid())
            _serve(store, leave, idle)
        finally:
            lock.release()
        log.info("worker %d ends", os.getpid())
        # Whoever submitted while we held the lock relied on us: look again without it.
        if leave() or not _persist(store.waiting, leave):
            return 0


def _serve(store: Store, leave: Leave, idle: float) -> None:
    executor = LocalExecutor({uploads.FOLDER: str(store.uploads.folder)})
    name = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    dispatcher = Dispatcher(store, executor, name)
    _persist(dispatcher.recover, leave)
    try:
        worked = time.monotonic()
        while not leave() and time.monotonic() - worked < idle:
            _persist(dispatcher.step, leave)
            if dispatcher.busy:
                worked = time.monotonic()
    finally:
        dispatcher.close()


def _persist(action: Callable[[], object], leave: Leave) -> object:
    """Do it, again and again while the record of runs or the disk refuses. That may pass, and
    until then nothing is lost; what it is stands in the log once."""
    said = ""
    while True:
        try:
            return action()
        except (EngineError, OSError) as error:
            if str(error) != said:
                said = str(error)
                cause = f" ({error.__cause__!r})" if error.__cause__ else ""
                log.warning("%s%s Trying again every %g s.", said, cause, RETRY)
        if leave():
            return None
        time.sleep(RETRY)


if __name__ == "__main__":
    sys.exit(main())
