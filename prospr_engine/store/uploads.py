"""Uploads: files by content, each owned by those who uploaded it.

Nothing here looks inside a file; the caller has checked it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row

from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.format import MEGA, counted, megabytes
from prospr_engine.io.files import digest_of, disk_error
from prospr_engine.io.tokens import token
from prospr_engine.store import clock
from prospr_engine.store.cleanup import DAY
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Upload
from prospr_engine.store.schema import born, connect, transaction

PASSING = ".part-"
CHUNK = 1 << 20  # bytes hashed and written at a time
LEFTOVER = 3600.0  # seconds after which a file without a row is abandoned


@dataclass(frozen=True)
class Part:
    """A received file that is not yet kept; ``digest`` is the SHA-256 of its content."""

    path: Path
    digest: str
    bytes: int


class Uploads:
    """The uploads of all visitors, in ``folder``."""

    def __init__(self, database: Path, folder: Path, limits: Limits):
        self._database, self.folder, self._limits = database, folder, limits

    @contextlib.contextmanager
    def receive(self, content: bytes | memoryview) -> Iterator[Part]:
        """``content`` as a new file in the folder, written and hashed in one pass. It is deleted
        when the block ends, unless ``keep`` took it. Raises ``ResourceError`` if the disk is
        full."""
        path, digest = self.folder / f"{PASSING}{uuid.uuid4().hex}", hashlib.sha256()
        try:
            try:
                self.folder.mkdir(exist_ok=True)
                with path.open("xb") as file:
                    for start in range(0, len(content), CHUNK):
                        chunk = content[start : start + CHUNK]
                        digest.update(chunk)
                        file.write(chunk)
            except OSError as error:
                raise disk_error(Path("the uploaded file"), error) from None
            yield Part(path, digest.hexdigest(), len(content))
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def rewritten(self, write: Callable[[Path], object]) -> Iterator[Part]:
        """What ``write`` writes to a path in the folder, as ``receive`` gives it."""
        path = self.folder / f"{PASSING}{uuid.uuid4().hex}"
        try:
            write(path)
            yield Part(path, digest_of(path), path.stat().st_size)
        finally:
            path.unlink(missing_ok=True)

    def keep(
        self, part: Part, owner: str, kind: str, name: str, suffix: str, origin: str = ""
    ) -> Upload:
        """Keep a received file for its owner; the same content again is the same file. ``origin``
        stands for the owner's address (see ``origins``).

        Raises ``ResourceError`` if the owner, or visitors from there, have too many files or too
        large ones, or if the disk is full.
        """
        named, path = token(part.digest, name), self._path(part.digest, suffix)
        with transaction(self._database) as c:
            others = c.execute(
                "SELECT COUNT(*) FROM uploads WHERE owner = ? AND token <> ?", (owner, named)
            ).fetchone()[0]
            if others >= self._limits.uploads_per_visitor:
                raise ResourceError(
                    f"You already have {others} files, which is the limit; delete one first."
                )
            self._check_origin(c, part, origin)
            try:
                part.path.replace(path)
            except OSError as error:
                raise disk_error(Path("the uploaded file"), error) from None
            c.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (owner, named, kind, name, part.digest, suffix, part.bytes, _used(c), origin),
            )
            row = c.execute(
                "SELECT * FROM uploads WHERE owner = ? AND token = ?", (owner, named)
            ).fetchone()
        return self._upload(row)

    def find(self, owner: str, named: str) -> Upload | None:
        """The owner's upload of that token, if it and its file exist."""
        with connect(self._database) as c:
            row = c.execute(
                "SELECT * FROM uploads WHERE owner = ? AND token = ?", (owner, named)
            ).fetchone()
        found = self._upload(row) if row else None
        return found if found and found.path.is_file() else None

    def of(self, owner: str, kind: str) -> list[Upload]:
        """The owner's uploads of a kind, newest first."""
        with connect(self._database) as c:
            rows = c.execute(
                "SELECT * FROM uploads WHERE owner = ? AND kind = ? ORDER BY created DESC",
                (owner, kind),
            ).fetchall()
        return [upload for upload in map(self._upload, rows) if upload.path.is_file()]

    def remove(self, owner: str, named: str) -> None:
        """Delete an upload. Raises ``StoreError`` if a queued or running run needs it."""
        with transaction(self._database) as c:
            if _needed(c.execute(LIVE).fetchall(), named):
                raise StoreError(
                    "A run that is waiting or in progress needs this file; stop the run or wait."
                )
            c.execute("DELETE FROM uploads WHERE owner = ? AND token = ?", (owner, named))
        self._drop_unnamed(0.0)

    def renew(self, c: sqlite3.Connection, named: str) -> None:
        """Mark an upload as used now, so that its time limit starts again."""
        c.execute("UPDATE uploads SET created = ? WHERE token = ?", (_used(c), named))

    def sweep(self, now: float) -> None:
        """Delete uploads beyond the time limit that no queued or running run needs."""
        old = now - self._limits.keep_days * DAY
        with transaction(self._database) as c:
            live = c.execute(LIVE).fetchall()
            for row in c.execute("SELECT * FROM uploads WHERE created < ?", (old,)).fetchall():
                if not _needed(live, row["token"]):
                    c.execute(
                        "DELETE FROM uploads WHERE owner = ? AND token = ?",
                        (row["owner"], row["token"]),
                    )
        self._drop_unnamed(LEFTOVER)

    def _check_origin(self, c: sqlite3.Connection, part: Part, origin: str) -> None:
        """Raise ``ResourceError`` if visitors from there may keep no more. Equal files, as of a
        class that tries the same images, count once."""
        row = c.execute(
            "SELECT COUNT(*) AS files, COALESCE(SUM(bytes), 0) AS bytes FROM "
            "(SELECT DISTINCT digest, bytes FROM uploads WHERE origin = ? AND digest <> ?)",
            (origin, part.digest),
        ).fetchone()
        files, size = row["files"], row["bytes"]
        most = round(MEGA * self._limits.upload_megabytes_per_address)
        full = files >= self._limits.uploads_per_address or size + part.bytes > most
        if origin and full:
            raise ResourceError(
                f"Visitors from your network (your IP address) keep {counted(files, 'file')} of "
                f"{megabytes(size)} here; the limits are {self._limits.uploads_per_address:,} and "
                f"{megabytes(most)}. Remove files that you no longer need, or try again later."
            )

    def _drop_unnamed(self, age: float) -> None:
        with transaction(self._database) as c:
            rows = c.execute("SELECT digest, suffix FROM uploads").fetchall()
            known = {self._path(row["digest"], row["suffix"]) for row in rows}
            since = born(c)
            for path in set(self.folder.glob("*")) - known:
                least = LEFTOVER if path.name.startswith(PASSING) else age
                with contextlib.suppress(FileNotFoundError):
                    if since <= path.stat().st_mtime <= time.time() - least:
                        path.unlink()

    def _path(self, digest: str, suffix: str) -> Path:
        return self.folder / f"{digest}{suffix}"

    def _upload(self, row: Row) -> Upload:
        return Upload(
            token=row["token"],
            name=row["name"],
            kind=row["kind"],
            owner=row["owner"],
            digest=row["digest"],
            bytes=row["bytes"],
            created=row["created"],
            path=self._path(row["digest"], row["suffix"]),
        )


def _used(c: sqlite3.Connection) -> float:
    """When an upload that is used now was last used, as far as the clock can be believed."""
    return clock.kept_from(c) or time.time()


LIVE = "SELECT settings FROM runs WHERE state IN ('queued', 'running')"


def _needed(live: list[Row], named: str) -> bool:
    return any(json.dumps(named) in row["settings"] for row in live)
