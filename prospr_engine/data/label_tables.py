"""The class and part of every image file, from tables that name the files and their labels.

Such a table lies beside the images, in a folder or an archive: ``labels.csv`` and ``images/``, or
as competitions publish them, ``train.csv``, ``train/`` and a ``test/`` without labels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from prospr_engine.data import label_columns
from prospr_engine.data.label_columns import Columns
from prospr_engine.data.label_index import Index
from prospr_engine.data.labelled import layout_of
from prospr_engine.data.layout import left_out
from prospr_engine.data.leftovers import is_leftover
from prospr_engine.data.part_names import UNLABELLED, parts_among, says_part
from prospr_engine.data.paths import Path, natural, quoted, shortened, split
from prospr_engine.data.readers.csv_table import SUFFIXES, Table, read_table
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.errors import DataError
from prospr_engine.format import counted, listed
from prospr_engine.guard import limits

WHOLE = re.compile(r"-?\d+\.0+")


MOST_TABLES = 50
SHOWN = 3  # files in a note, including the "and n more"


@dataclass(frozen=True)
class Labelled:
    """The ``layout`` that tables give, and the number of the images that they label. ``sure``: the
    names of their columns say that they have labels."""

    layout: Layout
    sure: bool
    described: str

    @property
    def count(self) -> int:
        return len(self.layout.files)


def table_files(tree: Tree) -> list[str]:
    """The tables in ``tree`` that may have labels of its images, in their order; of very many, as
    where every image has a table of its own, those that lie the least deep."""
    found = [
        file
        for file in tree.files
        if file.lower().endswith(SUFFIXES)
        and not is_leftover(file)
        # What a competition wants sent in has made-up labels.
        and not says_part(PurePosixPath(file).stem, UNLABELLED)
    ]
    return sorted(sorted(found, key=lambda file: (file.count("/"), file))[:MOST_TABLES])


def by_tables(tree: Tree, images: Sequence[str], files: Sequence[str]) -> Labelled | None:
    """Arrange ``images`` of ``tree`` by the tables in ``files``; ``None`` if no table names any.

    Raises ``DataError`` if tables cannot be read, have no column of labels, label an image
    differently, or give fewer than two classes.
    """
    index = Index(images)
    parts = _parts_of_names(files)
    fitting = [one for file in files if (one := _fitting(tree, file, index, parts.get(file, "")))]
    if not fitting:
        return None
    problems: list[DataError] = []
    chosen: dict[str, Columns] = {}
    for file, table, column in fitting:
        try:
            chosen[file] = label_columns.choose(table, column)
        except DataError as error:
            problems.append(error)
    if not chosen:
        raise problems[0]
    chosen = _same_labels(chosen)
    if {"train", None} < {parts.get(file) for file in chosen}:  # the others are of something else
        chosen = {file: columns for file, columns in chosen.items() if file in parts}
    found = _Found()
    parts = parts if {*chosen} <= {*parts} else {}
    for file, columns in chosen.items():
        found.add(columns, index, split(file)[:-1], parts.get(file, ""))
    others = [file for file in tree.files if file not in chosen]
    visible = [file for file in others if not is_leftover(file)]
    described = listed([columns.described for columns in chosen.values()], SHOWN)
    notes = [f"The labels are those in {described}."]
    notes += [*tree.notes, *left_out(others, visible, images)]
    notes += [
        f"The encoding of {c.table.name} was recognised as {c.table.encoding}. If class names look "
        "wrong, save it as UTF-8."
        for c in chosen.values()
        if c.table.encoding
    ]
    layout = _arranged(tree.name, images, found, notes)
    return Labelled(layout, all(columns.sure for columns in chosen.values()), described)


def unfitting(tree: Tree, files: Sequence[str]) -> str:
    """Why no table of ``files`` could be used, for a message."""
    for file in files:
        table = _read(tree, file)
        if label_columns.has_labels(table):
            first = table.rows[0] if table.rows else ()
            cells = f", as in {listed(map(repr, first[:4]))}" if first else ""
            return (
                f"{table.name} names none of the images{cells}. Its file names must be those of "
                "the images."
            )
    return f"No column of {quoted(files)} names the images."


@dataclass
class _Found:
    """What the tables say of the images, by their number."""

    labels: dict[int, str] = field(default_factory=dict)
    parts: dict[int, str] = field(default_factory=dict)
    several: dict[int, set[str]] = field(default_factory=dict)
    """Images with more than one label."""
    missing: list[str] = field(default_factory=list)
    """Names without an image."""
    without: int = 0
    """Rows without a label."""

    def add(self, columns: Columns, index: Index, folder: Path, part: str) -> None:
        for row in columns.table.rows:
            if not row[columns.file]:
                continue
            number = index.find(row[columns.file], folder, part)
            if number is None:
                self.missing.append(row[columns.file])
            elif not (label := columns.label_of(row)):
                self.without += 1
            elif self.labels.setdefault(number, label) != label:
                self.several.setdefault(number, {self.labels[number]}).add(label)
            if number is not None:
                said = row[columns.part] if columns.part is not None else part
                self.parts.setdefault(number, said)


def _read(tree: Tree, file: str) -> Table:
    with tree.open(file) as stream:
        return read_table(stream.read(limits.LABELS_BYTES.value + 1), file)


def _fitting(tree: Tree, file: str, index: Index, part: str) -> tuple[str, Table, int] | None:
    """``file``, the table in it and its column of file names, if it has one."""

    def find(cell: str) -> int | None:
        return index.find(cell, split(file)[:-1], part)

    table = label_columns.with_header(_read(tree, file), find)
    column, count = label_columns.named_column(table, find)
    return (file, table, column) if count else None


def _same_labels(chosen: Mapping[str, Columns]) -> dict[str, Columns]:
    """Those with the same column of labels: the surest of these columns that labels the most, since
    a table of something else may name the images too."""
    groups: dict[tuple[str, ...], dict[str, Columns]] = defaultdict(dict)
    for file, columns in chosen.items():
        groups[columns.names][file] = columns

    def weight(group: Mapping[str, Columns]) -> tuple[bool, int]:
        first, *_ = group.values()
        names = {row[own.file] for own in group.values() for row in own.table.rows}
        return first.sure, len(names)

    return max(groups.values(), key=weight)


def _parts_of_names(files: Sequence[str]) -> dict[str, str]:
    """The part that the names of tables say: ``train.csv`` and ``test.csv``."""
    stems = {file: PurePosixPath(file).stem for file in files}
    found = parts_among(stems.values())
    parts = {file: found[stem] for file, stem in stems.items() if stem in found}
    return parts if len({*parts.values()}) > 1 else {}


def _arranged(name: str, images: Sequence[str], found: _Found, notes: list[str]) -> Layout:
    several = {number: own for number, own in found.several.items() if len(own) > 1}
    if several and 2 * len(several) >= len(found.labels):
        raise DataError(
            f"Most images of {name} have several labels ({_example(images, several)}). A run needs "
            "one class for each image."
        )
    labels = {n: label for n, label in sorted(found.labels.items()) if n not in several}
    notes += _gaps(images, found, several)
    parts = _parts(name, images, labels, found.parts, notes)
    labels = {number: label for number, label in labels.items() if number in parts}
    labels = _without_fractions(labels)
    return layout_of(
        name,
        [images[number] for number in labels],
        [*labels.values()],
        [parts[number] for number in labels],
        notes,
    )


def _gaps(images: Sequence[str], found: _Found, several: Mapping[int, set[str]]) -> Iterable[str]:
    if found.missing:
        count = counted(len(found.missing), "label")
        yield f"Skipped: {count} of files that are missing ({_some({*found.missing})})."
    if found.without:
        yield f"Skipped: {counted(found.without, 'row')} without a label."
    if unnamed := len(images) - len({*found.labels} | {*found.parts}):
        first = _some([image for n, image in enumerate(images) if n not in found.parts])
        yield f"Skipped: {counted(unnamed, 'image')} without a label ({first})."
    if several:
        yield (
            f"Skipped: {counted(len(several), 'image')} with several labels "
            f"({_example(images, several)})."
        )


def _some(files: Iterable[str]) -> str:
    return listed((repr(shortened(file)) for file in sorted(files, key=natural)), SHOWN)


def _example(images: Sequence[str], several: Mapping[int, set[str]]) -> str:
    number = min(several)
    return f"{images[number]!r}: {quoted(several[number])}"


def _parts(
    name: str,
    images: Sequence[str],
    labels: Mapping[int, str],
    said: Mapping[int, str],
    notes: list[str],
) -> dict[int, str]:
    """The part of each labelled image: as the tables say, or else the folders; else all are for
    training."""
    own = {number: said.get(number, "") for number in labels}
    if not any(own.values()):
        own = _parts_of_folders({number: split(images[number])[:-1] for number in labels})
    known = parts_among({*own.values()})
    if "train" not in known.values():
        return dict.fromkeys(labels, "train")
    parts = {
        number: known[one]
        for number, one in own.items()
        if one in known and known[one] != UNLABELLED
    }
    if blank := len(own) - len(parts):
        notes.append(f"Skipped: {counted(blank, 'image')} of no part.")
    return parts


def _parts_of_folders(folders: Mapping[int, Path]) -> dict[int, str]:
    """The first folders that are named like parts, for all images on the same level."""
    shallowest = min(map(len, folders.values()), default=0)
    for level in range(shallowest):
        names = {path[level] for path in folders.values()}
        found = parts_among(names)
        if {*found} == names and len({*found.values()}) > 1 and "train" in found.values():
            return {number: path[level] for number, path in folders.items()}
    return dict.fromkeys(folders, "")


def _without_fractions(labels: dict[int, str]) -> dict[int, str]:
    """Whole numbers as such: a table with gaps writes 3 as 3.0."""
    if labels and all(map(WHOLE.fullmatch, {*labels.values()})):
        return {number: label.partition(".")[0] for number, label in labels.items()}
    return labels
