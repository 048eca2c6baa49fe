"""The process that computes a store's queue: ``python -m prospr_engine.jobs.worker FOLDER``.

Only one per store works, however many are started: the one with the lock ``worker.lock``. It
outlives the web servers, but exits if its store is deleted, or if nothing was queued for a while;
the next submission starts another (``spawn.py``). It imports neither torch nor anything that needs
it.
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

from prospr_engine.errors import EngineError
from prospr_engine.jobs.dispatcher import Dispatcher
from prospr_engine.jobs.local import LocalExecutor
from prospr_engine.jobs.spawn import worker_lock
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store

log = logging.getLogger(__name__)
IDLE = 60.0  # seconds without work after which the worker exits; another starts in a third of one
CONTEST = 0.5  # seconds to wait for the lock, which a process that only checks has for a moment
RETRY = 1.0  # seconds between two attempts if the database or the disk fails
Ask = Callable[[], bool]


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until there is nothing to do or SIGTERM arrives."""
    parser = argparse.ArgumentParser(description="Compute the queue of a store of runs.")
    parser.add_argument("folder", type=Path, help="the store's folder")
    folder = parser.parse_args(arguments).folder.absolute()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signals: list[int] = []  # not an Event: its lock may be taken when the signal comes
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return work(folder, lambda: bool(signals))
    except (EngineError, OSError) as error:
        log.error("%s", error)
        return 2


def work(folder: Path, leave: Ask = lambda: False, idle: float = IDLE) -> int:
    """Be the worker of the store in ``folder`` until ``leave`` is true, the store was deleted, or
    nothing was queued for ``idle`` seconds. Return at once if there is another worker."""
    lock = worker_lock(folder)
    while True:
        try:
            lock.acquire(timeout=CONTEST)
        except Timeout:
            return 0
        try:
            store = Store(folder, Limits.from_environment())
            gone = _watch(store.database, Path(lock.lock_file))
            log.info("worker %d begins", os.getpid())
            _serve(store, leave, gone, idle)
        finally:
            lock.release()
        log.info("worker %d ends", os.getpid())
        # For a run that was submitted while we had the lock, nobody started a worker: look again.
        if leave() or gone() or not _left_behind(store, leave, gone, idle):
            return 0


def _serve(store: Store, leave: Ask, gone: Ask, idle: float) -> None:
    executor = LocalExecutor(store.workspace)
    name = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    dispatcher = Dispatcher(store, executor, name)
    worked = time.monotonic()

    def over() -> bool:
        nonlocal worked
        if dispatcher.busy:  # also with a result that waits for space on the disk
            worked = time.monotonic()
        return leave() or gone() or time.monotonic() - worked >= idle

    try:
        _persist(dispatcher.recover, over)
        while not over():
            _persist(dispatcher.step, over)
    finally:
        if gone():
            log.warning("the store in %s is gone", store.folder)
            dispatcher.abandon()
        else:
            dispatcher.close()


def _left_behind(store: Store, leave: Ask, gone: Ask, idle: float) -> bool:
    """Whether a run was submitted at the last moment."""
    since = time.monotonic()
    return bool(
        _persist(store.waiting, lambda: leave() or gone() or time.monotonic() - since >= idle)
    )


def _watch(*paths: Path) -> Ask:
    """A function that says whether one of the files was deleted or replaced. A store that was
    deleted may be created again, and then has another worker."""
    # While the files are open, no new file gets their numbers.
    before = [(status.st_dev, status.st_ino) for status in map(os.stat, paths)]

    def gone() -> bool:
        try:
            return before != [(status.st_dev, status.st_ino) for status in map(os.stat, paths)]
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # the disk may respond again later
            return False

    return gone


def _persist(action: Callable[[], object], over: Ask) -> object:
    """Do it, and try again while the database or the disk fails, until ``over``. Nothing is lost
    meanwhile. Each error is logged once."""
    said = ""
    while True:
        try:
            return action()
        except (EngineError, OSError) as error:
            if str(error) != said:
                said = str(error)
                cause = f" ({error.__cause__!r})" if error.__cause__ else ""
                log.warning("%s%s Trying again every %g s.", said, cause, RETRY)
        if over():
            return None
        time.sleep(RETRY)


if __name__ == "__main__":
    sys.exit(main())
