"""Every limit on what visitors send and on what the server keeps, in one table.

Modules read their limits from here. Every row can be set in the environment of the server and its
workers, by ``PROSPR_`` and its name in capitals. What a store accepts and keeps is read when the
store is opened (``store/limits.py``), the others when this module is imported.
``python -m prospr_engine.guard.limits`` prints the table of variables in the README, and with
``--all`` the tables of ``docs/limits.md``.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Number = TypeVar("Number", int, float)

log = logging.getLogger(__name__)
PREFIX = "PROSPR_"


@dataclass(frozen=True)
class Limit(Generic[Number]):
    """``bounds`` says what is limited, and why if that is not obvious. ``of_store``: it is one of
    ``store.limits.Limits``, which read the environment themselves. Of the others ``value`` is that
    of the environment, if it holds a usable one; else a warning says what to give."""

    name: str
    value: Number
    unit: str
    bounds: str
    of_store: bool = False

    def __post_init__(self) -> None:
        text = "" if self.of_store else os.environ.get(self.variable, "").strip()
        if text:
            object.__setattr__(self, "value", self._read(text))

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper()

    def _read(self, text: str) -> Number:
        kind = type(self.value)
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if value >= 0 and math.isfinite(value):
            return value
        number = "a whole number" if kind is int else "a number"
        log.warning(
            "%s is %r; give %s of at least 0. Until then it is %s.",
            self.variable,
            text,
            number,
            self.value,
        )
        return self.value


@dataclass(frozen=True)
class Variable:
    """An environment variable whose value is not a number; ``default`` in words."""

    variable: str
    meaning: str
    default: str


def _set_by(name: str, value: Number, unit: str, bounds: str) -> Limit[Number]:
    """A limit of the store."""
    return Limit(name, value, unit, bounds, of_store=True)


# What the server takes in and keeps

MOST_QUEUED = _set_by("most_queued", 50, "runs", "waiting, of all visitors")
MOST_QUEUED_PER_VISITOR = _set_by(
    "most_queued_per_visitor", 3, "runs", "waiting or running, of one visitor"
)
MOST_QUEUED_PER_ADDRESS = _set_by(
    "most_queued_per_address", 15, "runs", "waiting or running, of all visitors with one IP address"
)
MOST_CELLS = _set_by("most_cells", 400, "runs", "of one sweep or search")
MOST_CELLS_QUEUED = _set_by(
    "most_cells_queued", 2_000, "runs", "waiting in sweeps and searches, of all visitors"
)
MOST_STUDIES = _set_by("most_studies", 20, "sweeps and searches", "in progress, of all visitors")
MOST_STUDIES_PER_VISITOR = _set_by(
    "most_studies_per_visitor", 1, "sweeps and searches", "in progress, of one visitor"
)
MOST_STUDIES_PER_ADDRESS = _set_by(
    "most_studies_per_address",
    5,
    "sweeps and searches",
    "in progress, of all visitors with one IP address",
)
KEEP_DAYS = _set_by(
    "keep_days", 30.0, "days", "for which finished runs, and uploads since their last use, are kept"
)
KEEP_RUNS = _set_by("keep_runs", 5_000, "runs", "kept; the oldest are deleted first")
KEEP_GIGABYTES = _set_by(
    "keep_gigabytes", 20.0, "GB", "of disk space for all files; the oldest runs are deleted first"
)
SHARED_GIGABYTES = _set_by(
    "shared_gigabytes",
    4.0,
    "GB",
    "for scores and dense networks kept for other runs, until a day after their last use",
)
RUN_MINUTES = _set_by(
    "run_minutes", 120.0, "minutes", "that one run of a visitor may take; 0 is no limit"
)
UPLOAD_MEGABYTES = _set_by(
    "upload_megabytes",
    200.0,
    "MB",
    "of one uploaded file; above 200 also Streamlit's `server.maxUploadSize`",
)
UPLOADS_PER_VISITOR = _set_by("uploads_per_visitor", 10, "files", "that one visitor may keep")
UPLOAD_MEGABYTES_PER_VISITOR = _set_by(
    "upload_megabytes_per_visitor", 600.0, "MB", "of all files of one visitor together"
)
UPLOADS_PER_ADDRESS = _set_by(
    "uploads_per_address", 50, "files", "that all visitors with one IP address may keep"
)
UPLOAD_MEGABYTES_PER_ADDRESS = _set_by(
    "upload_megabytes_per_address",
    3_000.0,
    "MB",
    "of all files of all visitors with one IP address together",
)
UPLOADS_SHARE = Limit(
    "uploads_share", 0.5, "of `keep_gigabytes`", "for uploads; the rest is for runs"
)
DISK_SPARE = Limit("disk_spare", 500_000_000, "bytes", "of the disk that an upload leaves free")
NAME_CHARACTERS = Limit("name_characters", 80, "characters", "of a name given to a run or study")
FILE_NAME_CHARACTERS = Limit("file_name_characters", 80, "characters", "of an upload's file name")

# Archives and folders of images

TREE_FILES = Limit(
    "tree_files", 2_000_000, "files", "in a local folder or archive (ImageNet has 1.4 m)"
)
ZIP_BYTES = Limit("zip_bytes", 200 * 10**9, "bytes", "that a local archive unpacks to")
ZIP_FILE_BYTES = Limit("zip_file_bytes", 500_000_000, "bytes", "of a file in it, unpacked")
ZIP_DIRECTORY = Limit("zip_directory", 500_000_000, "bytes", "of its list of files")
UPLOADED_ZIP_FILES = Limit("uploaded_zip_files", 200_000, "files", "in an uploaded archive")
UPLOADED_ZIP_BYTES = Limit("uploaded_zip_bytes", 4 * 10**9, "bytes", "that it unpacks to")
UPLOADED_ZIP_FILE_BYTES = Limit(
    "uploaded_zip_file_bytes", 100_000_000, "bytes", "of a file in it, unpacked"
)
UPLOADED_ZIP_DIRECTORY = Limit(
    "uploaded_zip_directory", 40_000_000, "bytes", "of its list of files"
)
ZIP_RATIO = Limit(
    "zip_ratio", 100, "times", "that an archive may grow when unpacked; images hardly compress"
)
ZIP_RATIO_FROM = Limit(
    "zip_ratio_from", 200_000_000, "bytes", "unpacked, below which the ratio is not checked"
)
ZIP_PATH = Limit("zip_path", 1_000, "characters", "of a path in an archive")
LABELS_BYTES = Limit(
    "labels_bytes", 50_000_000, "bytes", "of a table of file names and labels: half a million rows"
)
LABELS_COLUMNS = Limit("labels_columns", 2_000, "columns", "of such a table")
PARQUET_MEMORY = Limit(
    "parquet_memory", 2 * 10**9, "bytes", "to read an uploaded Parquet file once, as a check"
)
PARQUET_SECONDS = Limit("parquet_seconds", 60, "seconds", "of processor time for that")

# Images

IMAGE_PIXELS = Limit(
    "image_pixels", 89_000_000, "pixels", "of an image; just below where Pillow begins to warn"
)
IMAGE_BYTES = Limit("image_bytes", 20_000_000, "bytes", "of an image to try a network on")
DRAWING_BYTES = Limit("drawing_bytes", 1_000_000, "bytes", "of a drawing")
DRAWING_SIDE = Limit("drawing_side", 1_024, "pixels", "of the longer side of a drawing")
UPLOADED_IMAGE_PIXELS = Limit(
    "uploaded_image_pixels", 16_000_000, "pixels", "of an image from a visitor"
)
JPEG_SCANS = Limit(
    "jpeg_scans", 100, "scans", "of a visitor's JPEG: each takes the time of an image; 10 are usual"
)
PREVIEW_MEMORY = Limit(
    "preview_memory", 2 * 10**9, "bytes", "for the process that opens an upload of images"
)
PREVIEW_SECONDS = Limit("preview_seconds", 120, "seconds", "of processor time for it")
TRIED_MEMORY = Limit(
    "tried_memory", 600_000_000, "bytes", "for the process that opens an image to try a network on"
)
TRIED_SECONDS = Limit("tried_seconds", 10, "seconds", "of processor time for it")
PREVIEW_IMAGES = Limit(
    "preview_images", 1_000, "images", "of an upload that are opened for its preview"
)
PREVIEW_PIXELS = Limit(
    "preview_pixels", 200_000_000, "pixels", "decoded for the preview of an upload"
)

# Weights and networks

WEIGHTS_HEADER = Limit(
    "weights_header", 10_000_000, "bytes", "of a safetensors header; torchvision's need 100 kB"
)
WEIGHTS_TENSORS = Limit("weights_tensors", 20_000, "tensors", "in a file of weights")
STATE_TIMES = Limit(
    "state_times",
    4,
    "times",
    "that the tensors of a PyTorch file may be larger than the file: some are stored once for "
    "several names",
)
STATE_MEMORY = Limit(
    "state_memory", 1_000_000_000, "bytes", "to read a PyTorch file, besides three times its size"
)
STATE_SECONDS = Limit("state_seconds", 120, "seconds", "of processor time to read one")
STATE_PICKLE = Limit(
    "state_pickle", 20_000_000, "bytes", "of the list of tensors in a PyTorch file"
)
TENSOR_NAME = Limit("tensor_name", 200, "characters", "of a tensor's name")
TENSOR_AXES = Limit("tensor_axes", 8, "axes", "of a tensor")
ONNX_BYTES = Limit(
    "onnx_bytes", 2**31 - 1, "bytes", "of an ONNX file: the largest message that protobuf allows"
)
ONNX_INPUT = Limit(
    "onnx_input", 1 << 26, "values", "in the input that verification feeds to an ONNX file"
)
IMPORTED_BYTES = Limit("imported_bytes", 512_000_000, "bytes", "of an ONNX file that is imported")
IMPORTED_VALUES = Limit("imported_values", 150_000_000, "numbers", "in all of its tensors")
IMPORTED_NODES = Limit("imported_nodes", 20_000, "operators", "in it")
IMPORTED_NAME = Limit("imported_name", 1_000, "characters", "of a name in it")
IMPORTED_RESULT = Limit(
    "imported_result", 1 << 30, "bytes", "of the largest result of an operator for one image"
)
IMPORT_MEMORY = Limit(
    "import_memory", 6 * 10**9, "bytes", "of memory for the process that tries an ONNX file"
)
IMPORT_SECONDS = Limit("import_seconds", 90, "seconds", "of processor time for it")
MEASURED_MEMORY = Limit(
    "measured_memory",
    3 * 10**9,
    "bytes",
    "for the process that measures a network outside the tables",
)
MEASURED_SECONDS = Limit("measured_seconds", 60, "seconds", "of processor time for it")

# Settings

SETTINGS_BYTES = Limit(
    "settings_bytes", 20_000_000, "bytes", "of a file of settings; a sweep's has a list of seeds"
)
SWEEP_RUNS = Limit(
    "sweep_runs",
    100_000,
    "runs",
    "of a sweep without a server, and seeds of a search: years of work, but their settings are "
    "created in seconds",
)
LISTED_NUMBERS = Limit(
    "listed_numbers", 1_000, "numbers", "in a list of a form, which may come from an address"
)

# What the browser shows

EXPLORED_SCORES = Limit(
    "explored_scores",
    120_000_000,
    "bytes",
    "of scores that are ranked for a visitor: 30 million weights in single precision",
)
TRIED_NETWORKS = Limit(
    "tried_networks", 500_000_000, "bytes", "of both networks of a run on Try it"
)
COMPARED_RUNS = Limit("compared_runs", 100, "runs", "that the URL of a comparison may list")

TABLE: tuple[Limit[int] | Limit[float], ...] = tuple(
    row for row in list(globals().values()) if isinstance(row, Limit)
)
VARIABLES = (
    Variable("PROSPR_RUNS", "folder of runs", "in the user's data folder"),
    Variable("PROSPR_DATA", "folder of data sets", "in the user's cache folder"),
    *(row for row in TABLE if row.of_store),
    Variable(
        "PROSPR_PROXIES",
        "reverse proxies before the server; each adds to `X-Forwarded-For`, in which visitors' IP "
        "addresses are then found",
        "0",
    ),
    Variable("PROSPR_TIMING", "`0`: do not time the files of a run", "on"),
    Variable("PROSPR_ALLOW_PATHS", "`1` lets visitors use folders on the server", "off"),
)


def variables_table() -> str:
    """The environment variables as a Markdown table."""
    return _table(
        ("environment", "meaning", "default"),
        (
            (f"`{row.variable}`", row.meaning, row.default)
            if isinstance(row, Variable)
            else (f"`{row.variable}`", f"{row.unit} {row.bounds}", f"{row.value:,g}")
            for row in VARIABLES
        ),
    )


def file_table() -> str:
    """The limits on files as a Markdown table."""
    fixed = (row for row in TABLE if not row.of_store)
    return _table(
        ("limit", "value", "of what"),
        ((f"`{row.name}`", f"{row.value:,}", f"{row.unit} {row.bounds}".strip()) for row in fixed),
    )


def page() -> str:
    """Both tables: the content of ``docs/limits.md``."""
    return (
        "# Limits\n\n"
        "Every limit is set by the environment of the server and its workers.\n\n"
        "## The server\n\n"
        f"{variables_table()}\n\n"
        "## Files\n\n"
        "So that no file can exhaust memory or time for everyone. The variable of a limit is "
        "`PROSPR_` and its name in capitals: `PROSPR_IMAGE_PIXELS`. Larger values take more of the "
        "machine.\n\n"
        f"{file_table()}\n"
    )


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(page() if "--all" in sys.argv[1:] else variables_table())
