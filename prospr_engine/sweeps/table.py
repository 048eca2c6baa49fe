"""The tidy table of a sweep: one row per cell, as a DataFrame, a CSV file or plain values."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from prospr_engine.errors import DataError
from prospr_engine.io.files import write_atomically
from prospr_engine.sweeps.row import COLUMNS

WHOLE = ("seed", "epochs")
COUNTS = ("steps", "total_weights", "kept_weights", "file_bytes", "zipped_bytes", "test_images")
FRACTIONS = (
    "sparsity",
    "achieved_sparsity",
    "effective_sparsity",
    "accuracy",
    "dense_accuracy",
    "change",
    "loss",
    "dense_loss",
    "seconds",
)
TYPES = {
    **dict.fromkeys(COLUMNS, "str"),
    **dict.fromkeys(WHOLE, "int64"),
    **dict.fromkeys(COUNTS, "Int64"),
    **dict.fromkeys(FRACTIONS, "float64"),
    "trusted": "boolean",
}
"""Text is never missing ("" where there is none), a count may be ``pd.NA``, a fraction NaN."""


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows that ``row.row`` made, in columns of the types ``TYPES``."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(TYPES)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of any such table as JSON-ready values, with None for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {
            str(name): getattr(value, "item", lambda value=value: value)()
            for name, value in r.items()
        }
        for r in plain.to_dict("records")
    ]


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, all of it or nothing. Raises ``DiskError``."""
    write_atomically(path, table.to_csv(index=False))


def read(path: str | Path) -> pd.DataFrame:
    """The table that ``write`` wrote, the same to the last digit. Raises ``DataError``."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        return frame({name: _value(name, row[name]) for name in COLUMNS} for row in rows)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise DataError(f"{path} is not the table of a sweep; give its cells.csv.") from None


def _value(name: str, text: str) -> Any:
    kind = TYPES[name]
    if kind == "str":
        return text
    if not text:
        return None
    if kind == "boolean":
        return {"True": True, "False": False}[text]
    return float(text) if kind == "float64" else int(text)
