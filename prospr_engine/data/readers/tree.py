"""Files by relative path: what folders and zips have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from prospr_engine.data.decode import OWN, Accepted
from prospr_engine.guard import limits

MAX_FILES = limits.TREE_FILES.value  # a whole disk or a malicious archive has more


@dataclass(frozen=True, eq=False)
class Layout:
    """``files`` sorted by path, ``labels`` (N,), and the indices of those in each part."""

    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray
    parts: dict[str, np.ndarray]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """``files`` and ``folders`` are relative paths with ``/`` as the separator.

    ``open`` opens one of ``files`` as a seekable binary stream, which the caller closes.
    ``layout`` is given by formats that say themselves which class and part an image belongs to;
    else it is found from folders and tables of labels.
    """

    name: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    open: Callable[[str], BinaryIO]
    notes: tuple[str, ...] = ()
    layout: Layout | None = None
    accepted: Accepted = OWN
    """Which of the files are decoded as images."""
