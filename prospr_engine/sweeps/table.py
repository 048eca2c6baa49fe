"""The tidy table of a sweep: a row per cell, as plain values, a typed DataFrame or a CSV file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine import metrics
from prospr_engine.config import CHANNELS, WEIGHTS, RunConfig
from prospr_engine.errors import DataError
from prospr_engine.io.files import write_atomically
from prospr_engine.saliency import METHODS, STEPS

if TYPE_CHECKING:
    import pandas as pd

# Before the figures of the result: the settings of the cell, and its state.
SETTINGS = {
    "model": "str",
    "data": "str",
    "method": "str",
    "steps": "Int64",
    "control": "str",
    "kind": "str",
    "channel_budget": "str",
    "options": "str",
    "seed": "int64",
    "given": "bool",
    "epochs": "int64",
    "sparsity": "float64",
    "state": "str",
    "error": "str",
}
EARLIER = {"kind": WEIGHTS, "channel_budget": "", "given": "False"}
"""Settings that tables of earlier versions do not have, and what they were."""
# After them: where the row comes from.
ORIGIN = {"fingerprint": "str", "out": "str"}


def types() -> dict[str, str]:
    """The columns in order, with their pandas types: text is never missing ("" instead), a count
    may be ``pd.NA``, a fraction NaN."""
    found = {metric.name: metric.type for metric in metrics.columns()}
    return {**SETTINGS, **found, **ORIGIN}


def columns() -> list[str]:
    """The names of the columns, in order."""
    return list(types())


def row(
    config: RunConfig, summary: Mapping[str, Any] | None, state: str = "done", error: str = ""
) -> dict[str, Any]:
    """The row of the run of ``config``, with the columns of ``columns()``; ``summary`` is that of
    its result (``metrics.summary``), or None.

    ``state`` is "done", "failed" (``error`` says why), "waiting", "running" or "stopped". Unknown
    text is "", any other unknown figure None. Sparsities, accuracies and ``change``
    (pruned − dense) are fractions, losses are in nats, ``seconds`` is wall time. ``steps`` is None
    for a method that does not look ahead; the other options are JSON. Where channels are removed,
    ``channel_budget`` says what the sparsity is a share of. ``given``: the weights at the beginning
    were trained elsewhere. The caller fills in ``out``.
    """
    options = dict(config.scoring.options)
    # A method of another version may be missing from the table; its runs can still be shown.
    spec = METHODS.get(config.method)
    ahead = spec.option(STEPS) if spec else None
    steps = options.pop(ahead.name, ahead.default) if ahead else options.pop(STEPS, None)
    return {
        "model": config.model,
        "data": config.data,
        "method": config.method,
        "steps": steps,
        "control": config.control,
        "kind": config.kind,
        "channel_budget": config.channel_budget if config.kind == CHANNELS else "",
        "options": json.dumps(options, sort_keys=True) if options else "",
        "seed": config.seed,
        "given": config.given,
        "epochs": config.epochs,
        "sparsity": config.sparsity,
        "state": state,
        "error": error,
        **metrics.figures(summary or {}),
        "fingerprint": config.fingerprint,
        "out": "",
    }


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows from ``row`` as a table with the types of ``types()``."""
    import pandas as pd  # not needed for rows alone, and slow to import

    return pd.DataFrame(list(rows), columns=columns()).astype(types())


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of any such table as JSON-ready values, with None for missing ones."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {
            str(name): getattr(value, "item", lambda value=value: value)()
            for name, value in r.items()
        }
        for r in plain.to_dict("records")
    ]


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, atomically. Raises ``DiskError``."""
    write_atomically(path, table.to_csv(index=False))


def read(path: str | Path) -> pd.DataFrame:
    """The table that ``write`` wrote, identical to the last digit; figures that an earlier version
    did not write are missing. Raises ``DataError``."""
    optional = EARLIER | {m.name: "" for m in metrics.columns() if not m.required}
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        return frame(
            {
                name: _value(kind, line[name] if name in line else optional[name])
                for name, kind in types().items()
            }
            for line in rows
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise DataError(f"{path} is not the table of a sweep; give its cells.csv.") from None


def _value(kind: str, text: str) -> Any:
    if kind == "str":
        return text
    if not text:
        return None
    if kind.startswith("bool"):
        return {"True": True, "False": False}[text]
    return float(text) if kind == "float64" else int(text)
