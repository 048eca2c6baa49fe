"""The tables of the store, and the migrations from every earlier version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prospr_engine.errors import StoreError

PATIENCE = 10.0  # seconds to wait for another writer
READ_ONLY = (
    "This server cannot record runs at the moment, because its folder is read-only. The server's "
    "administrator can set another one with PROSPR_RUNS."
)

RESCUE = (
    "Nothing was deleted. The server's administrator can stop the server and restore a copy of "
    "runs.sqlite3, or rebuild the record from the files of finished runs: "
    "python -m prospr_engine runs --rebuild (with --store, if the runs are in another folder)."
)

# One script per version, never changed once released: a database stores how many it has run.
MIGRATIONS = (
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order in which they came
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        name TEXT NOT NULL DEFAULT '',
        settings TEXT NOT NULL,
        sameness TEXT,                              -- equal where the results must be equal
        state TEXT NOT NULL DEFAULT 'queued'
            CHECK (state IN ('queued', 'running', 'done', 'failed', 'stopped')),
        stopping INTEGER NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL DEFAULT 1,
        losses INTEGER NOT NULL DEFAULT 0,          -- times its worker died under it
        worker TEXT,
        created REAL NOT NULL,
        started REAL,
        ended REAL,
        error TEXT,
        summary TEXT
    );
    CREATE INDEX runs_by_state ON runs (state, number);
    CREATE INDEX runs_by_owner ON runs (owner, number);
    CREATE INDEX runs_by_sameness ON runs (sameness);
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        time REAL NOT NULL,
        kind TEXT NOT NULL,
        stage TEXT,
        body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE files (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE INDEX files_by_digest ON files (digest);
    CREATE TABLE uploads (
        owner TEXT NOT NULL,
        token TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        suffix TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        created REAL NOT NULL,
        PRIMARY KEY (owner, token)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE studies (
        number INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order in which they came
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        name TEXT NOT NULL DEFAULT '',
        kind TEXT NOT NULL CHECK (kind IN ('sweep', 'search')),
        settings TEXT NOT NULL,
        guess REAL,                                 -- where a search begins
        stopped INTEGER NOT NULL DEFAULT 0,         -- its owner wants no more of it
        served REAL NOT NULL DEFAULT 0,             -- when a run of it was last handed out
        created REAL NOT NULL
    );
    CREATE INDEX studies_by_owner ON studies (owner, number);
    ALTER TABLE runs ADD COLUMN study TEXT REFERENCES studies (id);
    ALTER TABLE runs ADD COLUMN cell INTEGER;       -- its place in the study
    CREATE INDEX runs_by_study ON runs (study, state, started, ended);
    """,
    """
    CREATE TABLE record (born REAL NOT NULL);       -- files older than this are not its to remove
    -- Of an earlier version's record: before its first entry, whose files came a little earlier.
    INSERT INTO record SELECT COALESCE(
        (SELECT MIN(created) - 3600.0 FROM (SELECT created FROM runs
            UNION ALL SELECT created FROM studies UNION ALL SELECT created FROM uploads)),
        (julianday('now') - 2440587.5) * 86400.0);
    """,
    """
    CREATE INDEX runs_in_line ON runs (study, cell, number) WHERE state = 'queued';
    -- From which address, see origins.py; '' if unknown, and on the command line.
    ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE studies ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE uploads ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE clock (                            -- at the last clean-up, see clock.py
        time REAL NOT NULL,
        uptime REAL,
        doubted_time REAL,
        doubted_uptime REAL
    );
    INSERT INTO clock (time) SELECT COALESCE(
        (SELECT MAX(time) FROM (SELECT created AS time FROM runs UNION ALL SELECT ended FROM runs
            UNION ALL SELECT created FROM studies UNION ALL SELECT created FROM uploads)),
        (julianday('now') - 2440587.5) * 86400.0);
    ALTER TABLE runs ADD COLUMN kept_from REAL;     -- if the clock was in doubt when it ended
    """,
)
VERSION = len(MIGRATIONS)


class RecordError(StoreError):
    """The database is missing, damaged or not ours; there may be files of runs beside it."""

    def __init__(self, state: str):
        super().__init__(f"The record of runs {state}. {RESCUE}")


@contextmanager
def connect(path: Path, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for one short operation: safe between threads and processes. The database must
    exist, unless ``create`` is set.

    Raises ``StoreError`` in place of SQLite's errors.
    """
    try:
        # A missing database must not be replaced by an empty one, which is SQLite's default.
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            # With WAL, a power cut may lose the last transactions but never damages the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _failure(error, path) from error


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose writes are committed together or not at all."""
    with connect(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # on a full disk SQLite rolls back itself
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def keep_open(path: Path) -> Callable[[], None]:
    """Open a connection that is never used, and return a function that closes it.

    While one is open, SQLite keeps its WAL files. Opening the first and closing the last connection
    rewrites them, so on a full disk even reading would fail. Raises ``StoreError`` if the tables
    are not as expected.
    """
    with connect(path) as connection:
        for table in ("runs", "events", "files", "uploads", "studies", "record", "clock"):
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("PRAGMA user_version").fetchall()
    return keeper.close


def migrate(path: Path, create: bool) -> None:
    """Create the tables if ``create`` is set, or migrate those of an earlier version.

    Raises ``RecordError`` if there are none and none may be created, or if they are not ours;
    ``StoreError`` if a newer version of this software made them. Nothing is changed then.
    """
    with connect(path, create) as connection:
        # In one statement: another process may be creating the tables at this moment.
        found, tables = connection.execute(
            "SELECT (SELECT user_version FROM pragma_user_version), "
            "(SELECT COUNT(*) FROM sqlite_master)"
        ).fetchone()
        if found == VERSION:
            return
        if not found and tables:
            raise RecordError("was made by another program")
        if not found and not create:
            raise RecordError("is empty")
        connection.execute("PRAGMA journal_mode = WAL")
    with transaction(path) as connection:
        found = _version(connection)  # again: another process may have been faster
        if found > VERSION:
            raise StoreError(
                f"The record of runs was made by a newer version of this software (its format is "
                f"{found}, this version knows {VERSION}). Update the software; nothing was changed."
            )
        for script in MIGRATIONS[found:]:
            # Not executescript, which would commit the transaction.
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def born(connection: sqlite3.Connection) -> float:
    """When the database was created, in seconds since 1970: older files must not be removed."""
    return float(connection.execute("SELECT MAX(born) FROM record").fetchone()[0])


def check(path: Path) -> None:
    """Raise ``RecordError`` if any part of the database is missing or damaged, and another
    ``StoreError`` if it cannot be used for other reasons."""
    migrate(path, create=False)
    with connect(path) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise RecordError("is damaged")
    keep_open(path)()


def _failure(error: sqlite3.Error, path: Path) -> StoreError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return StoreError(
            "The server's disk is full: nothing can be recorded. Free some space, then try again."
        )
    if name.startswith("SQLITE_IOERR"):  # with WAL even reading needs a little space
        return StoreError(
            "The record of runs cannot be read or written: the server's disk is full or failing. "
            "Free some space, then try again."
        )
    if name.startswith("SQLITE_CANTOPEN") and not path.exists():
        return RecordError("is missing")
    if name.startswith("SQLITE_CANTOPEN") and not path.is_file():
        return RecordError("is not a file")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(READ_ONLY)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError("The record of runs is busy. Try again in a moment.")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return RecordError("is damaged")
    if "no such table" in str(error) or "no such column" in str(error):
        return RecordError("is incomplete")
    return StoreError(
        "The record of runs cannot be used at the moment. See the server's log for details."
    )
