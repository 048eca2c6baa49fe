"""Paths of files in a data set, as the names of their folders and of the file."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable

from prospr_engine.format import listed

SHOWN = 6  # names in a message, including the "and n more"
NAME_SHOWN = 60  # characters of a name in a message

Path = tuple[str, ...]


def split(path: str) -> Path:
    """A path with ``/``. Composed as NFC, since macOS writes ``é`` as two characters where others
    write one, and both are the same name."""
    if path.isascii():  # a million of them take a tenth of the time, and share the folders' names
        *folders, name = path.split("/")
        return (*map(sys.intern, folders), name)
    return tuple(unicodedata.normalize("NFC", printable(path)).split("/"))


def printable(path: str) -> str:
    """``path`` as text that any program takes: Linux allows any bytes in names, and Python keeps
    those that are not UTF-8 as lone surrogates."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_deep(images: Iterable[Path], least: int = 3) -> bool:
    """Whether most of ``images`` have ``least`` names in their paths: of two folders and a file."""
    depths = [len(path) >= least for path in images]
    return 2 * sum(depths) > len(depths)


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts ``image10`` after ``image9``, ignoring case."""
    key = []
    for piece in re.findall(r"[0-9]+|[^0-9]+", name.casefold()):
        # Compared by length, then as text: a file name may be a number too long for ``int``.
        digits = piece.lstrip("0") if piece[0] in "0123456789" else ""
        is_text = piece[0] not in "0123456789"
        key.append((is_text, len(digits), piece if is_text else digits))
    return key, name


def quoted(names: Iterable[str]) -> str:
    """Sorted, and no more than a reader can take in: ``'a', 'b' and 3 more``."""
    return listed((repr(shortened(name)) for name in sorted(names, key=natural)), SHOWN)


def shortened(name: str) -> str:
    """The name, or its beginning and its end."""
    half = NAME_SHOWN // 2
    return name if len(name) <= NAME_SHOWN else f"{name[:half]}…{name[-half:]}"
