"""The columns of images and labels in a Parquet file, and checks of what they take."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from prospr_engine.data.label_columns import label_rank
from prospr_engine.data.paths import quoted
from prospr_engine.data.readers.parquet_pages import unpacked_bytes
from prospr_engine.data.readers.zip import ZipLimits
from prospr_engine.errors import DataError
from prospr_engine.format import listed, megabytes
from prospr_engine.guard import limits

MAGIC = b"PAR1"
LABELS_BYTES = limits.LABELS_BYTES.value
CONTAINERS = 1_000_000  # entries of a list in the summary
LABELS = 65_536  # labels unpacked at a time
LISTED = 2_000_000  # bytes of values that are repeated; usual programs write half of it
BUFFER = 1 << 20  # bytes read at a time
IMAGES = "image img picture photo pixels bytes content"
NO_LABEL = -1  # what Hugging Face writes for images to be classified


@dataclass(eq=False)
class Columns:
    """One file, the paths of its columns within it, and the names of its classes, if it says."""

    name: str
    file: Any  # pyarrow.parquet.ParquetFile
    image: str
    label: str
    classes: tuple[str, ...] = ()
    labels: list[str] = field(default_factory=list)
    """Of all rows; "" where there is none."""

    def group_bytes(self, group: int) -> int:
        """What the images of a row group take, by the summary of the file."""
        of_group = self.file.metadata.row_group(group)
        columns = (of_group.column(at) for at in range(of_group.num_columns))
        return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == self.image)


def open_columns(path: Path, name: str, bounds: ZipLimits, stack: ExitStack) -> Columns:
    """Open a file, after checking what it will take. Raises ``DataError``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as raw:
            _check_summary(raw, name, bounds)
        file = stack.enter_context(
            pq.ParquetFile(
                path,
                pre_buffer=False,
                buffer_size=BUFFER,
                thrift_string_size_limit=bounds.directory,
                thrift_container_size_limit=CONTAINERS,
            )
        )
        columns = _columns(file, name)
        _check_content(columns)
        paths = [one for one in (columns.image, columns.label) if one]
        with path.open("rb") as raw:
            repeating = _check_pages(raw, file.metadata, paths, columns, bounds)
        file = stack.enter_context(
            # Values that repeat stay numbers of a list: 100,000 times 1 MB take no more than one.
            pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER, read_dictionary=repeating)
        )
        columns.file = file
        if columns.label:
            columns.labels = _labels(columns)
        return columns
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read as Parquet ({first_line(error)}). Write the file again."
        ) from None


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _check_summary(raw: BinaryIO, name: str, bounds: ZipLimits) -> None:
    size = raw.seek(0, io.SEEK_END)
    raw.seek(max(0, size - 8))
    end = raw.read(8)
    if end[4:] == b"PARE":
        raise DataError(f"{name} is encrypted. Write it without encryption.")
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or length > size - 12:
        raise ValueError("it ends too early")
    if length > bounds.directory:
        raise DataError(f"The summary of {name} takes {megabytes(length)}; give a smaller file.")


def _check_pages(
    raw: BinaryIO,
    summary: Any,
    paths: Sequence[str],
    columns: Columns,
    bounds: ZipLimits,
) -> list[str]:
    """Refuse what would unpack to far more than images do. Returns the columns in which a few large
    values may be repeated many times."""
    name = columns.name
    if summary.num_rows > bounds.files:
        raise DataError(f"{name} has more than {bounds.files:,} rows; give fewer.")
    size = raw.seek(0, io.SEEK_END)
    rows = unpacked = 0
    # A label is repeated more often than an image in what is read at a time.
    repeating = {columns.label} if columns.label else set()
    for group in range(summary.num_row_groups):
        of_group = summary.row_group(group)
        rows += of_group.num_rows
        if not of_group.num_rows:
            continue
        for at in range(of_group.num_columns):
            column = of_group.column(at)
            if column.path_in_schema not in paths:
                continue
            if column.file_path:
                raise DataError(f"{name} refers to another file, which is not opened.")
            offsets = [column.data_page_offset]
            if column.has_dictionary_page and column.dictionary_page_offset:
                offsets.append(column.dictionary_page_offset)
            start, length = min(offsets), column.total_compressed_size
            if start < len(MAGIC) or length < 0 or start + length > size:
                raise ValueError("a column lies outside the file")
            most = LABELS_BYTES if column.path_in_schema == columns.label else bounds.total
            taken, listed = unpacked_bytes(raw, start, length, most)
            unpacked += taken
            if listed > LISTED:
                repeating.add(column.path_in_schema)
    if rows != summary.num_rows:
        raise ValueError("the numbers of rows contradict each other")
    if unpacked > bounds.total or (
        unpacked > limits.ZIP_RATIO_FROM.value and unpacked > limits.ZIP_RATIO.value * size
    ):
        raise DataError(
            f"{name} unpacks from {megabytes(size, 1)} to {megabytes(unpacked)}, far more than a "
            "data set of images would; it is refused as a possible zip bomb."
        )
    return sorted(repeating)


def _columns(file: Any, name: str) -> Columns:
    """The columns of images and labels. Raises ``DataError`` if there are no images."""
    import pyarrow.types as of

    schema = file.schema_arrow
    features = _features(schema.metadata or {})

    def is_bytes(kind: Any) -> bool:
        return bool(of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind))

    images = {
        one.name: f"{one.name}.bytes" if of.is_struct(one.type) else one.name
        for one in schema
        if is_bytes(one.type)
        or (
            of.is_struct(one.type)
            and one.type.get_field_index("bytes") >= 0
            and is_bytes(one.type.field("bytes").type)
        )
    }
    known = IMAGES.split()
    if not images:
        meant = next((one for one in schema if one.name.lower() in known), None)
        if meant is not None:
            raise _without_images(name, f"its column {meant.name!r} has {_in_words(meant.type)}")
        raise DataError(
            f"{name} has no column of images: its columns are {quoted(schema.names)}. It needs one "
            "of encoded images (bytes, or a struct with bytes), called image."
        )
    image = min(
        images, key=lambda one: known.index(one.lower()) if one.lower() in known else len(known)
    )
    labels = [
        one.name
        for one in schema
        if one.name not in images
        and (
            of.is_integer(one.type)
            or of.is_string(one.type)
            or of.is_large_string(one.type)
            or of.is_string_view(one.type)
            or of.is_boolean(one.type)
            or of.is_dictionary(one.type)
        )
    ]
    named = [one for one in labels if one in features] or labels
    label = min(named, key=label_rank, default="")
    if label and label not in features and label_rank(label) == float("inf"):
        label = ""
    others = [one for one in schema.names if one != image]
    if not label and others and "test" not in name.lower():
        raise DataError(
            f"{name} has no column of labels: besides the images it has {quoted(others)}. Rename "
            "the one with the classes to “label”; it has whole numbers or text."
        )
    return Columns(name, file, images[image], label, features.get(label, ()))


def _in_words(kind: Any) -> str:
    """What a column without images has instead."""
    import pyarrow.types as of

    if of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind):
        return "text, perhaps the paths of images"
    if of.is_struct(kind):
        return f"no bytes, only {listed(field.name for field in kind)}"
    nested = of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind)
    return "lists of numbers" if nested else f"values of the type {kind}"


def _check_content(columns: Columns) -> None:
    """Raise ``DataError`` if the summary says that no image is there: as when only the paths of
    image files were written."""
    summary = columns.file.metadata
    for group in range(summary.num_row_groups):
        of_group = summary.row_group(group)
        for at in range(of_group.num_columns):
            column = of_group.column(at)
            if column.path_in_schema == columns.image:
                known = column.statistics
                if not (known and known.has_null_count and known.null_count == of_group.num_rows):
                    return
    if summary.num_rows:
        field = columns.image.partition(".")[0]
        raise _without_images(columns.name, f"its column {field!r} is empty, or has only paths")


def _without_images(name: str, why: str) -> DataError:
    return DataError(
        f"There are no images in {name}: {why}. Write the content of each image file (PNG, JPEG) "
        "into the column, as bytes; or give the folder with the image files."
    )


def _features(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """By column: the names of the classes, as the library ``datasets`` writes them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            column: tuple(map(str, one["names"]))
            for column, one in features.items()
            if isinstance(one, dict) and one.get("_type") == "ClassLabel" and one.get("names")
        }
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _labels(columns: Columns) -> list[str]:
    found: list[str] = []
    for values in values_of(columns, columns.label, LABELS):
        found += [_label(value, columns.classes) for value in values]
    return found


def _label(value: Any, classes: Sequence[str]) -> str:
    if value is None or value == NO_LABEL:
        return ""
    if isinstance(value, int) and classes:
        return classes[value] if value < len(classes) else str(value)
    return str(int(value) if isinstance(value, bool) else value)


def values_of(
    columns: Columns, path: str, batch: int, groups: Sequence[int] | None = None
) -> Iterator[Iterator[Any]]:
    """The values of a column, some at a time. Raises ``OSError`` if the file is damaged."""
    import pyarrow as pa

    try:
        for rows in columns.file.iter_batches(
            batch, row_groups=groups, columns=[path], use_threads=False
        ):
            values = rows.column(0)
            if _is_struct(values):
                values = values.flatten()[values.type.get_field_index("bytes")]
            yield (value.as_py() for value in values)
    except pa.ArrowException as error:
        raise OSError(f"damaged: {first_line(error)}") from None


def _is_struct(values: Any) -> bool:
    import pyarrow.types as of

    return bool(of.is_struct(values.type))
