"""The files of a zip, read in place and never unpacked to disk.

An archive may come from anyone, so one that looks malicious is refused as a whole.
"""

from __future__ import annotations

import io
import lzma
import os
import posixpath
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from prospr_engine.data import decode
from prospr_engine.data.readers.tree import MAX_FILES, Tree
from prospr_engine.data.readers.zip_names import Names, read_names
from prospr_engine.errors import DataError
from prospr_engine.format import counted, megabytes
from prospr_engine.guard import limits as bounds


@dataclass(frozen=True)
class ZipLimits:
    """Sizes in bytes; ``total`` and ``file`` unpacked, ``directory`` the list of files itself."""

    files: int
    total: int
    file: int
    directory: int
    methods: tuple[int, ...]
    images: decode.Accepted


OWN = ZipLimits(
    files=MAX_FILES,
    total=bounds.ZIP_BYTES.value,
    file=bounds.ZIP_FILE_BYTES.value,
    directory=bounds.ZIP_DIRECTORY.value,
    methods=(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA),
    images=decode.OWN,
)
"""For an archive on the user's own machine."""
UPLOADED = ZipLimits(
    files=bounds.UPLOADED_ZIP_FILES.value,
    total=bounds.UPLOADED_ZIP_BYTES.value,
    file=bounds.UPLOADED_ZIP_FILE_BYTES.value,
    directory=bounds.UPLOADED_ZIP_DIRECTORY.value,
    # LZMA lets the archive decide how much memory unpacking takes.
    methods=(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
    images=decode.UPLOADED,
)
"""For an uploaded archive."""
MAX_RATIO = bounds.ZIP_RATIO.value
SMALL = bounds.ZIP_RATIO_FROM.value
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
ENCRYPTED = 0x1
NEVER = (1980, 1, 1, 0, 0, 0)
LONGEST = bounds.ZIP_PATH.value  # characters of a path
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)  # some change the direction of the text around them
SUSPECT = re.compile(rf"{UNPRINTABLE.pattern}|\\|\.\.|^/|^.:")
"""What the path of hardly any image has: only such paths are looked at closely."""
MAC_ICON = "Icon\r"
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)


@contextmanager
def open_zip(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    """The target of the row: see ``FormatSpec``."""
    with zip_tree(path, name, UPLOADED if uploaded else OWN) as tree:
        if tree.files and all(file.endswith(".npy") for file in tree.files):
            raise DataError(
                f"{name} contains arrays of NumPy and no image files. If it is what np.savez "
                "wrote, let its name end in .npz."
            )
        yield tree


@contextmanager
def zip_tree(path: Path, name: str, limits: ZipLimits = OWN) -> Iterator[Tree]:
    """The files of the zip at ``path``, open while the context lasts; messages call it ``name``.

    Of several entries with the same path the last counts, as in unpacking. Names that do not say
    how they are encoded are decoded by ``zip_names``. Raises ``DataError`` as ``checked_zip`` does.
    """
    with checked_zip(path, name, limits) as (archive, paths, names):
        infos = archive.infolist()
        folders = {_plain(own): None for own in paths if own.endswith("/")}
        files = [
            (_plain(own), info) for own, info in zip(paths, infos, strict=True) if own[-1:] != "/"
        ]
        entries = dict(files)

        def open_entry(name: str) -> BinaryIO:
            try:
                return io.BytesIO(archive.read(entries[name]))
            except DAMAGE as error:
                raise OSError(f"damaged in the archive: {error}") from None

        notes = [_encoding_note(names)] if names.guessed else []
        if twice := len(files) - len(entries):
            notes.append(f"Skipped: {counted(twice, 'file')} replaced by a later one.")
        yield Tree(
            name,
            tuple(entries),
            tuple(filter(None, folders)),
            open_entry,
            tuple(notes),
            accepted=limits.images,
        )


@contextmanager
def checked_zip(
    path: Path, name: str, limits: ZipLimits
) -> Iterator[tuple[zipfile.ZipFile, list[str], Names]]:
    """The zip at ``path``, the paths of its entries, and how they were decoded.

    Raises ``DataError`` if the zip is damaged, encrypted or nested, contains links or paths that
    point outside it, or unpacks to far more than its size.
    """
    with _opened(path, name, limits) as archive:
        infos = archive.infolist()
        _check_sizes(name, infos, path.stat().st_size, limits)
        names = read_names(infos)
        paths = _separated(name, names)
        for info, own in zip(infos, paths, strict=True):
            _check_entry(name, own, info, limits)
        yield archive, paths, names


@contextmanager
def _opened(path: Path, name: str, limits: ZipLimits) -> Iterator[zipfile.ZipFile]:
    try:
        file = _Guarded(io.FileIO(path), limits.directory)
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}).") from None
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except _TooLongError:
            raise _too_many(name, limits) from None
        except UnicodeDecodeError:
            raise DataError(
                f"{name} declares its file names to be UTF-8, but they are not. Create the zip "
                "again with another program."
            ) from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataError(
                f"{name} is not a zip file, or is damaged ({error}). Create the zip again."
            ) from None
        except OSError as error:
            raise DataError(f"{name} cannot be read ({error.strerror}).") from None
        file.most = None
        for info in archive.filelist:
            # Nobody asks for it, and a tuple for each of a million files takes 100 MB.
            info.date_time = NEVER
        with archive:
            yield archive


class _TooLongError(Exception):
    pass


class _Guarded(io.BufferedReader):
    """While ``most`` is set, refuses to read more than that at once: zipfile reads the list of
    files in one piece and creates objects for it before they can be counted."""

    def __init__(self, raw: io.FileIO, most: int | None):
        super().__init__(raw)
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None:
            rest = os.fstat(self.fileno()).st_size - self.tell()
            if self.most < (rest if size is None or size < 0 else size):
                raise _TooLongError
        return super().read(size)


def _separated(name: str, names: Names) -> list[str]:
    """The paths with ``/`` as the separator. Some programs on Windows write backslashes, against
    the standard; beside slashes, a backslash is part of a name."""
    if any("/" in path for path in names.paths):
        return [*names.paths]
    if not names.separable:
        raise DataError(
            f"{name} does not say how its file names are encoded, and separates folders with "
            "backslashes, which may be part of a character; so its folders are not certain. "
            "Create the zip again with a program that writes UTF-8 names, such as 7-Zip."
        )
    return [path.replace("\\", "/") for path in names.paths]


def _plain(path: str) -> str:
    """``./a//1.png`` is ``a/1.png``."""
    if "//" not in path and "./" not in path and path[-1:] not in ("/", ".") and path[:1] != "/":
        return path
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _encoding_note(names: Names) -> str:
    if not names.label:
        read = "could not be recognised, so class names may look wrong"
    elif names.sure:
        read = f"was recognised as {names.label}"
    else:
        read = f"is probably {names.label}"
    return (
        f"The zip does not say how its file names are encoded; the encoding {read}. If class names "
        "look wrong, create the zip again with UTF-8 names."
    )


def _check_sizes(name: str, infos: list[zipfile.ZipInfo], size: int, limits: ZipLimits) -> None:
    if len(infos) > limits.files:
        raise _too_many(name, limits)
    unpacked = sum(info.file_size for info in infos)
    # Entries may share bytes, and then claim more of them than the file has.
    packed = max(1, min(size, sum(info.compress_size for info in infos)))
    if unpacked > limits.total or (unpacked > SMALL and unpacked > MAX_RATIO * packed):
        raise DataError(
            f"{name} unpacks from {megabytes(packed, 1)} to {megabytes(unpacked)}, far more than "
            "a data set of images would; it is refused as a possible zip bomb. Give smaller or "
            "fewer images."
        )


def _check_entry(name: str, path: str, info: zipfile.ZipInfo, limits: ZipLimits) -> None:
    path = path.removesuffix("/")
    if not (len(path) > LONGEST or SUSPECT.search(path)):
        return _check_kind(name, path, info, limits)
    if len(path) > LONGEST or UNPRINTABLE.search(path.removesuffix(MAC_ICON)):
        raise DataError(
            f"{name} contains the file name {path[:40]!r}, which is too long or has unprintable "
            "characters. Rename the file and create the zip again."
        )
    slashed = path.replace("\\", "/")  # in case the zip has both
    if posixpath.isabs(slashed) or ".." in slashed.split("/") or path[1:2] == ":":
        raise DataError(
            f"{name} contains the path {path!r}, which points outside the archive. "
            "Create the zip again from the folder itself."
        )
    return _check_kind(name, path, info, limits)


def _check_kind(name: str, path: str, info: zipfile.ZipInfo, limits: ZipLimits) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(
            f"{name} contains a link ({path}). Create the zip again with the files themselves."
        )
    if info.flag_bits & ENCRYPTED:
        raise DataError(f"{name} is encrypted. Create the zip again without a password.")
    if path.lower().endswith(ARCHIVES) and not path.startswith("__MACOSX/"):
        raise DataError(
            f"{name} contains another archive ({path}). Unpack it, and create a single zip of the "
            "class folders."
        )
    if info.file_size > limits.file:
        raise DataError(
            f"{path} in {name} unpacks to {megabytes(info.file_size)}, above the limit of "
            f"{megabytes(limits.file)} per image. Leave it out."
        )
    if info.compress_type not in limits.methods:
        raise DataError(
            f"{name} uses an unsupported compression method ({info.compress_type}). Create the "
            "zip again with the usual compression (Deflate)."
        )


def _too_many(name: str, limits: ZipLimits) -> DataError:
    return DataError(f"{name} contains more than {limits.files:,} files; give a smaller archive.")
