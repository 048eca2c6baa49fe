"""Rows of a comparison as plain values."""

from __future__ import annotations

from typing import Any

import pandas as pd

FIGURES = (
    "effective_sparsity",
    "total_weights",
    "kept_weights",
    "accuracy",
    "dense_accuracy",
    "zipped_bytes",
    "test_images",
)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of ``frame`` by name of column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def done(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of a comparison that have a result, their figures as numbers: beside cells that
    have none, pandas takes a column for anything."""
    found = frame[(frame["state"] == "done") & frame["accuracy"].notna()]
    told = [name for name in FIGURES if found[name].dtype == object]
    return found.assign(**{name: pd.to_numeric(found[name]).astype(float) for name in told})
