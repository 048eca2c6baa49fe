"""Images in Parquet files as Hugging Face writes them: a column of encoded images, and one of
labels. A data set may be several files, one or more for each part."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from prospr_engine.data.labelled import layout_of
from prospr_engine.data.part_names import UNLABELLED, parts_among
from prospr_engine.data.readers.parquet_columns import Columns, open_columns, values_of
from prospr_engine.data.readers.spool import Spool, spool
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.readers.zip import OWN, UPLOADED, ZipLimits
from prospr_engine.errors import CrashError, DataError
from prospr_engine.format import counted, megabytes
from prospr_engine.guard import limits, sandbox

SUFFIX = ".parquet"
READ_THROUGH = "prospr_engine.data.readers.parquet:read_through"
OWN_MEMORY = 16 * 10**9  # bytes for the process that first reads the user's own files
OWN_SECONDS = 600  # of processor time for that
BATCH = 64  # images unpacked at a time
PORTION = re.compile(r"[-_.]?\d+(-of-\d+)?$")


@contextmanager
def open_parquet(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    """The target of the row for a single file: see ``FormatSpec``."""
    with _tree([(name, path)], name, uploaded) as tree:
        yield tree


@contextmanager
def open_parquet_folder(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    """The target of the row for folders, which are never uploaded."""
    files = sorted(one for one in path.rglob(f"*{SUFFIX}") if one.is_file())
    named = [(one.relative_to(path).as_posix(), one) for one in files]
    with _tree(named, name, False) as tree:
        yield tree


def _try_out(files: Sequence[tuple[str, Path]], name: str, uploaded: bool) -> None:
    """Read files in a process of its own first: some damage ends the process in which pyarrow meets
    it. Raises ``DataError`` for such a file, ``ResourceError`` if the limits do not suffice."""
    try:
        sandbox.call(
            READ_THROUGH,
            {"files": [(own, str(path)) for own, path in files], "uploaded": uploaded},
            name,
            limits.PARQUET_MEMORY.value if uploaded else OWN_MEMORY,
            limits.PARQUET_SECONDS.value if uploaded else OWN_SECONDS,
        )
    except CrashError:
        if len(files) == 1:
            raise DataError(
                f"{files[0][0]} cannot be read as Parquet: it is damaged in a way that crashes the "
                "program that reads it, or memory is missing. Write the file again."
            ) from None
        half = len(files) // 2  # to find the file
        _try_out(files[:half], name, uploaded)
        _try_out(files[half:], name, uploaded)


def read_through(files: Sequence[tuple[str, str]], uploaded: bool) -> None:
    """Read files, given by name and path, as far as ``_tree`` does, and the images of uploaded
    ones. Made to be called in a ``guard.sandbox``. Raises ``DataError``."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())  # others reserve much more than they use
    for name, path in files:
        with ExitStack() as stack:
            columns = open_columns(Path(path), name, UPLOADED if uploaded else OWN, stack)
            try:
                for values in values_of(columns, columns.image, BATCH) if uploaded else ():
                    for _ in values:
                        pass
            except OSError as error:
                raise DataError(f"{name} is {error}. Write the file again.") from None


@contextmanager
def _tree(files: Sequence[tuple[str, Path]], name: str, uploaded: bool) -> Iterator[Tree]:
    bounds = UPLOADED if uploaded else OWN
    parts = _parts([own for own, _ in files])
    notes = [f"Skipped: {own}, which is of no part." for own, _ in files if own not in parts]
    chosen = [(own, path) for own, path in files if own in parts]
    _try_out(chosen, name, uploaded)
    with ExitStack() as stack:
        opened = []
        for own, path in chosen:
            columns = open_columns(path, own, bounds, stack)
            if columns.label:
                opened.append(columns)
            else:
                notes.append(f"Skipped: {own}, which has no labels.")
        kept = stack.enter_context(spool(0, name))
        images = _Images(opened, kept, bounds, name)
        names: list[str] = []
        labels: list[str] = []
        said: list[str] = []
        blank = 0
        for number, columns in enumerate(opened):
            for row, label in enumerate(columns.labels):
                if label:
                    names.append(f"{columns.name}/{row:07}")
                    images.rows[names[-1]] = number, row
                    labels.append(label)
                    said.append(parts[columns.name])
                else:
                    blank += 1
        if len(names) > bounds.files:
            raise DataError(f"{name} has more than {bounds.files:,} images; give fewer.")
        if blank:
            notes.append(f"Skipped: {counted(blank, 'image')} without a label.")
        order = next((columns.classes for columns in opened if columns.classes), ())
        layout = layout_of(name, names, labels, said, notes, order)
        yield Tree(name, layout.files, (), images.open, layout.notes, layout, bounds.images)


class _Images:
    """The encoded images, of which those of a row group are taken out when one is needed."""

    def __init__(self, files: Sequence[Columns], kept: Spool, bounds: ZipLimits, name: str):
        self.files = files
        self.kept = kept
        self.bounds = bounds
        self.name = name
        self.rows: dict[str, tuple[int, int]] = {}
        """By name of an image: the number of its file, and its row."""
        self._places: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._known: dict[bytes, tuple[int, int]] = {}
        self._taken: dict[tuple[int, int], str] = {}
        """By number of a file and a row group that was taken out: why that failed, or ""."""
        self._lock = threading.Lock()
        self._starts = [self._group_starts(columns) for columns in files]

    def open(self, name: str) -> BinaryIO:
        """Raises ``OSError`` if there is no such image in the file after all."""
        file, row = self.rows[name]
        starts = self._starts[file]
        group = max(n for n, start in enumerate(starts) if start <= row)
        with self._lock:
            if (file, group) not in self._taken:
                try:
                    self._take(file, group, starts[group])
                    self._taken[file, group] = ""
                except OSError as error:
                    self._taken[file, group] = str(error)
        if self._taken[file, group]:
            raise OSError(self._taken[file, group])
        found = self._places.get((file, row))
        if found is None:
            raise OSError("the file has no bytes of it, perhaps only its path")
        return io.BytesIO(self.kept.read(*found))

    @staticmethod
    def _group_starts(columns: Columns) -> list[int]:
        summary = columns.file.metadata
        starts = [0]
        for group in range(summary.num_row_groups - 1):
            starts.append(starts[-1] + summary.row_group(group).num_rows)
        return starts

    def _take(self, file: int, group: int, row: int) -> None:
        """Images that occur several times are kept once, so that a small file stays small."""
        columns = self.files[file]
        self.kept.reserve(columns.group_bytes(group), self.name)
        for values in values_of(columns, columns.image, BATCH, [group]):
            for value in values:
                if value is not None:
                    if len(value) > self.bounds.file:
                        raise DataError(
                            f"An image of {columns.name} takes {megabytes(len(value))}, above the "
                            f"limit of {megabytes(self.bounds.file)} per image. Leave it out."
                        )
                    key = hashlib.blake2b(value, digest_size=16).digest()
                    if key not in self._known:
                        self._known[key] = self.kept.add(value), len(value)
                    self._places[file, row] = self._known[key]
                row += 1


def _parts(names: Sequence[str]) -> dict[str, str]:
    """The part of each file, as its name or that of a folder around it says: the files
    ``train-00000-of-00002.parquet`` and ``test/0000.parquet``. All are for training if none
    says."""
    paths = {
        name: (
            *PurePosixPath(name).parts[:-1],
            PORTION.sub("", PurePosixPath(name).stem),
        )
        for name in names
    }
    for level in range(-1, -1 - min(map(len, paths.values()), default=0), -1):
        found = parts_among({path[level] for path in paths.values()})
        if "train" in found.values():
            return {
                name: found[path[level]]
                for name, path in paths.items()
                if found.get(path[level], UNLABELLED) != UNLABELLED
            }
    return dict.fromkeys(names, "train")
