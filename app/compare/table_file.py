"""The table of a comparison as a CSV file."""

from __future__ import annotations

from typing import Any

import pandas as pd


def csv(frame: pd.DataFrame) -> bytes:
    """The table of a comparison, a row per run, without folders of this machine.

    Text that a spreadsheet would take for a formula gets an apostrophe in front (CWE-1236):
    visitors choose the names of uploads.
    """
    table = frame.drop(columns=["out"], errors="ignore")
    for name in table.columns[[not pd.api.types.is_numeric_dtype(table[c]) for c in table]]:
        table[name] = [_harmless(value) for value in table[name]]
    return table.to_csv(index=False).encode()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value
