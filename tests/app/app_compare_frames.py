"""Tables of comparisons without any run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from app.services import CONTROLS, METHODS
from prospr_engine.sweeps import table

TOTAL = 10_000


def cell(method: str, sparsity: float, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    """The row of a run that is done."""
    control, kind = more.get("control", "none"), more.get("kind", "weights")
    label = METHODS[method].label + (", channels" if kind == "channels" else "")
    name = control + ("-channels" if kind == "channels" else "")
    kept = round(TOTAL * (1 - sparsity))
    return {
        "model": "small_cnn",
        "data": "digits",
        "method": method,
        "steps": 3 if METHODS[method].looks_ahead else None,
        "control": control,
        "kind": kind,
        "channel_budget": "parameters" if kind == "channels" else "",
        "options": "",
        "seed": seed,
        "given": False,
        "epochs": 3,
        "sparsity": sparsity,
        "state": "done",
        "error": "",
        "achieved_sparsity": 1 - kept / TOTAL,
        "effective_sparsity": 1 - kept / TOTAL,
        "total_weights": TOTAL,
        "kept_weights": kept,
        "operations": 100 * (kept if kind == "channels" else TOTAL),
        "accuracy": accuracy,
        "dense_accuracy": 0.97,
        "change": accuracy - 0.97,
        "loss": 0.2,
        "dense_loss": 0.1,
        "file_bytes": 45_000,
        "zipped_bytes": 2000 + 4 * kept,
        "seconds": 3.0,
        "trusted": True,
        "test_images": 400,
        "digest": f"images of seed {seed}",
        "fingerprint": f"{method}-{name}-{sparsity}-{seed}",
        "out": "/server/folder",
        "run": f"{method}-{name}-{sparsity}-{seed}",
        "series": label if control == "none" else f"{label} · {CONTROLS[control].label}",
        "order": 10 * list(METHODS).index(method)
        + ["none", *CONTROLS].index(control)
        + 5 * (kind == "channels"),
        **more,
    }


def frame(cells: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The table, with all columns that pages hand on."""
    rows = list(cells)
    types = {"run": "str", "series": "str", "order": "int64"}
    more = pd.DataFrame(rows, columns=list(types)).astype(types)
    return pd.concat([table.frame(rows), more], axis=1)


def grid(
    accuracies: dict[str, Sequence[float]],
    sparsities: Sequence[float] = (0.8, 0.95),
    seeds: Sequence[int] = (0, 1, 2),
    spread: float = 0.002,
    **more: Any,
) -> pd.DataFrame:
    """Methods with a mean accuracy at each sparsity; seeds lie ``spread`` apart around it, in
    another order for each method."""
    middle = (len(seeds) - 1) / 2
    return frame(
        cell(method, sparsity, seed, mean + spread * ((place + i) % len(seeds) - middle), **more)
        for i, (method, means) in enumerate(accuracies.items())
        for sparsity, mean in zip(sparsities, means, strict=True)
        for place, seed in enumerate(seeds)
    )


def without(row: dict[str, Any], state: str, error: str = "") -> dict[str, Any]:
    """The cell as it is while it has no result."""
    unknown = ("accuracy", "dense_accuracy", "change", "loss", "dense_loss", "trusted")
    unknown += ("achieved_sparsity", "effective_sparsity", "total_weights", "kept_weights")
    unknown += ("file_bytes", "zipped_bytes", "operations", "seconds", "test_images")
    return {**row, **dict.fromkeys(unknown), "state": state, "error": error, "digest": ""}
