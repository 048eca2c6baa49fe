"""What a zip archive is for, judged by the names in its directory; nothing is unpacked."""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO

END = b"PK\x05\x06"
ENTRY = b"PK\x01\x02"
TAIL = 22 + 65_535
"""Bytes at the end in which the directory is announced (APPNOTE 4.3.16)."""
LARGEST = 4_000_000
"""Bytes of a directory; those of models are far smaller, only archives of images have larger."""

PROGRAMS: tuple[tuple[str, str], ...] = (
    (r"[^/]+/(?:code/.*|constants\.pkl)", "torchscript"),
    (r"[^/]+/\.data/(?:extern_modules|python_version)", "torch-package"),
    (r"(?:[^/]+/)?(?:archive_format|serialized_exported_program\.json)", "pt2"),
    (r"(?:[^/]+/)?data\.pkl", "torch"),
    (r"(?:.*/)?saved_model\.pb(?:txt)?", "savedmodel"),
    (r"(?:[^/]+/)?model\.weights\.h5", "keras"),
)
"""Names that only one kind of file has; the first that occurs decides."""


def kind_of_zip(file: BinaryIO) -> str | None:
    """The kind of model in the archive, a key of ``file_type.WORDS``; None for other archives."""
    names = _names(file)
    for pattern, kind in PROGRAMS:
        if any(re.fullmatch(pattern, name, re.DOTALL) for name in names):
            return kind
    return None


def _names(file: BinaryIO) -> list[str]:
    """The names in the directory; none if it is damaged or large."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    tail = file.read(TAIL)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        return []
    length, start = struct.unpack_from("<II", tail, at + 12)
    if length > LARGEST or start + length > size:
        return []
    file.seek(start)
    directory, names, place = file.read(length), [], 0
    while directory.startswith(ENTRY, place) and len(directory) >= place + 46:
        parts = struct.unpack_from("<HHH", directory, place + 28)
        name = directory[place + 46 : place + 46 + parts[0]]
        names.append(name.decode("utf-8", "replace").replace("\\", "/"))
        place += 46 + sum(parts)
    return names
