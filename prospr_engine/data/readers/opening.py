"""The files that a path or the token of an upload names, whatever they lie in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prospr_engine.data import DATASETS
from prospr_engine.data.readers.folder import folder_tree
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.readers.zip import OWN, UPLOADED, zip_tree
from prospr_engine.errors import DataError
from prospr_engine.io.file_type import WORDS, kind_of
from prospr_engine.io.tokens import display_name, is_token, locate

ARCHIVES = frozenset({"tar", "gzip", "bzip2", "xz", "zstandard", "rar", "7z"})


@contextmanager
def open_tree(text: str) -> Iterator[Tree]:
    """The files of the folder or zip that a path or token names.

    Raises ``ConfigError`` if ``text`` looks like the misspelt name of a data set, or the upload
    is gone; ``DataError`` if there is nothing there, or something else.
    """
    if is_token(text):
        with open_zip(locate(text), display_name(text)) as tree:
            yield tree
        return
    path = _path(text)
    if not _exists(path):
        raise DataError(f"There is no file or folder {str(path)!r}. Check the path.")
    if path.is_dir():
        yield folder_tree(path)
    else:
        _check_kind(path, str(path), "neither a folder nor a zip")
        with zip_tree(path, path.name, OWN) as tree:
            yield tree


@contextmanager
def open_zip(path: Path, name: str) -> Iterator[Tree]:
    """The files of a zip that a stranger sent and calls ``name``."""
    _check_kind(path, name, "not a zip")
    with zip_tree(path, name, UPLOADED) as tree:
        yield tree


def _check_kind(path: Path, name: str, but: str) -> None:
    kind = "unknown"
    if path.is_file():  # a pipe would keep us waiting
        try:
            with path.open("rb") as file:
                kind = kind_of(file)
        except OSError as error:
            raise DataError(f"{name} cannot be read ({error.strerror}).") from None
    if kind != "zip":
        remedy = "Unpack it and make a zip of the folder" if kind in ARCHIVES else "Give one"
        raise DataError(
            f"{name} is {WORDS[kind]}, {but}. {remedy}, with a folder of images for each class."
        )


def _path(text: str) -> Path:
    """``text`` as a path; raises ``ConfigError`` if it looks like a misspelt name."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # nobody of that name has a home here
        path = path.expanduser()
    looks_like_path = text.lower().endswith(".zip") or {"/", os.sep} & {*text}
    if not text.strip() or not (looks_like_path or _exists(path)):
        DATASETS.find(text)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for this file system, or a folder one may not look into
        return False
