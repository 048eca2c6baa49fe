"""Files by content: equal files of different runs are stored once."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from pathlib import Path

from prospr_engine.errors import DataError
from prospr_engine.io.files import digest_of, disk_error
from prospr_engine.store.records import Artifact

log = logging.getLogger(__name__)
GONE = "This file is no longer on the server."
CHANGED = (
    "This file was changed on the server after its run had written it, so it is not handed out. "
    "Start the run again: the same settings give the same files."
)

SETTLED = 3600.0  # seconds after which a file that no run refers to is not being written


class Artifacts:
    """The folder of all files; a file's name is the SHA-256 of its content."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._whole: dict[str, tuple[int, ...]] = {}

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

    def check(self, artifact: Artifact) -> None:
        """Raise ``DataError`` if the file is not there, or no longer what a run wrote. A file that
        was found to be whole is not read again before it changes. One that is not is deleted, so
        that the run can be computed again.
        """
        try:
            state = _state(artifact.path)
            if self._whole.get(artifact.digest) == state:
                return
            # Twice, because a file that is deleted should not just have been misread.
            if state[0] == artifact.bytes and artifact.digest in (
                digest_of(artifact.path) for _ in range(2)
            ):
                self._whole[artifact.digest] = state
                return
        except FileNotFoundError:
            raise DataError(GONE) from None
        except OSError as error:
            raise DataError(f"{artifact.name} cannot be read ({error.strerror}).") from None
        log.warning("%s was changed after its run had written it; it is deleted", artifact.path)
        self.remove(artifact.digest)
        raise DataError(CHANGED)

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


def _state(path: Path) -> tuple[int, ...]:
    """What changes whenever the content does; nobody can set the last of them."""
    status = path.stat()
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def written(folder: Path) -> list[Path]:
    """The files that a run wrote to its folder. Hidden ones are leftovers of libraries and file
    systems; a link might lead anywhere."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    )


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
