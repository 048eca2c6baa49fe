"""The files of a zip, read in place and never unpacked to the disk.

An archive may come from anybody, so one that looks made to do harm is refused as a whole.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prospr_engine.data.tree import MAX_FILES, Tree
from prospr_engine.errors import DataError

MAX_BYTES = 200 * 10**9  # unpacked, all together
MAX_FILE_BYTES = 500 * 10**6  # unpacked, one file
MAX_RATIO = 100  # unpacked to packed; images hardly shrink
SMALL = 200 * 10**6  # bytes below which the ratio does not matter
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
ENCRYPTED = 0x1
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@contextmanager
def zip_tree(path: Path) -> Iterator[Tree]:
    """The files of the zip at ``path``, open while the context lasts.

    Raises ``DataError`` if it is damaged, encrypted, nested, holds links or paths that lead out
    of it, or unpacks to far more than it is.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a zip file, or is damaged ({error}). Make the zip again, or give "
            "the folder itself."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    with archive:
        entries = {_name(entry): entry for entry in archive.infolist()}
        _check(path.name, entries)

        def open_entry(name: str) -> BinaryIO:
            try:
                return io.BytesIO(archive.read(entries[name]))
            except DAMAGE as error:
                raise OSError(f"it is damaged in the archive: {error}") from None

        yield Tree(
            path.name,
            tuple(name for name, entry in entries.items() if not _is_folder(entry)),
            tuple(name for name, entry in entries.items() if _is_folder(entry)),
            open_entry,
        )


def _name(entry: zipfile.ZipInfo) -> str:
    # Some programs on Windows write backslashes, against the standard.
    return entry.filename.replace("\\", "/").removesuffix("/")


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\"))


def _check(name: str, entries: dict[str, zipfile.ZipInfo]) -> None:
    infos: Sequence[zipfile.ZipInfo] = list(entries.values())
    if len(infos) > MAX_FILES:
        raise DataError(f"{name} holds more than {MAX_FILES:,} files; give a smaller archive.")
    for path, info in entries.items():
        if posixpath.isabs(path) or ".." in path.split("/") or path[1:2] == ":":
            raise DataError(
                f"{name} holds the path {info.filename!r}, which leads out of the archive. Make "
                "the zip again from the folder itself."
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(
                f"{name} holds a link ({path}). Make the zip again with the files themselves."
            )
        if info.flag_bits & ENCRYPTED:
            raise DataError(f"{name} is encrypted. Make the zip again without a password.")
        if path.lower().endswith(ARCHIVES) and not path.startswith("__MACOSX/"):
            raise DataError(
                f"{name} holds another archive ({path}). Unpack it, and make one zip of the class "
                "folders."
            )
        if info.file_size > MAX_FILE_BYTES:
            raise DataError(
                f"{path} in {name} unpacks to {info.file_size / 1e6:,.0f} MB, more than the "
                f"{MAX_FILE_BYTES / 1e6:,.0f} MB an image may take. Leave it out."
            )
    unpacked = sum(info.file_size for info in infos)
    packed = max(1, sum(info.compress_size for info in infos))
    if unpacked > MAX_BYTES or (unpacked > SMALL and unpacked > MAX_RATIO * packed):
        raise DataError(
            f"{name} unpacks from {packed / 1e6:,.1f} to {unpacked / 1e6:,.0f} MB, which no data "
            "set of images does; it is refused as a possible zip bomb. Give the folder itself."
        )
