"""The names of downloaded files, and the tables among them."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.services import Run, RunRecord, display_name, is_control
from app.services.uploads import without_suffix
from app.ui.format import percent_number

LAYERS = ("name", "total", "kept", "effective", "channels", "dead_channels")
EPOCHS = (
    "network",
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
)


def file_name(run: Run, name: str) -> str:
    """``small_cnn-digits-90-3f0a2c-model.onnx`` for ``model.onnx``: the main settings (with the
    control, if it is one), and the start of the run's id, so that downloads do not collide."""
    settings = run.settings
    data = without_suffix(display_name(str(settings.get("data", ""))))
    percent = percent_number(float(settings.get("sparsity", 0)))
    control = settings.get("control")
    changed = (control,) if is_control(control) else ()
    parts = (settings.get("model", ""), data, percent, *changed, run.id[:6], name)
    return "-".join(_safe(str(part)) for part in parts)


def layers_csv(result: RunRecord) -> bytes:
    """One line per layer; counts of weights, and of output channels that are cut off."""
    return table(map(dataclasses.asdict, result.pruning.layers), LAYERS)


def training_csv(result: RunRecord) -> bytes:
    """One line per network and epoch; losses in nats, accuracies between 0 and 1."""
    return table(map(dataclasses.asdict, result.history), EPOCHS)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """``rows`` as CSV with a header line; missing values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _safe(part: str) -> str:
    """``part`` with only characters that every file system allows."""
    return re.sub(r"[^\w.+]+", "_", part).strip("_.") or "file"
