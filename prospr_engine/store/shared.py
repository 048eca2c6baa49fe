"""Clearing the folder in which runs leave what others can use: nothing there is missed for long,
it would only be computed again."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from prospr_engine.format import GIGA
from prospr_engine.store.cleanup import DAY
from prospr_engine.store.limits import Limits

UNUSED = DAY  # seconds since the last use (whoever uses a file sets its time)
LEFTOVER = 3600.0  # seconds after which half-written things are nobody's


def sweep(folder: Path, limits: Limits) -> None:
    """Remove what was not used for a day, and of the rest what was not used for longest until it
    is no more than ``shared_gigabytes``."""
    room, now = limits.shared_gigabytes * GIGA, time.time()
    for used, size, path in sorted(_files(folder), reverse=True):
        room -= size
        passing = path.name.startswith(".")
        if now - used > (LEFTOVER if passing else UNUSED) or (room < 0 and not passing):
            with contextlib.suppress(OSError):  # another process was quicker, or still reads it
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """When each was last used and how large it is."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # nobody has left anything yet
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
    return found
