"""The loop that computes many runs: sweeps and searches in a folder, and the queue of the store.

A source says which run comes next and takes what becomes of it; an executor computes. Neither knows
the other, so that a sweep can use any executor, and an executor serves any source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prospr_engine.errors import Stopped
from prospr_engine.sweeps.executor import UNEXPECTED, Ended, Executor, Message

log = logging.getLogger(__name__)
TURN = 0.2  # seconds that a turn waits for messages


@dataclass(frozen=True)
class Job:
    """A run to compute: its name between source and executor, its settings as
    ``RunConfig.to_dict`` gives them, and the folder for its files."""

    id: str
    settings: Mapping[str, Any]
    out: Path


class Source(Protocol):
    """Where runs come from, and where their events and ends go."""

    def receive(self, message: Message) -> None:
        """A run reported an event, or is over."""
        ...

    def unwanted(self) -> Iterable[str]:
        """Runs being computed that should stop."""
        ...

    def settle(self) -> None:
        """Write down what was received, where that is not done at once."""
        ...

    def next(self) -> Job | None:
        """The run to start now; None if there is none at the moment."""
        ...


class Finite(Source, Protocol):
    """A source that ends."""

    @property
    def over(self) -> bool:
        """Is nothing left to start, and nothing being computed?"""
        ...


class Runner:
    """Computes the runs of ``source`` with ``executor``, for as long as ``step`` is called."""

    def __init__(self, source: Source, executor: Executor):
        self._source, self._executor = source, executor

    def step(self, timeout: float = TURN) -> None:
        """One turn; waits up to ``timeout`` seconds for messages from the executor."""
        self.collect(timeout)
        for id in self._source.unwanted():
            self._executor.cancel(id)
        self._source.settle()
        for _ in range(self._executor.free()):
            job = self._source.next()
            if job is None:
                break
            self._start(job)

    def collect(self, timeout: float = 0.0) -> None:
        """Pass the executor's messages on to the source."""
        for message in self._executor.poll(timeout):
            self._source.receive(message)

    def _start(self, job: Job) -> None:
        try:
            self._executor.start(job.id, job.settings, job.out)
        except Exception:
            log.exception("run %s could not be started", job.id)
            self._source.receive(Ended(job.id, "failed", UNEXPECTED))


def drive(
    source: Finite, executor: Executor, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Compute all runs of ``source``; ``should_stop`` is called between turns.

    Raises ``Stopped`` if it says so, and whatever source and executor raise; the executor is
    closed in any case.
    """
    runner = Runner(source, executor)
    try:
        while not source.over:
            if should_stop():
                raise Stopped("Stopped on request. Start it again to continue from here.")
            runner.step()
    finally:
        executor.close()
