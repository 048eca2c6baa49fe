"""What the store asks of its tables, within a connection that somebody else opened."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from prospr_engine.errors import StoreError
from prospr_engine.store.run import Run

RUNS = """
    SELECT runs.*,
        (SELECT COALESCE(SUM(bytes), 0) FROM files WHERE run = runs.id) AS bytes,
        CASE state WHEN 'queued' THEN
            (SELECT COUNT(*) FROM runs AS other
             WHERE other.state IN ('queued', 'running') AND other.number < runs.number)
        ELSE 0 END AS ahead
    FROM runs
"""

# Of the progress of one stage only the latest counts; the rest is told in full.
EVENTS = """
    SELECT seq, time, body FROM events
        WHERE run = :run AND attempt = :attempt AND seq > :after AND kind <> 'Progress'
    UNION ALL
    SELECT MAX(seq), time, body FROM events
        WHERE run = :run AND attempt = :attempt AND seq > :after AND kind = 'Progress'
        GROUP BY stage
    ORDER BY seq
"""


def select(c: sqlite3.Connection, which: str, *given: object) -> list[Run]:
    """The runs that the clause ``which`` (WHERE, ORDER BY …) picks."""
    return [_run(row) for row in c.execute(f"{RUNS} {which}", given)]


def find(c: sqlite3.Connection, id: str) -> Run:
    """A run that is known to be there."""
    return select(c, "WHERE id = ?", id)[0]


def events(c: sqlite3.Connection, id: str, after: int) -> list[dict[str, Any]]:
    """See ``Store.events``."""
    row = c.execute("SELECT attempt FROM runs WHERE id = ?", (id,)).fetchone()
    if row is None:
        return []
    given = {"run": id, "attempt": row["attempt"], "after": after}
    return [
        {**json.loads(row["body"]), "seq": row["seq"], "time": row["time"]}
        for row in c.execute(EVENTS, given)
    ]


def adopt(c: sqlite3.Connection, id: str, twin: str) -> None:
    """Let the run be done, with the files and events of its twin."""
    # What it told by itself, before it was given back to the queue, is its twin's story now.
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
        "UPDATE runs SET state = 'done', attempt = 1, started = ?, ended = ?, worker = NULL, "
        "summary = (SELECT summary FROM runs WHERE id = ?) WHERE id = ?",
        (now, now, twin, id),
    )


def check_owner(c: sqlite3.Connection, id: str, owner: str) -> None:
    row = c.execute("SELECT owner FROM runs WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise StoreError("There is no such run any more.")
    if row["owner"] != owner:
        raise StoreError(
            "This run belongs to somebody else: only they can change it."
            if row["owner"]
            else "This run was started on the command line and is changed there: "
            f"python -m prospr_engine runs --stop {id[:8]}, or --delete {id[:8]}."
        )


def _run(row: sqlite3.Row) -> Run:
    return Run(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        settings=json.loads(row["settings"]),
        state=row["state"],
        stopping=bool(row["stopping"]),
        attempt=row["attempt"],
        ahead=row["ahead"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        error=row["error"],
        summary=json.loads(row["summary"]) if row["summary"] else None,
        bytes=row["bytes"],
    )
