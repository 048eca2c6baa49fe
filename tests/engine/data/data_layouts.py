"""Data sets of given paths, as they are arranged."""

from __future__ import annotations

import io

from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import is_image
from prospr_engine.data.readers.tree import Tree


def arranged(*files: str, folders: tuple[str, ...] = (), notes: tuple[str, ...] = ()):
    return arrange(Tree("data", files, folders, lambda path: io.BytesIO(), notes), is_image)


def found(layout) -> dict[str, list[tuple[str, str]]]:
    """By part: (class, file)."""
    return {
        part: [(layout.classes[layout.labels[i]], layout.files[i]) for i in numbers]
        for part, numbers in layout.parts.items()
    }


def listing(text: str) -> list[str]:
    """Paths from lines of folders: two images in each, or none before a ``!``."""
    return [
        f"{folder}/{n}.png" for folder in text.split() for n in (1, 2) if not folder.endswith("!")
    ]
