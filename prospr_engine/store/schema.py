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

RESCUE = (
    "Nothing was deleted. Whoever runs this server can stop it and put back a copy of "
    "runs.sqlite3, or rebuild the record from the files of finished runs: "
    "python -m prospr_engine runs --rebuild (with --store, if the runs are in another folder)."
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
    """
    CREATE TABLE record (born REAL NOT NULL);       -- files older than this are not its to remove
    -- Of an earlier version's record: before its first entry, whose files came a little earlier.
    INSERT INTO record SELECT COALESCE(
        (SELECT MIN(created) - 3600.0 FROM (SELECT created FROM runs
            UNION ALL SELECT created FROM studies UNION ALL SELECT created FROM uploads)),
        (julianday('now') - 2440587.5) * 86400.0);
    """,
)
VERSION = len(MIGRATIONS)


class RecordError(StoreError):
    """The record is missing, damaged or something else's; there may be files of runs beside it."""

    def __init__(self, state: str):
        super().__init__(f"The record of runs {state}. {RESCUE}")


@contextmanager
def connect(path: Path, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for one short piece of work: safe between threads and processes. There has to
    be a database, unless ``create`` says that an empty one may be made.

    Raises ``StoreError`` in the place of whatever SQLite has to complain about.
    """
    try:
        # A record that is gone must not come back as an empty one, as it would by default.
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            # What a power cut can undo is the last moment, never the file; WAL does the rest.
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _failure(error, path) from error


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
        for table in ("runs", "events", "files", "uploads", "studies", "record"):
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("PRAGMA user_version").fetchall()
    return keeper.close


def migrate(path: Path, create: bool) -> None:
    """Make the tables if ``create`` allows it, or bring those of an earlier version up to date.

    Raises ``RecordError`` if there are none and may be none, or if they are not ours;
    ``StoreError`` if they are of a newer version than this software. Nothing is changed then.
    """
    with connect(path, create) as connection:
        # In one statement: another process may be making the tables at this moment.
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


def born(connection: sqlite3.Connection) -> float:
    """When the record began, in seconds since 1970: what lies here for longer is not its to
    remove."""
    return float(connection.execute("SELECT MAX(born) FROM record").fetchone()[0])


def check(path: Path) -> None:
    """Raise ``RecordError`` if any part of the record is missing or damaged, and other
    ``StoreError``s if it cannot be used for other reasons."""
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
    if name.startswith("SQLITE_IOERR"):  # on a full disk even reading needs a little space (WAL)
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
        return RecordError("is not complete")
    return StoreError(
        "The record of runs cannot be used at the moment. The server's log tells more."
    )
