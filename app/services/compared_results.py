"""What the results of several runs say beyond their summary: how they learned, what they kept of
every layer, how they do in every class. Read only when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.services import Run, RunRecord, runs
from prospr_engine.errors import DataError

Results = dict[str, list[RunRecord]]


def results(lines: Mapping[str, Sequence[Run]]) -> tuple[Results, int]:
    """By name of a line, the results of its runs; and how many results are gone."""
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
