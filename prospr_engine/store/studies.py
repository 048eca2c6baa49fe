"""Studies, on a connection opened by the caller: sweeps, whose runs are all queued at once, and
searches, whose next runs depend on earlier ones."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, ResourceError, StoreError
from prospr_engine.identity import same_settings
from prospr_engine.store import cleanup, clock, queries, queue
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import STATES, Run, clean_name
from prospr_engine.store.study import TRIED, Kind, Study, trail
from prospr_engine.sweeps.bisection import next_sparsity
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

COUNTED = """
    SELECT studies.*, runs.state, COUNT(*) AS count,
        MIN(runs.started) AS first, MAX(runs.ended) AS last
    FROM studies JOIN runs ON runs.study = studies.id
"""
LIVE = "EXISTS (SELECT 1 FROM runs WHERE study = studies.id AND state IN ('queued', 'running'))"


def select(c: sqlite3.Connection, which: str = "", *given: object) -> list[Study]:
    """The studies that the clause ``which`` (WHERE …) picks, the newest first."""
    rows = c.execute(
        f"{COUNTED} {which} GROUP BY studies.number, runs.state ORDER BY studies.number DESC", given
    )
    groups: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        groups.setdefault(row["id"], []).append(row)
    return [_study(group) for group in groups.values()]


def runs_of(c: sqlite3.Connection, id: str) -> list[Run]:
    """The runs of a study, in their order."""
    return queries.select(c, "WHERE study = ? ORDER BY cell", id)


def submit(
    c: sqlite3.Connection,
    artifacts: Artifacts,
    limits: Limits,
    kind: Kind,
    config: SweepConfig | SearchConfig,
    owner: str,
    name: str,
    guess: float | None,
    origin: str,
) -> str:
    """See ``Store.submit_study``."""
    check_size(config, limits)
    settings = json.dumps(config.to_dict())
    others = c.execute(
        "SELECT id, settings FROM studies WHERE owner = ? AND kind = ? AND NOT stopped "
        f"AND {LIVE} ORDER BY number DESC",
        (owner, kind),
    ).fetchall()
    for other in others:
        if same_settings(config, json.loads(other["settings"])):
            return str(other["id"])
    id = uuid.uuid4().hex
    c.execute(
        "INSERT INTO studies (id, owner, name, kind, settings, guess, created, origin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (id, owner, clean_name(name), kind, settings, guess, time.time(), origin),
    )
    if isinstance(config, SweepConfig):
        _add(c, artifacts, id, config.cells())
    else:
        advance(c, artifacts, id)
    _check_caps(c, id, limits)
    return id


def advance(c: sqlite3.Connection, artifacts: Artifacts, id: str | None) -> None:
    """Queue the next probe of a search whose runs are all over, if there is one. Does nothing
    otherwise, so it may be called whenever a run ends."""
    row = c.execute(
        f"SELECT * FROM studies WHERE id = ? AND kind = 'search' AND NOT stopped AND NOT {LIVE}",
        (id,),
    ).fetchone()
    if id is None or row is None:
        return
    try:
        config = SearchConfig.from_dict(json.loads(row["settings"]))
    except ConfigError:  # an incompatible version started it; its results stay visible
        c.execute("UPDATE studies SET stopped = 1 WHERE id = ?", (id,))
        return
    while all(run.state in TRIED for run in runs_of(c, id)):
        sparsity = next_sparsity(config, trail(config, runs_of(c, id)), row["guess"])
        if sparsity is None:
            return
        _add(c, artifacts, id, config.cells(sparsity))


def stop(c: sqlite3.Connection, id: str) -> None:
    """See ``Store.stop_study``."""
    c.execute(f"UPDATE studies SET stopped = 1 WHERE id = ? AND {LIVE}", (id,))
    c.execute("UPDATE runs SET stopping = 1 WHERE study = ? AND state = 'running'", (id,))
    c.execute(
        "UPDATE runs SET state = 'stopped', ended = ?, kept_from = ? "
        "WHERE study = ? AND state = 'queued'",
        (time.time(), clock.kept_from(c), id),
    )


def delete(c: sqlite3.Connection, id: str) -> set[str]:
    """Delete a study and its runs; returns the digests that no run refers to any more."""
    rows = c.execute("SELECT id FROM runs WHERE study = ?", (id,)).fetchall()
    return cleanup.forget(c, [row["id"] for row in rows])


def resume(
    c: sqlite3.Connection, artifacts: Artifacts, limits: Limits, id: str, origin: str
) -> None:
    """See ``Store.resume_study``."""
    if c.execute(
        "SELECT 1 FROM runs WHERE study = ? AND state = 'running' AND stopping", (id,)
    ).fetchone():
        raise StoreError("It is still stopping. Try again in a moment.")
    c.execute("UPDATE studies SET stopped = 0, origin = ? WHERE id = ?", (origin, id))
    c.execute(
        "UPDATE runs SET state = 'queued', attempt = attempt + 1, losses = 0, stopping = 0, "
        "error = NULL, started = NULL, ended = NULL "
        "WHERE study = ? AND state IN ('failed', 'stopped')",
        (id,),
    )
    advance(c, artifacts, id)
    _check_caps(c, id, limits)


def _add(c: sqlite3.Connection, artifacts: Artifacts, id: str, cells: Iterable[RunConfig]) -> None:
    """Add runs to a study, after those it has."""
    row = c.execute(
        "SELECT owner, (SELECT COALESCE(MAX(cell), 0) FROM runs WHERE study = studies.id) AS last "
        "FROM studies WHERE id = ?",
        (id,),
    ).fetchone()
    for cell, config in enumerate(cells, start=row["last"] + 1):
        queue.enter(c, artifacts, config, row["owner"], place=(id, cell))


def check_size(config: SweepConfig | SearchConfig, limits: Limits) -> None:
    """Raise ``ResourceError`` if the study would have too many runs."""
    if config.size > limits.most_cells:
        raise ResourceError(
            f"This would be {config.size:,} runs; the limit is {limits.most_cells:,}. Choose fewer "
            "criteria, sparsities or seeds."
        )


def _check_caps(c: sqlite3.Connection, id: str, limits: Limits) -> None:
    """Raise ``ResourceError`` if this live study, which was just started, is one too many of its
    owner, of its origin or of all visitors."""
    row = c.execute(f"SELECT owner, origin FROM studies WHERE id = ? AND {LIVE}", (id,)).fetchone()
    if row is None or not row["owner"]:
        return
    others = f"SELECT COUNT(*) FROM studies WHERE id <> ? AND NOT stopped AND {LIVE}"
    mine = c.execute(f"{others} AND owner = ?", (id, row["owner"])).fetchone()[0]
    if mine >= limits.most_studies_per_visitor:
        raise ResourceError(
            "You already have a sweep or search in progress. Wait for it to end, or stop it; your "
            "settings are kept."
        )
    near = c.execute(f"{others} AND origin = ?", (id, row["origin"])).fetchone()[0]
    if row["origin"] and near >= limits.most_studies_per_address:
        raise ResourceError(
            f"Visitors from your network (your IP address) have {near} sweeps or searches in "
            "progress, which is the limit. Wait for one to end; your settings are kept."
        )
    all_live = c.execute(f"{others} AND owner <> ''", (id,)).fetchone()[0]
    if all_live >= limits.most_studies:
        raise ResourceError(
            f"{all_live} sweeps and searches of all visitors are in progress, which is the limit. "
            "Wait for one to end; your settings are kept."
        )
    waiting = c.execute(
        "SELECT COUNT(*) FROM runs WHERE state = 'queued' AND study IS NOT NULL AND owner <> ''"
    ).fetchone()[0]
    if waiting > limits.most_cells_queued:
        raise ResourceError(
            f"With these, {waiting:,} runs of sweeps and searches would be waiting; the limit is "
            f"{limits.most_cells_queued:,}. Choose fewer criteria, sparsities or seeds, or try "
            "again later; your settings are kept."
        )


def _study(rows: list[sqlite3.Row]) -> Study:
    """A study from its rows, one for each state of its runs."""
    row, counts = rows[0], dict.fromkeys(STATES, 0)
    counts |= {row["state"]: row["count"] for row in rows}
    live = counts["queued"] or counts["running"]
    started = [row["first"] for row in rows if row["first"]]
    return Study(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        kind=row["kind"],
        settings=json.loads(row["settings"]),
        guess=row["guess"],
        stopped=bool(row["stopped"]),
        created=row["created"],
        started=min(started, default=None),
        ended=None if live else max(row["last"] for row in rows),
        counts=counts,
    )
