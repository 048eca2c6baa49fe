"""Rebuild the database from the files of finished runs."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prospr_engine.config import RunConfig
from prospr_engine.errors import EngineError, StoreError
from prospr_engine.identity import run_key
from prospr_engine.io.files import digest_of, disk_error
from prospr_engine.metrics import summary
from prospr_engine.pipeline.record import RESULT
from prospr_engine.store.artifacts import Artifacts, written
from prospr_engine.store.contents import Content, identify
from prospr_engine.store.limits import Limits
from prospr_engine.store.match import Match, index, match
from prospr_engine.store.portable import make_portable
from prospr_engine.store.schema import RecordError, check, migrate, transaction
from prospr_engine.store.store import RECORD, Store


@dataclass(frozen=True)
class Rebuilt:
    """The outcome of ``rebuild``: the ``runs`` that it added, by id, with the names of the files
    not found for each; the digests of files that belong to no run (``unplaced``) and of those
    whose content has changed (``damaged``); and the new name of the earlier database, if it could
    not be used (``aside``)."""

    runs: dict[str, tuple[str, ...]]
    unplaced: tuple[str, ...]
    damaged: tuple[str, ...]
    aside: str | None


def rebuild(folder: Path, limits: Limits | None = None) -> Rebuilt:
    """Add the finished runs whose files are in the store ``folder`` to its database.

    They become runs of the command line; ids, names, owners, sweeps and searches are lost with the
    database. One that is damaged is renamed and a new one created; to an intact one only missing
    runs are added. No file is deleted.

    Raises ``StoreError`` if there is nothing to rebuild from, or if the database cannot be written.
    """
    folder = Path(folder).absolute()
    artifacts = Artifacts(folder / "artifacts")
    if not ((folder / RECORD).exists() or artifacts.any() or any(_finished(folder))):
        raise StoreError(f"There are no runs in {folder}; give the folder of a store.")
    aside = None
    try:
        check(folder / RECORD)
    except RecordError:
        aside = _put_aside(folder / RECORD)
        migrate(folder / RECORD, create=True)
    store = Store(folder, limits)
    _take_work(store)
    contents, unknown, damaged = _contents(artifacts)
    files = index(contents)
    runs: dict[str, tuple[str, ...]] = {}
    with transaction(store.database) as c:
        named = {row["digest"] for row in c.execute("SELECT DISTINCT digest FROM files")}
        for result in _results(contents):
            if result.digest in named:
                continue
            try:
                found = match(result, files)
                runs[_enter(c, result, found)] = found.missing
            except (KeyError, TypeError, ValueError, AttributeError):
                continue  # from a version with a different format; it stays unplaced
        named = {row["digest"] for row in c.execute("SELECT DISTINCT digest FROM files")}
    unplaced = [content.digest for content in contents if content.digest not in named]
    return Rebuilt(runs, tuple(sorted(unplaced + unknown)), tuple(damaged), aside)


def _put_aside(database: Path) -> str | None:
    """Rename the database and SQLite's files beside it; returns the new name."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = None
    for suffix in ("-wal", "-shm", ""):
        path = database.with_name(database.name + suffix)
        if path.exists():
            aside = f"{database.name}.aside-{stamp}{suffix}"
            try:
                path.rename(path.with_name(aside))
            except OSError as error:
                raise disk_error(path, error) from None
    return aside


def _take_work(store: Store) -> None:
    """Store the files of runs that had finished but were not yet in the database."""
    for path in _finished(store.folder):
        try:
            make_portable(path.parent)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for file in written(path.parent):
            store.artifacts.take(file, digest_of(file))


def _finished(folder: Path) -> Iterator[Path]:
    """The results of such runs."""
    return (folder / "work").glob(f"*/{RESULT}")


def _contents(artifacts: Artifacts) -> tuple[list[Content], list[str], list[str]]:
    """All identified files, and the digests of unknown and of damaged ones."""
    contents, unknown, damaged = [], [], []
    for path in sorted(artifacts.folder.glob("??/*")):
        if path.is_file() and not path.name.startswith("."):
            if digest_of(path) != path.name:
                damaged.append(path.name)
            elif content := identify(path):
                contents.append(content)
            else:
                unknown.append(path.name)
    return contents, unknown, damaged


def _results(contents: Sequence[Content]) -> list[Content]:
    """The results, oldest first."""
    results = [content for content in contents if content.name == RESULT]
    return sorted(results, key=lambda content: content.path.stat().st_mtime)


def _enter(c: sqlite3.Connection, result: Content, found: Match) -> str:
    """Add a finished run; returns its id."""
    facts = result.facts
    figures = json.dumps(summary(facts))
    id, now, seconds = uuid.uuid4().hex, time.time(), float(facts["seconds"])
    try:
        same = run_key(RunConfig.from_dict(facts["config"]), facts["environment"]["prospr_engine"])
    except EngineError:
        same = None
    c.execute(
        "INSERT INTO runs (id, owner, settings, sameness, state, created, started, ended, summary) "
        "VALUES (?, '', ?, ?, 'done', ?, ?, ?, ?)",
        # It ends now, so that it is kept for the full time again.
        (
            id,
            json.dumps(facts["config"]),
            same,
            result.path.stat().st_mtime,
            now - seconds,
            now,
            figures,
        ),
    )
    c.executemany(
        "INSERT INTO files (run, name, digest, bytes) VALUES (?, ?, ?, ?)",
        [
            (id, name, content.digest, content.path.stat().st_size)
            for name, content in found.files.items()
        ],
    )
    return id
