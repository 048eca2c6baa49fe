"""The tables of the store, and the way from every earlier version of them to the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prospr_engine.errors import StoreError

PATIENCE = 10.0  # seconds to wait for another writer
READ_ONLY = (
    "This server cannot record runs at the moment (its folder is read-only). Whoever runs it can "
    "give it another one with PROSPR_RUNS."
)

# One script per version, never changed once released: a database remembers how many it has seen.
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
)
VERSION = len(MIGRATIONS)


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one short piece of work: safe between threads and processes.

    Raises ``StoreError`` in the place of whatever SQLite has to complain about.
    """
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            # What a power cut can undo is the last moment, never the file; WAL does the rest.
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(_sentence(error)) from error


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """All of what is written inside, or nothing."""
    with connect(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def keep_open(path: Path) -> Callable[[], None]:
    """Open a connection that is never used, and return what closes it.

    While one is open SQLite keeps its side files. Opening the first and closing the last one
    writes them anew each time, which a full disk would not allow even to read. Raises
    ``StoreError`` if the tables are not what they should be.
    """
    with connect(path) as connection:
        for table in ("runs", "events", "files", "uploads", "studies"):
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("PRAGMA user_version").fetchall()
    return keeper.close


def migrate(path: Path) -> None:
    """Make the tables, or bring those of an earlier version up to date.

    Raises ``StoreError`` if they are of a newer version than this software; nothing is changed
    then.
    """
    with connect(path) as connection:
        if _version(connection) == VERSION:
            return
        connection.execute("PRAGMA journal_mode = WAL")
    with transaction(path) as connection:
        found = _version(connection)  # again: another server may have been quicker
        if found > VERSION:
            raise StoreError(
                f"The record of runs was made by a newer version of this software (its format is "
                f"{found}, this version knows {VERSION}). Update the software; nothing was changed."
            )
        for script in MIGRATIONS[found:]:
            # Not executescript: it would commit what came before.
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


def _sentence(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return (
            "The server's disk is full: nothing can be recorded. Free some space, then try again."
        )
    if name.startswith("SQLITE_IOERR"):  # on a full disk even reading needs a little space (WAL)
        return (
            "The record of runs cannot be read or written: the server's disk is full or failing. "
            "Free some space, then try again."
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return READ_ONLY
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "The record of runs is busy. Try again in a moment."
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return (
            "The record of runs is damaged. Put runs.sqlite3 aside, or bring back a copy of it; "
            "files of finished runs are still in the folder beside it."
        )
    if "no such table" in str(error) or "no such column" in str(error):
        return (
            "The record of runs is not complete: it was made by something else. Put runs.sqlite3 "
            "aside, or give the server another folder (PROSPR_RUNS)."
        )
    return "The record of runs cannot be used at the moment. The server's log tells more."
