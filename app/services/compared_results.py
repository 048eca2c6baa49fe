"""Full results of several runs: training curves, layers and classes, which their summaries lack.
They are read only when shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.services import Run, RunRecord, runs
from prospr_engine.errors import DataError

Results = dict[str, list[RunRecord]]


def results(lines: Mapping[str, Sequence[Run]]) -> tuple[Results, int]:
    """The results of the runs of each line, and the number of results that are gone."""
    found: Results = {}
    gone = 0
    for name, several in lines.items():
        found[name] = []
        for run in several:
            try:
                found[name].append(runs.result(run))
            except DataError:
                gone += 1
    return {name: read for name, read in found.items() if read}, gone
