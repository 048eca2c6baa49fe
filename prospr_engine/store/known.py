"""Reuse the result of an earlier run of the same settings."""

from __future__ import annotations

import sqlite3
import time

from prospr_engine.store import clock
from prospr_engine.store.artifacts import Artifacts


def twin(c: sqlite3.Connection, artifacts: Artifacts, same: str | None) -> str | None:
    """A finished run that must have the same result."""
    rows = c.execute(
        "SELECT id FROM runs WHERE sameness = ? AND state = 'done' ORDER BY number DESC", (same,)
    ).fetchall()
    return next((row["id"] for row in rows if whole(c, artifacts, row["id"])), None)


def whole(c: sqlite3.Connection, artifacts: Artifacts, id: str) -> bool:
    """Whether all files of the run exist."""
    rows = c.execute("SELECT digest FROM files WHERE run = ?", (id,)).fetchall()
    return all(artifacts.path(row["digest"]).is_file() for row in rows)


def adopt(c: sqlite3.Connection, id: str, twin: str) -> None:
    """Mark the run as done, with the files and events of its twin."""
    # Its own events, from before it was returned to the queue, are replaced.
    c.execute("DELETE FROM events WHERE run = ?", (id,))
    c.execute(
        "INSERT INTO files (run, name, digest, bytes) "
        "SELECT ?, name, digest, bytes FROM files WHERE run = ?",
        (id, twin),
    )
    c.execute(
        "INSERT INTO events (run, seq, attempt, time, kind, stage, body) "
        "SELECT ?, seq, 1, time, kind, stage, body FROM events WHERE run = ? "
        "AND attempt = (SELECT attempt FROM runs WHERE id = ?) AND kind <> 'Progress'",
        (id, twin, twin),
    )
    now = time.time()
    c.execute(
        "UPDATE runs SET state = 'done', attempt = 1, started = ?, ended = ?, kept_from = ?, "
        "worker = NULL, summary = (SELECT summary FROM runs WHERE id = ?) WHERE id = ?",
        (now, now, clock.kept_from(c), twin, id),
    )
