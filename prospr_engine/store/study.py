"""What the store knows of a study: many runs that answer one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from prospr_engine.store.records import ENDS, Run, State
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import Probe, SearchConfig, judge
from prospr_engine.sweeps.table import row

Kind = Literal["sweep", "search"]
TRIED: tuple[State, ...] = ("done", "failed")


@dataclass(frozen=True)
class Study:
    """A sweep or a search as it stood when it was looked up. Times are seconds since 1970.

    ``id`` cannot be guessed; who knows it may look, but only the ``owner`` may change it. The
    command line's studies have the owner ``""``. ``counts`` says how many of its runs are in
    which state, all of them named. ``stopped``: its owner wants no more of it. ``guess`` is the
    sparsity at which a search begins, if one was given.
    """

    id: str
    name: str
    owner: str
    kind: Kind
    settings: Mapping[str, Any]
    guess: float | None
    stopped: bool
    created: float
    started: float | None
    ended: float | None
    counts: Mapping[State, int]

    @cached_property
    def config(self) -> SweepConfig | SearchConfig:
        """The settings; raises ``ConfigError`` if another version wrote them."""
        kind = SweepConfig if self.kind == "sweep" else SearchConfig
        return kind.from_dict(self.settings)

    @property
    def cells(self) -> int:
        """How many runs it has; of a search more may come."""
        return sum(self.counts.values())

    @property
    def live(self) -> bool:
        """Does any of its runs wait or work?"""
        return any(count for state, count in self.counts.items() if state not in ENDS)

    @property
    def state(self) -> Literal["waiting", "running", "stopping", "stopped", "failed", "done"]:
        """How it stands as a whole: "waiting" while nothing of it was begun, "failed" if nothing
        of it went well, "stopped" if its owner did so or any run of it was stopped."""
        if self.live:
            begun = self.cells > self.counts["queued"]
            return "stopping" if self.stopped else "running" if begun else "waiting"
        if self.stopped or self.counts["stopped"]:
            return "stopped"
        return "done" if self.counts["done"] else "failed"


def trail(config: SearchConfig, runs: Sequence[Run]) -> list[Probe]:
    """What the runs of a search, in order, have found so far: one probe per sparsity at which
    they are all over. One that was stopped has found nothing."""
    probes = []
    for sparsity, group in groupby(runs, lambda run: run.settings["sparsity"]):
        tried = list(group)
        if all(run.state in TRIED for run in tried):
            errors = [run.error or "The run failed." for run in tried if run.state == "failed"]
            summaries = [run.summary if run.state == "done" else None for run in tried]
            ids = [run.id for run in tried]
            probes.append(judge(config, sparsity, summaries, ids, "".join(errors[:1])))
    return probes


def row_of(run: Run) -> dict[str, Any]:
    """The run as a row of the table of a sweep (see ``sweeps.table``), with its id under ``run``.
    Raises ``ConfigError`` if another version wrote its settings."""
    state = "waiting" if run.state == "queued" else run.state
    return row(run.config, run.summary, state, run.error or "") | {"run": run.id}
