"""The store: runs, what they told, their files, and what visitors uploaded.

Every method is one short transaction on a connection of its own, so threads, web servers, the
worker and the command line may all use one store at once. All of them raise ``StoreError`` if
the record cannot be read or written.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.files import digest_of
from prospr_engine.store import queries, retention
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.limits import Limits
from prospr_engine.store.run import Artifact, Run, State, clean_name
from prospr_engine.store.sameness import sameness
from prospr_engine.store.schema import connect, keep_open, migrate, transaction
from prospr_engine.store.portable import make_portable
from prospr_engine.store.uploads import Uploads
from prospr_engine.summary import summary
from prospr_engine.uploads import is_token

MOST_LOSSES = 2
LOST = (
    "The process that computed this run was lost twice. The machine may have run out of memory, "
    "or was switched off: choose a smaller model, or try again."
)


class Store:
    """The store in ``folder``, which is made if need be.

    Raises ``StoreError`` if it cannot be, or if a newer version of this software made it.
    """

    def __init__(self, folder: str | Path, limits: Limits | None = None):
        self.folder = Path(folder).absolute()
        self.limits = limits or Limits()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The folder for runs cannot be made ({error.strerror}). Give the server one that "
                "it may write to (PROSPR_RUNS)."
            ) from None
        self.database = self.folder / "runs.sqlite3"
        self.artifacts = Artifacts(self.folder / "artifacts")
        self.uploads = Uploads(self.database, self.folder / "uploads", self.limits)
        migrate(self.database)
        weakref.finalize(self, keep_open(self.database))

    def work(self, id: str) -> Path:
        """The folder in which a run is computed."""
        return self.folder / "work" / id

    # For whoever wants a run

    def submit(self, config: RunConfig, owner: str = "", name: str = "") -> Run:
        """The run of these settings: the owner's own, if one is queued, running or done; a copy
        of somebody else's that is done; else a new one at the end of the queue.

        Raises ``ResourceError`` if too many are queued already, of all or of this owner.
        """
        same = sameness(config)
        with transaction(self.database) as c:
            mine = c.execute(
                "SELECT id FROM runs WHERE sameness = ? AND owner = ? AND NOT stopping "
                "AND state IN ('queued', 'running', 'done') ORDER BY number DESC",
                (same, owner),
            ).fetchone()
            if mine and self._whole(c, mine["id"]):
                return queries.find(c, mine["id"])
            twin = self._twin(c, same)
            if twin is None:
                _check_caps(c, owner, self.limits)
            id = uuid.uuid4().hex
            c.execute(
                "INSERT INTO runs (id, owner, name, settings, sameness, created) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (id, owner, clean_name(name), json.dumps(config.to_dict()), same, time.time()),
            )
            if twin is not None:
                queries.adopt(c, id, twin)
            for text in (config.data, config.weights):
                if is_token(text):
                    self.uploads.renew(c, text)
            return queries.find(c, id)

    def get(self, id: str) -> Run | None:
        """The run of that id, if there is one."""
        with connect(self.database) as c:
            rows = queries.select(c, "WHERE id = ?", id)
            return rows[0] if rows else None

    def runs(self, owner: str | None = None, most: int = -1) -> list[Run]:
        """All runs, or the ``most`` recent; the newest first. With an ``owner``, theirs and the
        command line's."""
        theirs, given = ("", ()) if owner is None else ("WHERE owner IN (?, '')", (owner,))
        with connect(self.database) as c:
            return queries.select(c, f"{theirs} ORDER BY number DESC LIMIT ?", *given, most)

    def events(self, id: str, after: int = 0) -> list[dict[str, Any]]:
        """What the run told since the event ``after``, as ``Event.to_dict`` gives it, with its
        number (``seq``) and time. Of the progress of a stage only the latest is given, and of a
        run that had to begin again only what it told since."""
        with connect(self.database) as c:
            return queries.events(c, id, after)

    def files(self, id: str) -> dict[str, Artifact]:
        """The files of a finished run by name, as far as they are on the disk."""
        with connect(self.database) as c:
            rows = c.execute("SELECT * FROM files WHERE run = ? ORDER BY name", (id,)).fetchall()
        found = (
            Artifact(r["name"], r["digest"], r["bytes"], self.artifacts.path(r["digest"]))
            for r in rows
        )
        return {artifact.name: artifact for artifact in found if artifact.path.is_file()}

    def rename(self, id: str, owner: str, name: str) -> None:
        """Call a run something; raises ``StoreError`` if it is not the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            c.execute("UPDATE runs SET name = ? WHERE id = ?", (clean_name(name), id))

    def stop(self, id: str, owner: str) -> None:
        """Ask a run to stop; one that waits is over at once. Nothing happens to one that is over.
        Raises ``StoreError`` if it is not the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            c.execute("UPDATE runs SET stopping = 1 WHERE id = ? AND state = 'running'", (id,))
            c.execute(
                "UPDATE runs SET state = 'stopped', ended = ? WHERE id = ? AND state = 'queued'",
                (time.time(), id),
            )

    def delete(self, id: str, owner: str) -> None:
        """Forget a run and its files; one that runs is ended. Raises ``StoreError`` if it is not
        the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            digests = retention.forget(c, [id])
        self._drop(digests)

    # For whoever computes them

    def waiting(self) -> bool:
        """Is any run queued?"""
        with connect(self.database) as c:
            return c.execute("SELECT 1 FROM runs WHERE state = 'queued'").fetchone() is not None

    def claim(self, worker: str) -> Run | None:
        """The run that comes next, now running in the hands of ``worker``. One whose result is
        known by now is done without being handed out."""
        with transaction(self.database) as c:
            while True:
                row = c.execute(
                    "UPDATE runs SET state = 'running', worker = ?, started = ? WHERE number = "
                    "(SELECT MIN(number) FROM runs WHERE state = 'queued') RETURNING id, sameness",
                    (worker, time.time()),
                ).fetchone()
                if row is None:
                    return None
                twin = self._twin(c, row["sameness"])
                if twin is None:
                    return queries.find(c, row["id"])
                queries.adopt(c, row["id"], twin)

    def beat(self, id: str, worker: str) -> Literal["go", "stop", "gone"]:
        """Is the run still wanted? "gone": it was deleted, or is not in ``worker``'s hands."""
        with connect(self.database) as c:
            row = c.execute(
                "SELECT stopping FROM runs WHERE id = ? AND state = 'running' AND worker = ?",
                (id, worker),
            ).fetchone()
        if row is None:
            return "gone"
        return "stop" if row["stopping"] else "go"

    def record(self, id: str, event: Mapping[str, Any]) -> None:
        """Write down what a running run told. Its result is kept as a file, not here."""
        told = {name: value for name, value in event.items() if name != "result"}
        with transaction(self.database) as c:
            c.execute(
                "INSERT INTO events (run, seq, attempt, time, kind, stage, body) "
                "SELECT id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE run = runs.id), "
                "attempt, ?, ?, ?, ? FROM runs WHERE id = ? AND state = 'running'",
                (time.time(), told["event"], told.get("stage"), json.dumps(told), id),
            )

    def finish(
        self, id: str, state: State, error: str | None = None, folder: Path | None = None
    ) -> None:
        """A running run is over. One that is done brings its files from ``folder``; they are safe
        in the store before anybody hears that it is done. The folder is the caller's to remove.

        Raises ``ResourceError`` if the disk does not take the files; it can be tried again then.
        """
        figures: dict[str, Any] | None = None
        digests: dict[Path, str] = {}
        if state == "done":
            assert folder is not None
            figures = summary(make_portable(folder))
            paths = sorted(path for path in folder.iterdir() if path.is_file())
            # Before the transaction: large files take seconds, in which others want to write.
            digests = {path: digest_of(path) for path in paths}
        with transaction(self.database) as c:
            changed = c.execute(
                "UPDATE runs SET state = ?, error = ?, ended = ?, summary = ?, worker = NULL "
                "WHERE id = ? AND state = 'running'",
                (state, error, time.time(), figures and json.dumps(figures), id),
            ).rowcount
            if changed:
                for path, digest in digests.items():
                    self.artifacts.take(path, digest)
                c.executemany(
                    "INSERT INTO files (run, name, digest, bytes) VALUES (?, ?, ?, ?)",
                    [(id, path.name, digests[path], path.stat().st_size) for path in digests],
                )

    def release(self, id: str) -> None:
        """Put a running run back into the queue, at its old place; it begins again."""
        with transaction(self.database) as c:
            c.execute(
                "UPDATE runs SET state = 'queued', worker = NULL, started = NULL, "
                "attempt = attempt + 1 WHERE id = ? AND state = 'running' AND NOT stopping",
                (id,),
            )
            c.execute(
                "UPDATE runs SET state = 'stopped', worker = NULL, ended = ? "
                "WHERE id = ? AND state = 'running'",
                (time.time(), id),
            )

    def recover(self) -> None:
        """For the one who has just become the only worker: whatever still counts as running lost
        its worker. It begins again, once; a second time it has failed."""
        with transaction(self.database) as c:
            c.execute("UPDATE runs SET losses = losses + 1 WHERE state = 'running'")
            c.execute(
                "UPDATE runs SET state = 'failed', error = ?, worker = NULL, ended = ? "
                "WHERE state = 'running' AND NOT stopping AND losses >= ?",
                (LOST, time.time(), MOST_LOSSES),
            )
            lost = c.execute("SELECT id FROM runs WHERE state = 'running'").fetchall()
        for row in lost:
            self.release(row["id"])

    def sweep(self) -> None:
        """Forget what is older, or larger in sum, than the limits allow: the oldest first."""
        with transaction(self.database) as c:
            digests = retention.sweep(c, self.limits)
            named = {row["digest"] for row in c.execute("SELECT DISTINCT digest FROM files")}
        self._drop(digests | self.artifacts.strays(named))
        self.uploads.sweep()

    def _drop(self, digests: set[str]) -> None:
        """Remove contents that nobody names: now that it is certain, and unless a run that has
        just finished brought one of them anew."""
        with transaction(self.database) as c:
            for digest in digests - retention.named(c, digests):
                self.artifacts.remove(digest)

    def _twin(self, c: sqlite3.Connection, same: str | None) -> str | None:
        """A run that is done and has to have the same result."""
        rows = c.execute(
            "SELECT id FROM runs WHERE sameness = ? AND state = 'done' ORDER BY number DESC",
            (same,),
        ).fetchall()
        return next((row["id"] for row in rows if self._whole(c, row["id"])), None)

    def _whole(self, c: sqlite3.Connection, id: str) -> bool:
        """Are all files of the run where they should be?"""
        rows = c.execute("SELECT digest FROM files WHERE run = ?", (id,)).fetchall()
        return all(self.artifacts.path(row["digest"]).is_file() for row in rows)


def _check_caps(c: sqlite3.Connection, owner: str, limits: Limits) -> None:
    live = "SELECT COUNT(*) FROM runs WHERE state IN ('queued', 'running')"
    mine = c.execute(f"{live} AND owner = ?", (owner,)).fetchone()[0]
    if owner and mine >= limits.most_queued_per_visitor:
        raise ResourceError(
            f"{_counted(mine, 'run of yours waits or works', 'runs of yours wait or work')} "
            "already. Let one end, or stop one; your settings stay as they are."
        )
    waiting = c.execute("SELECT COUNT(*) FROM runs WHERE state = 'queued'").fetchone()[0]
    if waiting >= limits.most_queued:
        raise ResourceError(
            f"{_counted(waiting, 'run is', 'runs are')} waiting already. Try again in a few "
            "minutes; your settings stay as they are."
        )


def _counted(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"
