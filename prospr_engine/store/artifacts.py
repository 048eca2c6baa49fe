"""Files by content: what two runs have in common lies on the disk once."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path

from prospr_engine.io.files import disk_error

SETTLED = 3600.0  # seconds after which a file that no run names is nobody's in mid-work


class Artifacts:
    """The folder of all files; a file's name is the SHA-256 of its content."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the file of that content lies, if it is there."""
        return self.folder / digest[:2] / digest

    def take(self, source: Path, digest: str) -> None:
        """Keep the content of the file ``source``, whose digest is known. The file itself stays:
        until the record names the content, it is all there is to try again with.

        Raises ``ResourceError`` if the disk does not allow it.
        """
        target = self.path(digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                _link(source, target)
            os.utime(target)  # fresh again: no sweep may take it for a leftover
        except OSError as error:
            raise disk_error(Path(source.name), error) from None

    def remove(self, digest: str) -> None:
        """Forget a content that no run names any more."""
        with contextlib.suppress(OSError):
            self.path(digest).unlink()

    def any(self) -> bool:
        """Is any file here?"""
        return next(self.folder.glob("??/*"), None) is not None

    def strays(self, known: set[str], since: float) -> set[str]:
        """Contents that lie here for long, but came after ``since`` (seconds since 1970), and that
        nobody names: what a crash left behind."""
        old = time.time() - SETTLED
        return {
            path.name
            for path in self.folder.glob("??/*")
            if path.name not in known and since <= path.stat().st_mtime < old
        }


def _link(source: Path, target: Path) -> None:
    """A second name for the file where the disk knows such; else a copy, there all at once."""
    try:
        os.link(source, target)
    except OSError:
        part = target.with_name(f".{uuid.uuid4().hex}")
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
