"""The store's record of a study: many runs that answer one question."""

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
    """A sweep or a search as of the query. Times are seconds since 1970.

    ``id`` cannot be guessed; anyone who knows it may view the study, but only its ``owner`` may
    change it. The command line's studies have the owner ``""``. ``counts`` is the number of runs
    in every state. ``stopped``: its owner stopped it. ``guess`` is the sparsity at which a search
    begins, if given.
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
        """The settings; raises ``ConfigError`` if an incompatible version wrote them."""
        kind = SweepConfig if self.kind == "sweep" else SearchConfig
        return kind.from_dict(self.settings)

    @property
    def cells(self) -> int:
        """The number of runs; a search may add more."""
        return sum(self.counts.values())

    @property
    def live(self) -> bool:
        """Whether any of its runs is queued or running."""
        return any(count for state, count in self.counts.items() if state not in ENDS)

    @property
    def state(self) -> Literal["waiting", "running", "stopping", "stopped", "failed", "done"]:
        """The state as a whole: "waiting" before any run has started, "failed" if no run
        succeeded, "stopped" if its owner stopped it or any of its runs was stopped."""
        if self.live:
            begun = self.cells > self.counts["queued"]
            return "stopping" if self.stopped else "running" if begun else "waiting"
        if self.stopped or self.counts["stopped"]:
            return "stopped"
        return "done" if self.counts["done"] else "failed"


def trail(config: SearchConfig, runs: Sequence[Run]) -> list[Probe]:
    """The probes of a search so far, from its runs in order: one per sparsity at which all runs
    are over. A stopped run gives no probe."""
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
    Raises ``ConfigError`` if an incompatible version wrote its settings."""
    state = "waiting" if run.state == "queued" else run.state
    return row(run.config, run.summary, state, run.error or "") | {"run": run.id}
