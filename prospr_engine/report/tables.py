"""The tables of a finished run as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prospr_engine import metrics
from prospr_engine.pipeline.record import NETWORKS, RunRecord

LAYERS = ("name", "total", "kept", "effective", "channels", "dead_channels", "setting")
WIDTH = "kept_channels"
"""The column of a run that removed channels."""
EPOCHS = (
    "network",
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
)
CLASSES = ("class", "images", *NETWORKS)
FIGURES = ("name", "figure", "value", "unit")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def figures_csv(record: RunRecord) -> bytes:
    """One line per figure of the run, as in the table of a sweep."""
    rows = (
        {"name": metric.name, "figure": label, "value": value, "unit": metric.unit}
        for label, metric, _ in metrics.of_run()
        if (value := record.figures.get(metric.name)) is not None
    )
    return table(rows, FIGURES)


def layers_csv(record: RunRecord) -> bytes:
    """One line per layer; counts of weights, and of output channels that are cut off or, where
    channels were removed, kept."""
    layers = [dataclasses.asdict(layer) for layer in record.pruning.layers]
    if record.pruning.structure is None:
        return table(layers, LAYERS)
    widths = record.pruning.structure.width_of
    for layer in layers:
        width = widths.get(layer["name"].removesuffix(".weight"))
        layer[WIDTH] = width.after if width else None
    return table(layers, (*LAYERS, WIDTH))


def training_csv(record: RunRecord) -> bytes:
    """One line per network and epoch; losses in nats, accuracies between 0 and 1."""
    return table(map(dataclasses.asdict, record.history), EPOCHS)


def classes_csv(record: RunRecord) -> bytes:
    """One line per class: its test images, and how many of them each network gets right."""
    return table(_classes(record), CLASSES)


def _classes(record: RunRecord) -> Iterator[dict[str, Any]]:
    if record.per_class:
        counts = (record.per_class[column] for column in CLASSES[1:])
        for row in zip(record.data.classes, *counts, strict=True):
            yield dict(zip(CLASSES, row, strict=True))


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """``rows`` as CSV with a header line; missing values are empty. Text that a spreadsheet would
    take for a formula gets an apostrophe in front (CWE-1236): visitors choose names of classes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
