"""The order of the queue, on a connection opened by the caller.

Single runs come first, in order of arrival. Then come those of studies: each owner's in order,
alternating between owners, beginning with the one who has waited longest since a run of theirs was
last started. Nothing here reads or sorts all waiting runs: pages ask for places all the time.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right, insort
from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate

# By name, or SQLite takes an index in which the waiting runs are not in order.
WAITING = "FROM runs INDEXED BY runs_in_line WHERE state = 'queued'"
COUNTS = f"SELECT study, COUNT(*) AS waiting {WAITING} AND study IS NOT NULL GROUP BY study"
SINGLE = f"SELECT id {WAITING} AND study IS NULL ORDER BY number"
CELLS = f"SELECT id {WAITING} AND study = ? ORDER BY cell"
OWNERS = f"""
    SELECT studies.owner, studies.id, waiting,
        (SELECT MAX(served) FROM studies AS own WHERE own.owner = studies.owner) AS served
    FROM ({COUNTS}) AS counts JOIN studies ON studies.id = counts.study
    ORDER BY studies.number
"""


@dataclass(frozen=True)
class _Owner:
    """One who has runs of studies waiting: how many, by study, in order."""

    served: float
    studies: dict[str, int]

    @property
    def waiting(self) -> int:
        return sum(self.studies.values())


def first(c: sqlite3.Connection) -> str | None:
    """The id of the run that is next; None if nothing waits."""
    row = c.execute(f"{SINGLE} LIMIT 1").fetchone()
    if row is None and (owners := _owners(c)):
        row = c.execute(f"{CELLS} LIMIT 1", (next(iter(owners[0].studies)),)).fetchone()
    return row and str(row["id"])


def places(c: sqlite3.Connection, studies: Collection[str | None]) -> dict[str, int]:
    """The number of runs ahead of each queued run of these ``studies`` (None: of each single run),
    including those in progress."""
    busy = c.execute("SELECT COUNT(*) FROM runs WHERE state = 'running'").fetchone()[0]
    single = [row["id"] for row in c.execute(SINGLE)]
    found = {id: place for place, id in enumerate(single, start=busy)} if None in studies else {}
    wanted = {study for study in studies if study is not None}
    owners = _owners(c) if wanted else []
    # Before the run with so many of its owner's own before it: as many of every other owner, and
    # one more of those whose turn comes earlier.
    rounds = [sum(owner.waiting > rank for owner in owners) for rank in range(_longest(owners))]
    start = list(accumulate(rounds, initial=busy + len(single)))
    earlier: list[int] = []
    for owner in owners:
        rank = 0
        for study, waiting in owner.studies.items():
            if study in wanted:
                for own, row in enumerate(c.execute(CELLS, (study,)), start=rank):
                    found[row["id"]] = start[own] + len(earlier) - bisect_right(earlier, own)
            rank += waiting
        insort(earlier, owner.waiting)
    return found


def _longest(owners: list[_Owner]) -> int:
    return max((owner.waiting for owner in owners), default=0)


def _owners(c: sqlite3.Connection) -> list[_Owner]:
    """Those with runs of studies waiting, who is next first."""
    found: dict[str, _Owner] = {}
    for row in c.execute(OWNERS):
        owner = found.setdefault(row["owner"], _Owner(row["served"], {}))
        owner.studies[row["id"]] = row["waiting"]
    return sorted(found.values(), key=lambda owner: owner.served)
