"""Files by relative path: what folders and zips have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from prospr_engine.guard import limits

MAX_FILES = limits.TREE_FILES.value  # a whole disk or a malicious archive has more


@dataclass(frozen=True)
class Tree:
    """``files`` and ``folders`` are relative paths with ``/`` as the separator.

    ``open`` opens one of ``files`` as a seekable binary stream, which the caller closes.
    """

    name: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    open: Callable[[str], BinaryIO]
    notes: tuple[str, ...] = ()
