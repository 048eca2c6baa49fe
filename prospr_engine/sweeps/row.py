"""A cell of a sweep as one row of a tidy table: plain values, the same names everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.saliency import METHODS

COLUMNS = (
    # What the cell is
    "model",
    "data",
    "method",
    "steps",
    "control",
    "options",
    "seed",
    "epochs",
    "sparsity",
    # How it stands
    "state",
    "error",
    # What was found
    "achieved_sparsity",
    "effective_sparsity",
    "total_weights",
    "kept_weights",
    "accuracy",
    "dense_accuracy",
    "change",
    "loss",
    "dense_loss",
    "file_bytes",
    "zipped_bytes",
    "seconds",
    "trusted",
    "test_images",
    # Where it comes from
    "digest",
    "fingerprint",
    "out",
)


def row(
    config: RunConfig, summary: Mapping[str, Any] | None, state: str = "done", error: str = ""
) -> dict[str, Any]:
    """The row of the run of ``config``, with the columns ``COLUMNS``; ``summary`` is that of its
    result (``summary.summary``), None while there is none.

    ``state`` is "done", "failed" (``error`` says why), "waiting", "running" or "stopped". Text is
    "" and any other figure None where it is not known. Sparsities, accuracies and ``change``
    (pruned less dense) are fractions, losses nats, ``seconds`` wall time. ``steps`` is None for a
    method that looks no steps ahead; the rest of the options is JSON. ``out`` is the caller's to
    fill in.
    """
    found = summary or {}
    accuracy, sparsity, loss = (found.get(name, {}) for name in ("accuracy", "sparsity", "loss"))
    options = _options(config)
    steps = options.pop("steps", None)
    change = accuracy["pruned"] - accuracy["dense"] if accuracy else None
    return {
        "model": config.model,
        "data": config.data,
        "method": config.method,
        "steps": steps,
        "control": config.control,
        "options": json.dumps(options, sort_keys=True) if options else "",
        "seed": config.seed,
        "epochs": config.epochs,
        "sparsity": config.sparsity,
        "state": state,
        "error": error,
        "achieved_sparsity": sparsity.get("achieved"),
        "effective_sparsity": sparsity.get("effective"),
        "total_weights": found.get("total"),
        "kept_weights": found.get("kept"),
        "accuracy": accuracy.get("pruned"),
        "dense_accuracy": accuracy.get("dense"),
        "change": change,
        "loss": loss.get("pruned"),
        "dense_loss": loss.get("dense"),
        "file_bytes": found.get("bytes"),
        "zipped_bytes": found.get("zipped"),
        "seconds": found.get("seconds"),
        "trusted": found.get("trusted"),
        "test_images": found.get("test_images"),
        "digest": found.get("digest") or "",
        "fingerprint": config.fingerprint,
        "out": "",
    }


def _options(config: RunConfig) -> dict[str, Any]:
    """The options that were given, and the steps of a method that looks ahead in any case."""
    given = dict(config.scoring.options)
    # A method of another version may have left the table; its runs are still there to be shown.
    spec = METHODS.get(config.method)
    steps = {o.name: o.default for o in spec.options if o.name == "steps"} if spec else {}
    return steps | given
