"""Rows of a comparison as plain values."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of ``frame`` by name of column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def done(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of a comparison that have a result."""
    return frame[(frame["state"] == "done") & frame["accuracy"].notna()]
