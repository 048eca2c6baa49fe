"""Arrays of NumPy within a zip: what their headers say, checked before anything is allocated."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prospr_engine.data.memory import available_bytes
from prospr_engine.data.readers.zip import DAMAGE
from prospr_engine.errors import DataError
from prospr_engine.format import megabytes

CHUNK = 8_000_000  # bytes read at a time
HEADER = 10_000  # characters
AXES = 8
KINDS = {"b": "bool", "u": "whole", "i": "whole", "f": "floating", "U": "text", "S": "text"}
"""What an array may consist of, by NumPy's letter."""
SHARE = 0.25  # of the free memory, for an array whose rows are not in a piece


@dataclass(frozen=True, eq=False)
class Array:
    """One array in ``archive``; ``start`` is where its values begin, in bytes."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    start: int

    @property
    def described(self) -> str:
        """``'x_train' (60,000 × 28 × 28, uint8)`` or ``'y' (40, text)``"""
        sizes = " × ".join(f"{size:,}" for size in self.shape) or "one value"
        kind = "text" if KINDS[self.dtype.kind] == "text" else self.dtype
        return f"{self.key!r} ({sizes}, {kind})"

    def chunks(self) -> Iterator[np.ndarray]:
        """The rows, some at a time. Raises ``DataError`` if the archive is damaged."""
        width = self.dtype.itemsize * math.prod(self.shape[1:])
        left = self.shape[0]
        try:
            with self.archive.open(self.info) as stream:
                stream.seek(self.start)
                if self.fortran and len(self.shape) > 1:
                    yield self._all(stream.read())
                    return
                while left:
                    rows = min(left, max(1, CHUNK // max(1, width)))
                    content = stream.read(rows * width)
                    if len(content) < rows * width:
                        raise EOFError("it ends too early")
                    yield np.frombuffer(content, self.dtype).reshape(rows, *self.shape[1:])
                    left -= rows
                if stream.read(1):
                    raise EOFError("it does not end where it should")
        except (*DAMAGE, OSError) as error:
            raise DataError(
                f"The array {self.key!r} is damaged ({error}). Save it again."
            ) from None

    def values(self, most: int) -> np.ndarray:
        """All values, if they take no more than ``most`` bytes; else raises ``DataError``."""
        if self.dtype.itemsize * math.prod(self.shape) > most:
            raise DataError(
                f"{self.described} takes more than {megabytes(most)}, too much for labels. "
                "Save the labels as whole numbers."
            )
        return np.concatenate([*self.chunks()] or [np.zeros(self.shape, self.dtype)])

    def _all(self, content: bytes) -> np.ndarray:
        """With the first axis running fastest, as NumPy saves what was transposed."""
        return np.frombuffer(content, self.dtype).reshape(self.shape, order="F")


def read_headers(archive: zipfile.ZipFile, name: str) -> dict[str, Array]:
    """The arrays in ``archive``, called ``name`` in messages, by their key.

    Raises ``DataError`` if an array consists of Python objects, which only a pickle could bring
    back, or if its size is not what its header says.
    """
    found: dict[str, Array] = {}
    for info in archive.infolist():
        if info.filename.lower().endswith(".npy"):
            array = _read_header(archive, info, name)
            found[array.key] = array
    return found


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Array:
    key = info.filename[:-4]
    try:
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise ValueError(f"version {version[0]}.{version[1]} of the format")
            shape, fortran, dtype = read(stream, max_header_size=HEADER)
            start = stream.tell()
    except (*DAMAGE, OSError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(
            f"The array {key!r} of {name} cannot be read ({error}). Save it again with np.savez."
        ) from None
    if dtype.kind not in KINDS:
        what = "Python objects, which are never unpickled" if dtype.hasobject else f"{dtype}"
        raise DataError(
            f"The array {key!r} of {name} consists of {what}. Save images as uint8 and labels as "
            "whole numbers or text, for example np.array(labels, dtype=str)."
        )
    array = Array(archive, info, key, tuple(map(int, shape)), dtype, bool(fortran), start)
    sizes = array.shape
    if len(sizes) > AXES or any(size < 0 for size in sizes):
        raise DataError(f"The array {array.described} of {name} has an impossible shape.")
    if dtype.itemsize * math.prod(sizes) != info.file_size - start:
        raise DataError(
            f"The array {array.described} of {name} has {info.file_size - start:,} bytes of "
            "values, not as many as its shape says. Save it again."
        )
    free = available_bytes()
    if fortran and len(sizes) > 1 and free is not None and info.file_size > SHARE * free:
        raise DataError(
            f"The array {array.described} of {name} is saved in Fortran order, which needs more "
            "memory than is free. Save np.ascontiguousarray of it."
        )
    return array
