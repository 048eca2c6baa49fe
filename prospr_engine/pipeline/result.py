"""The result of a run, and the environment and data that it depends on."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from prospr_engine.config import RunConfig
from prospr_engine.data.images import ImageData
from prospr_engine.events import EpochEnded
from prospr_engine.export.encodings import PRIMARY
from prospr_engine.export.latency import Latency
from prospr_engine.export.proof import Proof
from prospr_engine.pipeline.divergence import divergence
from prospr_engine.pipeline.record import FORMAT, NETWORKS, GraphRecord, RunRecord
from prospr_engine.pruning.health import Finding, Health, LayerHealth
from prospr_engine.pruning.masks import Masks
from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.diagnostics import Diagnostics, plain
from prospr_engine.structured.shrink import Shrunk
from prospr_engine.training.evaluate import Evaluation
from prospr_engine.version import VERSION


@dataclass(frozen=True)
class Pruning:
    """Scores, the masks that follow from them, and their effect on the network. Where channels
    are removed, ``cut`` has the smaller network, and ``masks`` are those of the whole one."""

    scores: Scores
    masks: Masks
    health: Health
    cut: Shrunk | None = None

    @property
    def weight_masks(self) -> Masks | None:
        """The masks that training has to enforce; None if the removed weights do not exist."""
        return None if self.cut else self.masks

    @property
    def trust(self) -> Diagnostics:
        """The verdict on the scores and on the choice that was made by them."""
        equals = self.masks.metadata.get("chosen_among_equals", 0)
        return self.scores.diagnostics.with_equals(equals, self.masks.kept)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings for the user: those of the health check and the verdict on the scores."""
        level = "fine" if self.trust.trusted else "warning"
        return (*self.health.findings, Finding(level, self.trust.verdict))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, under the same names as in ``RunResult.to_dict``."""
        return {
            "method": self.scores.method,
            "sparsity": {
                "requested": self.masks.metadata["sparsity"],
                "achieved": self.masks.sparsity,
                "effective": self.health.effective_sparsity,
            },
            "layers": [self._layer(layer) for layer in self.health.layers],
            "path": self.health.path,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "trust": plain(dataclasses.asdict(self.trust)),
            **({"structure": structure(self.cut)} if self.cut else {}),
        }

    def _layer(self, layer: LayerHealth) -> dict[str, Any]:
        settings = self.masks.metadata.get("layers", {})
        own = {"setting": settings[layer.name]} if layer.name in settings else {}
        return dataclasses.asdict(layer) | own


def structure(cut: Shrunk) -> dict[str, Any]:
    """What the removal of channels left, as JSON-ready values: see ``StructureRecord``."""
    return {
        "budget": cut.budget,
        "requested": cut.requested,
        "achieved": cut.achieved,
        "channels": dataclasses.asdict(cut.channels),
        "parameters": dataclasses.asdict(cut.parameters),
        "operations": dataclasses.asdict(cut.operations),
        "widths": [dataclasses.asdict(width) for width in cut.widths],
    }


@dataclass(frozen=True)
class Export:
    """One ONNX file of a run: its proof, the size of a zip that contains only the file, and what
    was measured with it, as in ``record.ExportRecord``."""

    proof: Proof
    zipped: int
    accuracy: float | None = None
    images_tested: int | None = None
    latency_ms: float | None = None

    @property
    def path(self) -> Path:
        """Where the file was written."""
        return Path(self.proof.path)

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.proof.bytes

    @property
    def tolerance(self) -> float | None:
        """The allowed difference between logits."""
        return self.proof.tolerance

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: see ``record.ExportRecord``."""
        proof = self.proof.to_dict()
        return {
            "path": proof["path"],
            "bytes": proof["bytes"],
            "zipped_bytes": self.zipped,
            "zipped": self.zipped,  # where readers of 0.5 look for it
            "max_abs_error": proof["max_abs_error"],
            "tolerance": proof["tolerance"],
            "zeros": proof["zeros"],
            "zeros_expected": proof["zeros_expected"],
            "accuracy": self.accuracy,
            "images_tested": self.images_tested,
            "latency_ms": self.latency_ms,
            "ok": proof["ok"],
            "checks": proof["checks"],
        }


@dataclass(frozen=True)
class RunResult:
    """The result of ``run``. Accuracies are fractions on the test images, losses mean
    cross-entropies (nats), both by network ("dense", "pruned"); ``accuracy_at_pruning`` has
    those of a network that was trained before it was pruned, before and right after;
    ``predictions`` are the classes predicted for the test images, in order; ``per_class`` has the
    number of test ``images`` of each class and how many of them each network gets right;
    ``right_alone`` has the number of test
    images that each gets right and the other does not; ``operations`` are the multiply-adds of each
    for one image; ``weights`` are the initial weights, as in ``Prepared``; ``exports`` are the ONNX
    files by encoding, ``not_exported`` why others could not be written, ``latency`` how fast they
    are, ``graph`` whether they have the graph of the file that the network is from. ``seconds`` is
    wall time, ``seconds_of`` the share of scoring and training, 0 where an earlier run's was
    reused; ``notes`` say how the network was fitted to the images."""

    config: RunConfig
    weights: str
    pruning: Pruning
    accuracy: dict[str, float]
    accuracy_at_pruning: dict[str, float]
    loss: dict[str, float]
    predictions: dict[str, list[int]]
    per_class: dict[str, list[int]]
    right_alone: dict[str, int]
    operations: dict[str, int]
    history: tuple[EpochEnded, ...]
    recipe: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    exports: dict[str, Export]
    not_exported: dict[str, str]
    latency: Latency
    graph: GraphRecord | None
    out: Path
    seconds: float
    seconds_of: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def proof(self) -> Proof:
        """The proof of ``model.onnx``, the dense-encoded ONNX file."""
        return self.exports[PRIMARY].proof

    @property
    def zipped(self) -> int:
        """Bytes of a zip that contains only ``model.onnx``."""
        return self.exports[PRIMARY].zipped

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of pruning, and that training diverged, if it did."""
        lr, images = self.recipe.get("lr"), self.per_class["images"]
        text = divergence(self.loss, self.accuracy, self.history, images, lr)
        return (*([Finding("danger", text)] if text else []), *self.pruning.findings)

    @property
    def record(self) -> RunRecord:
        """The content of ``result.json``, typed."""
        return RunRecord.from_dict(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready values: the content of ``result.json`` and ``--json``."""
        exports = {encoding: export.to_dict() for encoding, export in self.exports.items()}
        return {
            "format": FORMAT,
            "fingerprint": self.config.fingerprint,
            "accuracy": self.accuracy,
            **(
                {"accuracy_at_pruning": self.accuracy_at_pruning}
                if self.accuracy_at_pruning
                else {}
            ),
            "loss": self.loss,
            **self.pruning.to_dict(),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "onnx": exports[PRIMARY],  # where readers of 0.3 look for it
            "exports": exports,
            "not_exported": self.not_exported,
            "latency": self.latency.to_dict(),
            **({"graph": dataclasses.asdict(self.graph)} if self.graph else {}),
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "weights": self.weights,
            **({"notes": list(self.notes)} if self.notes else {}),
            "training": self.recipe,
            "data": self.data,
            "config": self.config.to_dict(),
            "environment": self.environment,
            "predictions": self.predictions,
            "per_class": self.per_class,
            "right_alone": self.right_alone,
            "operations": self.operations,
            "out": str(self.out),
            "seconds": self.seconds,
            "seconds_of": self.seconds_of,
        }


def environment(device: torch.device) -> dict[str, Any]:
    """The versions and the device that a result depends on."""
    packages = ("torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "numpy")
    return {
        "prospr_engine": VERSION,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.machine(),
        "threads": torch.get_num_threads(),
    }


def split_record(data: ImageData, seed: int, normalisation: str) -> dict[str, Any]:
    """The data of a run: enough to know whether another run used the same."""
    return {
        "name": data.name,
        "classes": list(data.classes),
        "shape": list(data.shape),
        "split": {"seed": seed, **{part: len(split) for part, split in data.splits.items()}},
        "digest": data.digest,
        "mean": list(data.mean),
        "std": list(data.std),
        "normalisation": normalisation,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }


def per_class(data: ImageData, tested: Mapping[str, Evaluation]) -> dict[str, list[int]]:
    """In the order of the classes: test ``images`` of each, and how many each network gets
    right."""
    labels, classes = data.test.labels, len(data.classes)
    right = {
        name: torch.bincount(labels[test.predictions == labels], minlength=classes).tolist()
        for name, test in tested.items()
    }
    return {"images": torch.bincount(labels, minlength=classes).tolist(), **right}


def right_alone(data: ImageData, tested: Mapping[str, Evaluation]) -> dict[str, int]:
    """By network, the number of test images that it gets right and the other does not."""
    dense, pruned = (tested[name].predictions == data.test.labels for name in NETWORKS)
    counts = (dense & ~pruned, pruned & ~dense)
    return {name: int(right.sum()) for name, right in zip(NETWORKS, counts, strict=True)}
