"""Clean-up of the folder of files that runs share: a deleted one is simply computed again."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from prospr_engine.format import GIGA
from prospr_engine.store.cleanup import DAY
from prospr_engine.store.limits import Limits

UNUSED = DAY  # seconds since the last use, which sets a file's time
LEFTOVER = 3600.0  # seconds after which half-written files are abandoned


def sweep(folder: Path, limits: Limits, now: float | None) -> None:
    """Delete files not used for a day, unless ``now`` is None, and then the least recently used
    until the rest fit in ``shared_gigabytes``."""
    room = limits.shared_gigabytes * GIGA
    for used, size, path in sorted(_files(folder), reverse=True):
        room -= size
        temporary = path.name.startswith(".")
        old = now is not None and now - used > (LEFTOVER if temporary else UNUSED)
        if old or (room < 0 and not temporary):
            with contextlib.suppress(OSError):  # deleted by another process, or still in use
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """When each file was last used, and its size."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # nothing has been shared yet
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
    return found
