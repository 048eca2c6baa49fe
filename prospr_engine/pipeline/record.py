"""``result.json`` of any version as a typed record of a finished run.

Plain data, without torch, for pages and the command line.

Versions of the file, by its key ``format``: files without it were written by 0.1 (no ``weights``),
0.2 (no ``per_class``, ``seconds_of`` or zipped size) or 0.3; format 1 has ``exports``. What a
version did not write is None or empty.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine import metrics
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.events import EpochEnded
from prospr_engine.export.encodings import PRIMARY
from prospr_engine.export.latency import Latency
from prospr_engine.export.names import INPUT, OUTPUT
from prospr_engine.export.proof import Check
from prospr_engine.pipeline.pruning_record import PruningRecord, record_of
from prospr_engine.saliency import METHODS

RESULT = "result.json"
FORMAT = 1
NETWORKS = ("dense", "pruned")
"""The networks of a run: the keys of accuracies and the like."""


@dataclass(frozen=True)
class ExportRecord:
    """One ONNX file: its size in ``bytes`` and alone in a zip (``zipped``), and its checks.

    ``max_abs_error`` is the largest difference between ONNX Runtime's logits and PyTorch's, and
    ``tolerance`` the largest allowed; ``zeros`` is the number found in the pruned layers.
    ``accuracy`` is that of the file on the test images, of which it answered ``images_tested`` in
    ONNX Runtime; where these are not all, it gave each the same class as the network, and the
    accuracy is the network's. ``latency_ms`` is the median time for one image, in milliseconds.
    What was not measured, by this or an earlier version, is None."""

    path: str
    bytes: int
    zipped: int | None
    ok: bool
    checks: tuple[Check, ...]
    max_abs_error: float | None = None
    tolerance: float | None = None
    zeros: int | None = None
    zeros_expected: int | None = None
    accuracy: float | None = None
    images_tested: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class GraphRecord:
    """What the ONNX files of a network take and give that was itself imported from one: see
    ``export.interface.Interface``. ``own``: their graph is that of the imported file; if it is not,
    ``reason`` says why."""

    own: bool
    reason: str = ""
    input: str = INPUT
    output: str = OUTPUT
    batch: int | None = None
    channels_last: bool = False
    flat: bool = False
    answer: str = "logits"


@dataclass(frozen=True)
class SplitRecord:
    """The number of images in each split, and the seed of the split."""

    seed: int
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class DataRecord:
    """The images: ``shape`` is (C, H, W); ``mean`` and ``std`` normalise pixels in [0, 1], per
    channel, and ``normalisation`` says what they are; ``digest`` is equal for equal images in equal
    splits; the ``warnings`` among the ``notes`` put the accuracies in doubt."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    split: SplitRecord
    digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    normalisation: str = "data"


@dataclass(frozen=True)
class EnvironmentRecord:
    """Where the run was computed; ``versions`` of this engine, Python and packages by name."""

    device: str
    device_name: str
    threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """The result of one run. Accuracies are fractions on the test images, losses mean
    cross-entropies (nats), by network (``NETWORKS``); ``predictions`` are class numbers, in the
    order of the test images; ``per_class`` counts, by class, the test ``images`` and those that
    each network gets right. ``exports`` are the ONNX files by encoding,
    ``not_exported`` says why others could not be written, ``latency`` how fast they are (None if an
    earlier version did not time them), ``graph`` what they take, if the network is from a file.
    ``weights`` is what the network started from: "fresh", "pretrained" or a file's digest.
    ``seconds`` is wall time,
    ``seconds_of`` that of scoring and training. ``accuracy_at_pruning`` are the accuracies of a
    network that was trained before it was pruned, before and right after. ``figures`` are those of
    ``metrics``, by name; ``notes`` say how the network was fitted to the images."""

    config: RunConfig
    fingerprint: str
    accuracy: Mapping[str, float]
    loss: Mapping[str, float]
    pruning: PruningRecord
    exports: Mapping[str, ExportRecord]
    history: tuple[EpochEnded, ...]
    data: DataRecord
    environment: EnvironmentRecord
    seconds: float
    out: str | None
    weights: str | None = None
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    predictions: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    per_class: Mapping[str, tuple[int, ...]] | None = None
    seconds_of: Mapping[str, float] | None = None
    format: int | None = None
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    not_exported: Mapping[str, str] = dataclasses.field(default_factory=dict)
    latency: Latency | None = None
    graph: GraphRecord | None = None
    accuracy_at_pruning: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def trained_first(self) -> bool:
        """Whether the dense network was trained before it was pruned, so that the pruned one was
        trained twice as long."""
        method = METHODS.get(self.config.method)
        return method is not None and method.after_training

    @property
    def given(self) -> bool:
        """Whether the weights at the beginning were trained elsewhere."""
        return self.config.given

    @property
    def onnx(self) -> ExportRecord:
        """The file in the encoding that every run writes."""
        return self.exports[PRIMARY]

    def history_of(self, network: str) -> tuple[EpochEnded, ...]:
        """The epochs of one of the networks."""
        return tuple(epoch for epoch in self.history if epoch.network == network)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """The record of the content of a ``result.json``. Raises ``DataError`` if it is no result,
        or if a newer version wrote it."""
        try:
            found = values.get("format")
            if found is None or found <= FORMAT:
                return _run_record(values)
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, DataError):
            raise DataError(
                "This is not the result of a run, or it is damaged; start the run again."
            ) from None
        raise DataError(
            f"A newer version of this software wrote this result (format {found}; this one reads "
            f"up to {FORMAT}); update it to see the result."
        )

    @classmethod
    def read(cls, path: str | Path) -> RunRecord:
        """The record in a ``result.json``. Raises ``DataError`` if there is none."""
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise DataError(f"{path} is not JSON; give the result.json of a run.") from None
        return cls.from_dict(values)


def epoch_record(values: Mapping[str, Any]) -> EpochEnded:
    """An epoch, from a result or an event as JSON. Raises ``TypeError`` if it is none."""
    record: EpochEnded = record_of(EpochEnded, values)
    return record


def onnx_files(result: Mapping[str, Any]) -> set[str]:
    """The names of a run's ONNX files, by what its ``result.json`` holds."""
    exports = result.get("exports", {}).values()
    return {Path(export["path"]).name for export in (result["onnx"], *exports)}


def relocated(
    result: Mapping[str, Any], out: str | None, paths: Mapping[str, str]
) -> dict[str, Any]:
    """The content of ``result.json`` for a run in the folder ``out`` with its ONNX files at
    ``paths``, by name. Raises ``KeyError`` or ``TypeError`` if it is no result."""

    def moved(export: Mapping[str, Any]) -> dict[str, Any]:
        name = Path(export["path"]).name
        return {**export, "path": paths.get(name, name)}

    changed = {**result, "out": out, "onnx": moved(result["onnx"])}
    if "exports" in result:
        changed["exports"] = {name: moved(each) for name, each in result["exports"].items()}
    return changed


def _run_record(values: Mapping[str, Any]) -> RunRecord:
    exports = values.get("exports") or {PRIMARY: values["onnx"]}
    return RunRecord(
        format=values.get("format"),
        config=RunConfig.from_dict(values["config"]),
        fingerprint=str(values["fingerprint"]),
        accuracy=_by_network(values["accuracy"]),
        loss=_by_network(values["loss"]),
        pruning=PruningRecord.from_dict(values),
        exports={name: _export(export) for name, export in exports.items()},
        history=tuple(epoch_record(epoch) for epoch in values["history"]),
        data=_data(values["data"]),
        environment=_environment(values["environment"]),
        seconds=float(values["seconds"]),
        out=values["out"],
        weights=values.get("weights"),
        training=dict(values.get("training") or {}),
        predictions=_tuples(values.get("predictions") or {}),
        per_class=_tuples(values["per_class"]) if values.get("per_class") else None,
        seconds_of=values.get("seconds_of"),
        figures=metrics.result_figures(values),
        not_exported=dict(values.get("not_exported") or {}),
        accuracy_at_pruning=dict(values.get("accuracy_at_pruning") or {}),
        notes=tuple(values.get("notes") or ()),
        latency=Latency.from_dict(values["latency"]) if values.get("latency") else None,
        graph=record_of(GraphRecord, values["graph"]) if values.get("graph") else None,
    )


def _export(values: Mapping[str, Any]) -> ExportRecord:
    checks = tuple(record_of(Check, check) for check in values["checks"])
    record: ExportRecord = record_of(ExportRecord, {"zipped": None, **values, "checks": checks})
    return record


def _data(values: Mapping[str, Any]) -> DataRecord:
    channels, height, width = values["shape"]
    return DataRecord(
        name=values["name"],
        classes=tuple(map(str, values["classes"])),
        shape=(channels, height, width),
        split=record_of(SplitRecord, values["split"]),
        digest=values["digest"],
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
        notes=tuple(values.get("notes", ())),
        warnings=tuple(values.get("warnings", ())),
        normalisation=values.get("normalisation", "data"),
    )


def _environment(values: Mapping[str, Any]) -> EnvironmentRecord:
    machine = {name: values[name] for name in ("device", "device_name", "threads")}
    versions = {name: str(value) for name, value in values.items() if name not in machine}
    return EnvironmentRecord(**machine, versions=versions)


def _by_network(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(values[name]) for name in NETWORKS}


def _tuples(values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(several) for name, several in values.items()}
