"""The store's queries, on a connection opened by the caller."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from prospr_engine.errors import StoreError
from prospr_engine.store import line
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.records import Artifact, Run

RUNS = """
    SELECT runs.*, (SELECT COALESCE(SUM(bytes), 0) FROM files WHERE run = runs.id) AS bytes
    FROM runs
"""

# Only the latest progress of each stage; all other events.
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
    rows = c.execute(f"{RUNS} {which}", given).fetchall()
    waiting = {row["study"] for row in rows if row["state"] == "queued"}
    ahead = line.places(c, waiting) if waiting else {}
    return [_run(row, ahead.get(row["id"], 0)) for row in rows]


def find(c: sqlite3.Connection, id: str) -> Run:
    """A run that is known to exist."""
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


def files(c: sqlite3.Connection, artifacts: Artifacts, id: str) -> dict[str, Artifact]:
    """See ``Store.files``."""
    rows = c.execute("SELECT * FROM files WHERE run = ? ORDER BY name", (id,)).fetchall()
    found = (
        Artifact(r["name"], r["digest"], r["bytes"], artifacts.path(r["digest"])) for r in rows
    )
    return {artifact.name: artifact for artifact in found if artifact.path.is_file()}


def check_owner(c: sqlite3.Connection, id: str, owner: str) -> None:
    """Raise ``StoreError`` unless the run or study exists and is the owner's."""
    row = c.execute(
        "SELECT 'run' AS kind, owner FROM runs WHERE id = :id "
        "UNION ALL SELECT kind, owner FROM studies WHERE id = :id",
        {"id": id},
    ).fetchone()
    if row is None:
        raise StoreError("This run no longer exists.")
    if row["owner"] != owner:
        raise StoreError(
            f"This {row['kind']} belongs to someone else; only they can change it."
            if row["owner"]
            else f"This {row['kind']} was started on the command line; change it there: "
            f"python -m prospr_engine runs --stop {id[:8]}, or --delete {id[:8]}."
        )


def _run(row: sqlite3.Row, ahead: int) -> Run:
    return Run(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        settings=json.loads(row["settings"]),
        state=row["state"],
        stopping=bool(row["stopping"]),
        attempt=row["attempt"],
        ahead=ahead,
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        error=row["error"],
        summary=json.loads(row["summary"]) if row["summary"] else None,
        bytes=row["bytes"],
        study=row["study"],
    )
