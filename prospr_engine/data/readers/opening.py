"""Open the data at a path or behind the token of an upload, by the row of their format."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prospr_engine.data import DATASETS
from prospr_engine.data.decode import is_image
from prospr_engine.data.readers import FORMATS, FormatSpec
from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError
from prospr_engine.format import either
from prospr_engine.io.file_type import WORDS, kind_of
from prospr_engine.io.tokens import display_name, is_token, locate

if TYPE_CHECKING:
    from prospr_engine.data.source import Source  # which brings torch

ARCHIVES = frozenset({"zip", "tar", "gzip", "bzip2", "xz", "zstandard", "rar", "7z"})


@contextmanager
def open_data(text: str) -> Iterator[tuple[str, Tree | Source]]:
    """A display name and the opened data for a path or token.

    Raises ``ConfigError`` if ``text`` looks like the misspelt name of a data set, or the upload
    is gone; ``DataError`` if there is nothing there, or nothing in a supported format.
    """
    if is_token(text):
        with open_uploaded(locate(text), display_name(text)) as opened:
            yield display_name(text), opened
        return
    path = _path(text)
    if not _exists(path):
        raise DataError(f"There is no file or folder {str(path)!r}. Check the path.")
    spec = _recognise(path, str(path), tuple(FORMATS.values()))
    name = path.resolve().name if spec.folder else path.name
    with spec.load()(path, name or str(path), False) as opened:
        yield name or str(path), opened


@contextmanager
def open_uploaded(path: Path, name: str) -> Iterator[Tree | Source]:
    """Open an uploaded file called ``name``, if its format may be uploaded."""
    with format_of_upload(path, name).load()(path, name, True) as opened:
        yield opened


def format_of_upload(path: Path, name: str) -> FormatSpec:
    """The format of an uploaded file called ``name``; raises ``DataError`` if it may not be
    uploaded."""
    uploads = tuple(spec for spec in FORMATS.values() if spec.uploads)
    return _recognise(path, name, uploads)


def _recognise(path: Path, name: str, specs: tuple[FormatSpec, ...]) -> FormatSpec:
    """The format of the data at ``path``; raises ``DataError`` if it is not one of ``specs``."""
    kind = "unknown"
    if path.is_dir():
        folders = [spec for spec in specs if spec.folder]
        if special := [spec for spec in folders if spec.holds and _holds(path, spec.holds)]:
            return special[0]
        if usual := [spec for spec in folders if not spec.holds]:
            return usual[0]
    elif path.is_file():  # reading a pipe would block
        try:
            with path.open("rb") as file:
                kind = kind_of(file)
        except OSError as error:
            raise DataError(f"{name} cannot be read ({error.strerror}).") from None
    if fitting := [spec for spec in specs if kind in spec.kinds]:
        named = [spec for spec in fitting if name.lower().endswith(spec.suffixes or ("\0",))]
        return (named or fitting)[0]
    remedy = (
        "Unpack it and make a zip of it, with a folder of images for each class."
        if kind in ARCHIVES
        else "Give one of these, with images of at least 2 classes."
    )
    nouns = dict.fromkeys(spec.noun for spec in specs)
    raise DataError(f"{name} is {WORDS[kind]}, not {either(nouns)}. {remedy}")


def _holds(folder: Path, suffix: str) -> bool:
    """Whether there are files with that suffix, and no image as far as one has to look."""
    found = False
    for _, _, files in os.walk(folder):
        for file in files:
            if is_image(file):
                return False
            found = found or file.lower().endswith(suffix)
    return found


def _path(text: str) -> Path:
    """``text`` as a path; raises ``ConfigError`` if it looks like a misspelt name."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # no user of that name
        path = path.expanduser()
    suffixes = tuple(suffix for spec in FORMATS.values() for suffix in spec.suffixes)
    looks_like_path = text.lower().endswith(suffixes) or {"/", os.sep} & {*text}
    if not text.strip() or not (looks_like_path or _exists(path)):
        DATASETS.find(text)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or no permission
        return False
