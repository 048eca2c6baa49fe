"""Images taken out of a file that has no direct way to each of them, on the disk and not in memory.

The temporary file has no name, so nothing is left of it however the process ends.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from prospr_engine.errors import ResourceError
from prospr_engine.format import gigabytes

SPARE = 200_000_000  # bytes that are left free


class Spool:
    """Bytes by their place; threads may read at the same time."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._lock = threading.Lock()
        self._end = 0

    def reserve(self, bytes: int, name: str) -> None:
        """Raise ``ResourceError`` if the disk has no room for so many bytes of ``name``."""
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if bytes > free - SPARE:
            raise ResourceError(
                f"Unpacking {name} takes {gigabytes(bytes)} in {tempfile.gettempdir()}, where "
                f"{gigabytes(max(0, free - SPARE))} are free. Free some space, or set TMPDIR to a "
                "folder on another disk."
            )

    def add(self, content: bytes | memoryview) -> int:
        """Append ``content``, and return its place."""
        with self._lock:
            place = self._end
            self._file.seek(place)
            self._file.write(content)
            self._end += len(content)
            return place

    def read(self, place: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            return self._file.read(size)


@contextmanager
def spool(bytes: int, name: str) -> Iterator[Spool]:
    """A new one for so many ``bytes`` of ``name``; raises ``ResourceError`` if the disk has less
    room."""
    with tempfile.TemporaryFile(prefix="prospr-") as file:
        found = Spool(file)
        found.reserve(bytes, name)
        yield found
