"""The queue: how runs enter it, which run is next, and how a run leaves its worker."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError
from prospr_engine.format import counted
from prospr_engine.identity import run_key
from prospr_engine.store import clock, known, line
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import State, clean_name

MOST_LOSSES = 5
LOST = (
    f"The process that computed this run was ended abruptly {MOST_LOSSES} times, as by a power "
    "cut, a restart of the machine or a kill. The settings need not be the cause: start it again."
)
"""Whatever ended the worker itself. A child that is killed for its memory ends only its run, with
a sentence of its own."""


def enter(
    c: sqlite3.Connection,
    artifacts: Artifacts,
    config: RunConfig,
    owner: str,
    name: str = "",
    place: tuple[str, int] | None = None,
    origin: str = "",
) -> str:
    """Add a new run, done at once if its result is known and queued otherwise; returns its id.
    ``place`` is the study that it belongs to, and its number there; ``origin`` see ``origins``."""
    id, same = uuid.uuid4().hex, run_key(config)
    study, cell = place or (None, None)
    settings = json.dumps(config.to_dict())
    c.execute(
        "INSERT INTO runs (id, owner, name, settings, sameness, created, study, cell, origin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (id, owner, clean_name(name), settings, same, time.time(), study, cell, origin),
    )
    if twin := known.twin(c, artifacts, same):
        known.adopt(c, id, twin)
    return id


def check_caps(c: sqlite3.Connection, owner: str, origin: str, limits: Limits) -> None:
    """Raise ``ResourceError`` if this owner, visitors from this origin, or all may queue no more
    runs."""
    live = "SELECT COUNT(*) FROM runs WHERE study IS NULL AND state IN ('queued', 'running')"
    mine = c.execute(f"{live} AND owner = ?", (owner,)).fetchone()[0]
    if owner and mine >= limits.most_queued_per_visitor:
        raise ResourceError(
            f"You already have {counted(mine, 'run')} waiting or in progress. Wait for one to end, "
            "or stop one; your settings are kept."
        )
    near = c.execute(f"{live} AND origin = ?", (origin,)).fetchone()[0]
    if owner and origin and near >= limits.most_queued_per_address:
        raise ResourceError(
            f"{counted(near, 'run')} from your network (your IP address) "
            f"{'is' if near == 1 else 'are'} waiting or in progress already. Wait for one to end; "
            "your settings are kept."
        )
    waiting = c.execute(f"{live} AND state = 'queued'").fetchone()[0]
    if waiting >= limits.most_queued:
        raise ResourceError(
            f"{counted(waiting, 'run is', 'runs are')} already waiting. Try again in a few "
            "minutes; your settings are kept."
        )


def claim(c: sqlite3.Connection, worker: str) -> sqlite3.Row | None:
    """Assign the next run to ``worker``; returns its id, sameness and study."""
    row: sqlite3.Row | None = c.execute(
        "UPDATE runs SET state = 'running', worker = ?, started = ? "
        "WHERE id = ? RETURNING id, sameness, study",
        (worker, time.time(), line.first(c)),
    ).fetchone()
    if row:
        c.execute("UPDATE studies SET served = ? WHERE id = ?", (time.time(), row["study"]))
    return row


def record(c: sqlite3.Connection, id: str, event: Mapping[str, Any]) -> None:
    """See ``Store.record``."""
    body = {name: value for name, value in event.items() if name != "result"}
    c.execute(
        "INSERT INTO events (run, seq, attempt, time, kind, stage, body) "
        "SELECT id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE run = runs.id), "
        "attempt, ?, ?, ?, ? FROM runs WHERE id = ? AND state = 'running'",
        (time.time(), body["event"], body.get("stage"), json.dumps(body), id),
    )


def finish(
    c: sqlite3.Connection,
    artifacts: Artifacts,
    id: str,
    state: State,
    error: str | None,
    figures: Mapping[str, Any] | None,
    digests: Mapping[Path, str],
) -> str | None:
    """Finish a running run, and store its files, which have these digests; returns its study, if
    it has one."""
    row = c.execute(
        "UPDATE runs SET state = ?, error = ?, ended = ?, kept_from = ?, summary = ?, "
        "worker = NULL WHERE id = ? AND state = 'running' RETURNING study",
        (state, error, time.time(), clock.kept_from(c), figures and json.dumps(figures), id),
    ).fetchone()
    if row is None:
        return None
    for path, digest in digests.items():
        artifacts.take(path, digest)
    c.executemany(
        "INSERT INTO files (run, name, digest, bytes) VALUES (?, ?, ?, ?)",
        [(id, path.name, digests[path], path.stat().st_size) for path in digests],
    )
    study: str | None = row["study"]
    return study


def release(c: sqlite3.Connection, id: str) -> None:
    """Return a running run to the queue, unless it was being stopped."""
    c.execute(
        "UPDATE runs SET state = 'queued', worker = NULL, started = NULL, "
        "attempt = attempt + 1 WHERE id = ? AND state = 'running' AND NOT stopping",
        (id,),
    )
    c.execute(
        "UPDATE runs SET state = 'stopped', worker = NULL, ended = ?, kept_from = ? "
        "WHERE id = ? AND state = 'running'",
        (time.time(), clock.kept_from(c), id),
    )


def recover(c: sqlite3.Connection) -> list[str]:
    """Release all running runs, but fail those that have lost their worker too often; returns the
    studies of those that failed."""
    c.execute("UPDATE runs SET losses = losses + 1 WHERE state = 'running'")
    failed = c.execute(
        "UPDATE runs SET state = 'failed', error = ?, worker = NULL, ended = ?, kept_from = ? "
        "WHERE state = 'running' AND NOT stopping AND losses >= ? RETURNING study",
        (LOST, time.time(), clock.kept_from(c), MOST_LOSSES),
    ).fetchall()
    for row in c.execute("SELECT id FROM runs WHERE state = 'running'").fetchall():
        release(c, row["id"])
    return [row["study"] for row in failed]
