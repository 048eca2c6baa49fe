"""The files of a folder, without following links out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prospr_engine.data.readers.tree import MAX_FILES, Tree
from prospr_engine.errors import DataError
from prospr_engine.format import counted


@contextmanager
def open_folder(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    """The target of the row: see ``FormatSpec``. Folders are never uploaded."""
    yield folder_tree(path)


def folder_tree(root: Path) -> Tree:
    """All regular files below ``root``; raises ``DataError`` if a folder cannot be read.

    A link to a file within ``root`` is a file; links to folders, outside ``root`` or to nothing
    are skipped and counted. So are pipes and devices, which would block a reader.
    """
    root = root.resolve()
    files: list[str] = []
    folders: list[str] = []
    links = special = 0
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink() and not _is_file_within(Path(entry.path), root):
                links += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
                waiting.append(path)
            elif entry.is_file():
                files.append(path)
            else:
                special += 1
        if len(files) > MAX_FILES:
            raise DataError(
                f"{root} contains more than {MAX_FILES:,} files; choose the folder of one data set."
            )
    notes = []
    if links:
        notes.append(
            f"Skipped: {counted(links, 'link')} to folders, to nothing or outside {root.name}."
        )
    if special:
        notes.append(f"Skipped: {counted(special, 'special file')} (pipes, devices).")

    def open_file(path: str) -> BinaryIO:
        return (root / path).open("rb")

    return Tree(root.name or str(root), tuple(files), tuple(folders), open_file, tuple(notes))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be read ({error.strerror}). Check that it exists and "
            "that you have permission to open it."
        ) from None


def _is_file_within(link: Path, root: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nothing, or to itself
        return False
    return target.is_file() and target.is_relative_to(root)
