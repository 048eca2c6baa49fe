"""The tidy table of a sweep: one row per cell, as a DataFrame, a CSV file or plain values."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from prospr_engine.errors import DataError
from prospr_engine.files import write_atomically
from prospr_engine.sweep.row import COLUMNS

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
    """Write the table as CSV, all of it or nothing. Raises ``ResourceError``."""
    write_atomically(path, table.to_csv(index=False))


def read(path: str | Path) -> pd.DataFrame:
    """The table that ``write`` wrote, the same to the last digit. Raises ``DataError``."""
    try:
        text = Path(path).read_text("utf-8")
        table = pd.read_csv(
            io.StringIO(text),
            dtype=TYPES,
            keep_default_na=False,
            na_values={name: [""] for name, kind in TYPES.items() if kind != "str"},
            float_precision="round_trip",
        )
        return table[list(COLUMNS)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError):
        raise DataError(f"{path} is not the table of a sweep; give its cells.csv.") from None
