"""The store: runs, their events and files, and uploads.

Every method is one short transaction on a connection of its own, so threads, web servers, the
worker and the command line may all use one store at once. All of them raise ``StoreError`` if
the record cannot be read or written.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from prospr_engine.config import RunConfig
from prospr_engine.errors import StoreError
from prospr_engine.identity import run_key, tokens
from prospr_engine.io.files import digest_of
from prospr_engine.metrics import summary
from prospr_engine.store import cleanup, clock, known, queries, queue, shared, studies
from prospr_engine.store.artifacts import Artifacts, written
from prospr_engine.store.contents import is_result
from prospr_engine.store.limits import Limits
from prospr_engine.store.portable import make_portable
from prospr_engine.store.records import Artifact, Run, State, clean_name
from prospr_engine.store.schema import born, connect, keep_open, migrate, transaction
from prospr_engine.store.study import Kind, Study
from prospr_engine.store.uploads import Uploads
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig
from prospr_engine.sweeps.workspace import Workspace

log = logging.getLogger(__name__)
RECORD = "runs.sqlite3"


class Store:
    """The store in ``folder``, which is created if it does not exist.

    Raises ``StoreError`` if it cannot be created, if a newer version of this software created it,
    or if its database is missing or damaged while files of runs are there (see ``rebuild``).
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
        self.database = self.folder / RECORD
        self.artifacts = Artifacts(self.folder / "artifacts")
        self.uploads = Uploads(self.database, self.folder / "uploads", self.limits)
        self.workspace = Workspace(
            self.folder / "work", self.folder / "shared", self.uploads.folder
        )
        migrate(self.database, create=not self.artifacts.any())
        weakref.finalize(self, keep_open(self.database))

    # Single runs

    def submit(self, config: RunConfig, owner: str = "", name: str = "", origin: str = "") -> Run:
        """The run of these settings: the owner's own, if one is queued, running or done; a copy
        of someone else's that is done; else a new one at the end of the queue. ``origin`` stands
        for the owner's address (see ``origins``).

        Raises ``ResourceError`` if too many are queued already, of all, of this owner or from
        there.
        """
        same = run_key(config)
        with transaction(self.database) as c:
            mine = c.execute(
                "SELECT id FROM runs WHERE sameness = ? AND owner = ? AND NOT stopping "
                "AND study IS NULL AND state IN ('queued', 'running', 'done') "
                "ORDER BY number DESC",
                (same, owner),
            ).fetchone()
            if mine and known.whole(c, self.artifacts, mine["id"]):
                return queries.find(c, mine["id"])
            if known.twin(c, self.artifacts, same) is None:
                queue.check_caps(c, owner, origin, self.limits)
            id = queue.enter(c, self.artifacts, config, owner, name, origin=origin)
            self._renew(c, config)
            return queries.find(c, id)

    def get(self, id: str) -> Run | None:
        """The run of that id, if there is one."""
        with connect(self.database) as c:
            rows = queries.select(c, "WHERE id = ?", id)
            return rows[0] if rows else None

    def runs(self, owner: str | None = None, most: int = -1, studies: bool = False) -> list[Run]:
        """All runs, or the ``most`` recent; the newest first. With an ``owner``, theirs and the
        command line's. Those of studies only if ``studies`` says so."""
        theirs, given = ("TRUE", ()) if owner is None else ("owner IN (?, '')", (owner,))
        alone = "TRUE" if studies else "study IS NULL"
        which = f"WHERE {theirs} AND {alone} ORDER BY number DESC LIMIT ?"
        with connect(self.database) as c:
            return queries.select(c, which, *given, most)

    def events(self, id: str, after: int = 0) -> list[dict[str, Any]]:
        """The run's events since ``after``, as ``Event.to_dict`` gives it, with its
        number (``seq``) and time. Of the progress of a stage only the latest is given, and of a
        run that had to begin again only those since."""
        with connect(self.database) as c:
            return queries.events(c, id, after)

    def files(self, id: str) -> dict[str, Artifact]:
        """The files of a finished run by name, as far as they are on the disk."""
        with connect(self.database) as c:
            return queries.files(c, self.artifacts, id)

    def check(self, artifact: Artifact) -> None:
        """Raise ``DataError`` if a file of a run is gone, or was changed on the disk."""
        self.artifacts.check(artifact)

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
                "UPDATE runs SET state = 'stopped', ended = ?, kept_from = ? "
                "WHERE id = ? AND state = 'queued'",
                (time.time(), clock.kept_from(c), id),
            )

    def delete(self, id: str, owner: str) -> None:
        """Forget a run and its files; one that runs is ended. Raises ``StoreError`` if it is not
        the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            digests = cleanup.forget(c, [id])
        self._drop(digests)

    # Studies

    def submit_study(
        self,
        kind: Kind,
        config: SweepConfig | SearchConfig,
        owner: str = "",
        name: str = "",
        guess: float | None = None,
        origin: str = "",
    ) -> Study:
        """A new study: of a sweep all runs, of a search the first ones (at the sparsity ``guess``,
        if one is given); those whose result is known are done at once. While the owner's study of
        the same settings is live, that one is given back.

        Raises ``ResourceError`` if it has too many runs, or too many studies are live: of the
        owner, from their ``origin`` (see ``origins``) or of all visitors.
        """
        with transaction(self.database) as c:
            id = studies.submit(
                c, self.artifacts, self.limits, kind, config, owner, name, guess, origin
            )
            self._renew(c, config.run)
            return studies.select(c, "WHERE studies.id = ?", id)[0]

    def study(self, id: str) -> Study | None:
        """The study of that id, if there is one."""
        with connect(self.database) as c:
            found = studies.select(c, "WHERE studies.id = ?", id)
            return found[0] if found else None

    def studies(self, owner: str | None = None) -> list[Study]:
        """All studies, the newest first. With an ``owner``, theirs and the command line's."""
        with connect(self.database) as c:
            if owner is None:
                return studies.select(c)
            return studies.select(c, "WHERE studies.owner IN (?, '')", owner)

    def study_runs(self, id: str) -> list[Run]:
        """The runs of a study, in the order of its cells."""
        with connect(self.database) as c:
            return studies.runs_of(c, id)

    def rename_study(self, id: str, owner: str, name: str) -> None:
        """Call a study something; raises ``StoreError`` if it is not the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            c.execute("UPDATE studies SET name = ? WHERE id = ?", (clean_name(name), id))

    def stop_study(self, id: str, owner: str) -> None:
        """Ask the runs of a study to stop; those that wait are over at once. Raises
        ``StoreError`` if it is not the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            studies.stop(c, id)

    def resume_study(self, id: str, owner: str, origin: str = "") -> None:
        """Queue again what failed or was stopped. Raises ``StoreError`` if it is not the owner's
        or still being stopped, ``ResourceError`` as ``submit_study`` does."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            studies.resume(c, self.artifacts, self.limits, id, origin)

    def delete_study(self, id: str, owner: str) -> None:
        """Forget a study, its runs and their files; one that runs is ended. Raises
        ``StoreError`` if it is not the owner's."""
        with transaction(self.database) as c:
            queries.check_owner(c, id, owner)
            digests = studies.delete(c, id)
        self._drop(digests)

    # For workers

    def waiting(self) -> bool:
        """Whether any run is queued."""
        with connect(self.database) as c:
            return c.execute("SELECT 1 FROM runs WHERE state = 'queued'").fetchone() is not None

    def claim(self, worker: str) -> Run | None:
        """The next run, now running and assigned to ``worker``. A run with a result that is known
        by now is finished without being computed."""
        with transaction(self.database) as c:
            while next_one := queue.claim(c, worker):
                twin = known.twin(c, self.artifacts, next_one["sameness"])
                if twin is None:
                    return queries.find(c, next_one["id"])
                known.adopt(c, next_one["id"], twin)
                studies.advance(c, self.artifacts, next_one["study"])
            return None

    def beat(self, id: str, worker: str) -> Literal["go", "stop", "gone"]:
        """Whether the run is still wanted; "gone" if it was deleted or is not ``worker``'s."""
        with connect(self.database) as c:
            row = c.execute(
                "SELECT stopping FROM runs WHERE id = ? AND state = 'running' AND worker = ?",
                (id, worker),
            ).fetchone()
        if row is None:
            return "gone"
        return "stop" if row["stopping"] else "go"

    def record(self, id: str, event: Mapping[str, Any]) -> None:
        """Record an event of a running run, without the result, which is kept as a file."""
        with transaction(self.database) as c:
            queue.record(c, id, event)

    def finish(
        self, id: str, state: State, error: str | None = None, folder: Path | None = None
    ) -> None:
        """Finish a running run. If it is done, its files are taken from ``folder`` into the store
        before its state changes. The caller deletes the folder.

        Raises ``ResourceError`` if there is no space for the files; it can be called again then.
        """
        figures: dict[str, Any] | None = None
        digests: dict[Path, str] = {}
        if state == "done":
            assert folder is not None
            figures = summary(make_portable(folder))
            paths = written(folder)
            # Before the transaction: large files take seconds, in which others want to write.
            digests = {path: digest_of(path) for path in paths}
        with transaction(self.database) as c:
            study = queue.finish(c, self.artifacts, id, state, error, figures, digests)
            studies.advance(c, self.artifacts, study)

    def release(self, id: str) -> None:
        """Return a running run to its place in the queue; it will start again."""
        with transaction(self.database) as c:
            queue.release(c, id)

    def recover(self) -> None:
        """Called by a new worker: all runs in the state "running" have lost theirs. Each is queued
        again, but fails if that happens too often."""
        with transaction(self.database) as c:
            for study in queue.recover(c):
                studies.advance(c, self.artifacts, study)

    def sweep(self) -> None:
        """Delete what is older, or larger in total, than the limits allow, the oldest first.
        While the clock is in doubt, nothing is deleted for its age."""
        with transaction(self.database) as c:
            now = clock.believed(c)
            digests = cleanup.sweep(c, self.limits, now)
            named = {row["digest"] for row in c.execute("SELECT DISTINCT digest FROM files")}
            since = born(c)
        self._drop(digests)
        if now is not None:
            self._drop(self._strays(named, since))
            self.uploads.sweep(now)
        shared.sweep(self.folder / "shared", self.limits, now)

    def clear_work(self) -> None:
        """Called by a new worker after ``recover``: delete the unfinished work of earlier ones, but
        nothing that is older than the database."""
        with connect(self.database) as c:
            since = born(c)
        for folder in self.workspace.runs.glob("*"):
            with contextlib.suppress(OSError):
                newest = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
                if newest >= since:
                    shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # something is left
            self.workspace.runs.rmdir()

    def _strays(self, named: set[str], since: float) -> set[str]:
        strays = self.artifacts.strays(named, since)
        if any(is_result(self.artifacts.path(digest)) for digest in strays):
            # A crash leaves no whole result behind: an older copy of the record was put back.
            log.warning(
                "Files of finished runs are here that the record does not name, so no files are "
                "cleared away. Add them to it: python -m prospr_engine runs --rebuild"
            )
            return set()
        return strays

    def _drop(self, digests: set[str]) -> None:
        """Delete contents that no run has, unless a run that has just finished has brought one of
        them again."""
        with transaction(self.database) as c:
            for digest in digests - cleanup.named(c, digests):
                self.artifacts.remove(digest)

    def _renew(self, c: sqlite3.Connection, config: RunConfig) -> None:
        for token in tokens(config).values():
            self.uploads.renew(c, token)
