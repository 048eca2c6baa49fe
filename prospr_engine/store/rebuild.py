"""A new record of runs, made from the files of those that are finished."""

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
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.contents import Content, identify
from prospr_engine.store.limits import Limits
from prospr_engine.store.match import Match, index, match
from prospr_engine.store.portable import make_portable
from prospr_engine.store.schema import RecordError, check, migrate, transaction
from prospr_engine.store.store import RECORD, Store


@dataclass(frozen=True)
class Rebuilt:
    """What ``rebuild`` did: the ``runs`` that it added, by id, and the names of the files that it
    did not find for each; the digests of the files that belong to no run (``unplaced``) and of
    those whose content is not what it was (``damaged``); what the earlier record is called now,
    if there was one that could not be used."""

    runs: dict[str, tuple[str, ...]]
    unplaced: tuple[str, ...]
    damaged: tuple[str, ...]
    aside: str | None


def rebuild(folder: Path, limits: Limits | None = None) -> Rebuilt:
    """Add the finished runs whose files are in the store ``folder`` to its record.

    They become runs of the command line; ids, names, owners, sweeps and searches are lost with
    the record. One that is missing or damaged is put aside under another name and made anew; to
    one that is sound only what it does not name is added. No file is removed.

    Raises ``StoreError`` if there is nothing to rebuild from, or if the record cannot be written.
    """
    folder = Path(folder).absolute()
    artifacts = Artifacts(folder / "artifacts")
    if not ((folder / RECORD).exists() or artifacts.any() or any(_finished(folder))):
        raise StoreError(f"There are no files of runs in {folder}; give the folder of a store.")
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
                continue  # of a version that wrote other results; it stays among the unplaced
        named = {row["digest"] for row in c.execute("SELECT DISTINCT digest FROM files")}
    unplaced = [content.digest for content in contents if content.digest not in named]
    return Rebuilt(runs, tuple(sorted(unplaced + unknown)), tuple(damaged), aside)


def _put_aside(database: Path) -> str | None:
    """Rename the record and what SQLite keeps beside it; the new name."""
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
    """Runs that were finished when the record was lost, but not yet taken over."""
    for path in _finished(store.folder):
        try:
            make_portable(path.parent)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for file in filter(Path.is_file, path.parent.iterdir()):
            store.artifacts.take(file, digest_of(file))


def _finished(folder: Path) -> Iterator[Path]:
    """The results of those."""
    return (folder / "work").glob(f"*/{RESULT}")


def _contents(artifacts: Artifacts) -> tuple[list[Content], list[str], list[str]]:
    """What all files are, the digests of those that are nothing known, and of damaged ones."""
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
    """The results, the oldest first."""
    results = [content for content in contents if content.name == RESULT]
    return sorted(results, key=lambda content: content.path.stat().st_mtime)


def _enter(c: sqlite3.Connection, result: Content, found: Match) -> str:
    """Enter a finished run; its id."""
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
        # It ends now: the time for which it is kept begins again.
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
