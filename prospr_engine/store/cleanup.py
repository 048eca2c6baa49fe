"""Clean-up: what is deleted when the store exceeds its limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from prospr_engine.format import GIGA
from prospr_engine.store.limits import Limits

DAY = 24 * 3600.0
SINCE = "COALESCE(kept_from, ended)"
OVER = "state IN ('done', 'failed', 'stopped')"


def sweep(c: sqlite3.Connection, limits: Limits, now: float | None) -> set[str]:
    """Delete the runs beyond the limits, but none for its age if ``now`` is None; returns the
    digests that no run refers to any more."""
    unused: set[str] = set()
    if now is not None:
        old = now - limits.keep_days * DAY
        rows = c.execute(f"SELECT id FROM runs WHERE {OVER} AND {SINCE} < ?", (old,)).fetchall()
        unused |= forget(c, [row["id"] for row in rows])
    rows = c.execute(
        f"SELECT id FROM runs WHERE {OVER} ORDER BY {SINCE} DESC LIMIT -1 OFFSET ?",
        (limits.keep_runs,),
    ).fetchall()
    unused |= forget(c, [row["id"] for row in rows])
    while _bytes(c) > limits.keep_gigabytes * GIGA:
        row = c.execute(
            f"SELECT id FROM runs WHERE {OVER} AND EXISTS "
            f"(SELECT 1 FROM files WHERE run = runs.id) ORDER BY {SINCE} LIMIT 1"
        ).fetchone()
        if row is None:
            break
        unused |= forget(c, [row["id"]])
    return unused


def forget(c: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Delete runs with their events and files, and studies without runs; returns the digests that
    no run refers to any more."""
    ids = list(ids)
    digests = set()
    for id in ids:
        rows = c.execute("SELECT digest FROM files WHERE run = ?", (id,)).fetchall()
        digests |= {row["digest"] for row in rows}
        c.execute("DELETE FROM runs WHERE id = ?", (id,))
    c.execute("DELETE FROM studies WHERE NOT EXISTS (SELECT 1 FROM runs WHERE study = studies.id)")
    return digests - named(c, digests)


def named(c: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """Those of ``digests`` that some run still refers to."""
    wanted = "SELECT 1 FROM files WHERE digest = ?"
    return {digest for digest in digests if c.execute(wanted, (digest,)).fetchone()}


def _bytes(c: sqlite3.Connection) -> int:
    """Bytes on disk, where equal contents are stored once."""
    row = c.execute(
        "SELECT COALESCE((SELECT SUM(bytes) FROM (SELECT DISTINCT digest, bytes FROM files)), 0) "
        "+ COALESCE((SELECT SUM(bytes) FROM (SELECT DISTINCT digest, bytes FROM uploads)), 0)"
    ).fetchone()
    return int(row[0])
