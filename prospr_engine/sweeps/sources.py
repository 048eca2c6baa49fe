"""The runs of a sweep and of a search in a folder, as sources of the runner.

What an earlier start has computed is not computed again. A run that fails is a row that says so;
the rest continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.events import CellEnded, CellStarted, OnEvent, from_dict
from prospr_engine.sweeps.bisection import next_sparsity
from prospr_engine.sweeps.cells import Cells, Done
from prospr_engine.sweeps.executor import Ended, Message
from prospr_engine.sweeps.runner import Job
from prospr_engine.sweeps.search_config import Probe, SearchConfig, judge

Report = Callable[[], None]
"""Called when there is something new to write down."""


class _Folder:
    """What both kinds of sources do with a run."""

    def __init__(self, cells: Cells, on_event: OnEvent):
        self._cells, self._on_event = cells, on_event
        self._running: dict[str, tuple[int, RunConfig]] = {}

    def receive(self, message: Message) -> None:
        """Pass an event on, or take the end of a run."""
        index, cell = self._running[message.id]
        if isinstance(message, Ended):
            del self._running[message.id]
            self._end(index, self._cells.ended(cell, message))
        elif event := from_dict(message.event):
            self._on_event(event)

    def unwanted(self) -> Sequence[str]:
        """None: a sweep stops as a whole."""
        return ()

    def settle(self) -> None:
        """Nothing: all is written down as it is received."""

    def _job(self, index: int, cell: RunConfig, number: int, cells: int) -> Job | None:
        """The run to compute; None if its result is known, which is taken at once."""
        if known := self._cells.known(cell):
            self._end(index, known)
            return None
        self._cells.require(cell)
        self._on_event(CellStarted(number, cells, cell.to_dict()))
        self._running[cell.fingerprint] = (index, cell)
        return Job(cell.fingerprint, cell.to_dict(), self._cells.place(cell))

    def _end(self, index: int, done: Done) -> None:
        raise NotImplementedError


class SweepSource(_Folder):
    """Every cell of a sweep, in order. ``rows`` are those of its table; ``write`` is called after
    each cell that was computed."""

    def __init__(
        self, configs: Sequence[RunConfig], cells: Cells, on_event: OnEvent, write: Report
    ):
        super().__init__(cells, on_event)
        self.rows: list[dict[str, Any]] = [cells.row(cell) for cell in configs]
        self._configs, self._write, self._next = configs, write, 0

    @property
    def over(self) -> bool:
        """Is nothing left to start, and nothing being computed?"""
        return self._next == len(self._configs) and not self._running

    def next(self) -> Job | None:
        """The next cell whose result is not known."""
        while self._next < len(self._configs):
            index = self._next
            self._next += 1
            cells = len(self._configs)
            if job := self._job(index, self._configs[index], index + 1, cells):
                return job
        return None

    def _end(self, index: int, done: Done) -> None:
        self.rows[index] = done.row
        if not done.known:
            self._write()
        self._on_event(CellEnded(index + 1, len(self._configs), done.row, done.known))


class SearchSource(_Folder):
    """The runs of a search: all seeds at one sparsity after another, as ``next_sparsity`` says.
    ``trail`` grows by a probe per sparsity, after which ``on_probe`` is called; the first run of a
    probe that fails decides it."""

    def __init__(
        self,
        config: SearchConfig,
        guess: float | None,
        cells: Cells,
        on_event: OnEvent,
        on_probe: Callable[[Probe], None],
    ):
        super().__init__(cells, on_event)
        self.trail: list[Probe] = []
        self._config, self._guess, self._on_probe = config, guess, on_probe
        self._sparsity: float | None = None
        self._configs: tuple[RunConfig, ...] = ()
        self._next = 0
        self._done: dict[int, Done] = {}
        self._begin()

    @property
    def over(self) -> bool:
        """Is nothing left to start, and nothing being computed?"""
        return self._sparsity is None

    def next(self) -> Job | None:
        """The next run of the probe, or the first of the next one."""
        while self._sparsity is not None and self._next < len(self._configs):
            if self._failed is not None:
                return None  # what still runs has to end first
            index = self._next
            self._next += 1
            before = len(self.trail) * len(self._config.seeds)
            if job := self._job(index, self._configs[index], before + index + 1, self._most):
                return job
        return None

    @property
    def _most(self) -> int:
        return len(self._config.seeds) * self._config.most_probes

    @property
    def _failed(self) -> int | None:
        """The first run of the probe that failed."""
        return next((i for i, done in sorted(self._done.items()) if done.summary is None), None)

    def _begin(self) -> None:
        self._sparsity = next_sparsity(self._config, self.trail, self._guess)
        self._configs = () if self._sparsity is None else self._config.cells(self._sparsity)
        self._next, self._done = 0, {}

    def _end(self, index: int, done: Done) -> None:
        before = len(self.trail) * len(self._config.seeds)
        self._on_event(CellEnded(before + index + 1, self._most, done.row, done.known))
        self._done[index] = done
        failed = self._failed
        if self._running or (failed is None and len(self._done) < len(self._configs)):
            return
        assert self._sparsity is not None
        last = len(self._configs) if failed is None else failed + 1
        counted = [self._done[i] for i in range(last)]
        probe = judge(
            self._config,
            self._sparsity,
            [one.summary for one in counted],
            [one.row["out"] for one in counted],
            "" if failed is None else self._done[failed].row["error"],
        )
        self.trail.append(probe)
        self._on_probe(probe)
        self._begin()
