"""Files by content: equal files of different runs are stored once."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path

from prospr_engine.io.files import disk_error

SETTLED = 3600.0  # seconds after which a file that no run refers to is not being written


class Artifacts:
    """The folder of all files; a file's name is the SHA-256 of its content."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, digest: str) -> Path:
        """The path of the file with that content, whether or not it exists."""
        return self.folder / digest[:2] / digest

    def take(self, source: Path, digest: str) -> None:
        """Store the content of the file ``source``, which has that digest. The file itself stays,
        so that this can be tried again until the database refers to the content.

        Raises ``ResourceError`` if it cannot be written.
        """
        target = self.path(digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                _link(source, target)
            os.utime(target)  # so that clean-up does not take it for a leftover
        except OSError as error:
            raise disk_error(Path(source.name), error) from None

    def remove(self, digest: str) -> None:
        """Delete a content that no run refers to any more."""
        with contextlib.suppress(OSError):
            self.path(digest).unlink()

    def any(self) -> bool:
        """Whether there is any file."""
        return next(self.folder.glob("??/*"), None) is not None

    def strays(self, known: set[str], since: float) -> set[str]:
        """Old contents, but from after ``since`` (seconds since 1970), that no run refers to: what
        a crash left behind."""
        old = time.time() - SETTLED
        return {
            path.name
            for path in self.folder.glob("??/*")
            if path.name not in known and since <= path.stat().st_mtime < old
        }


def _link(source: Path, target: Path) -> None:
    """Hard-link the file where the file system supports it, or else copy it atomically."""
    try:
        os.link(source, target)
    except OSError:
        part = target.with_name(f".{uuid.uuid4().hex}")
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
