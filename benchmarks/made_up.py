"""Sweeps without training: made-up results that look and are stored like real ones.
Benchmarks and tests fill stores with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.saliency import METHODS
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
SEEDS = (0, 1, 2, 3, 4)
FULL = SweepConfig(methods=tuple(METHODS), sparsities=SPARSITIES, seeds=SEEDS)
"""All criteria: 11 x 6 x 5 runs."""

SHAPES = {
    "0.0.weight": (16, 1, 3, 3),
    "1.0.weight": (32, 16, 3, 3),
    "2.0.weight": (64, 32, 3, 3),
    "3.0.weight": (64, 64, 3, 3),
    "6.weight": (10, 64),
}
"""The layers of the small CNN, which the results are for."""
OPERATIONS = 304_768
"""Multiply-adds of the small CNN for one image."""
TEST = 359  # images
CLASSES = 10
FAILED = "The loss became NaN in epoch 2; lower the learning rate."


def swept(
    store: Store,
    owner: str,
    config: SweepConfig = FULL,
    name: str = "",
    fate: Callable[[RunConfig], str] = lambda config: "done",
) -> Study:
    """A sweep of ``owner`` whose runs end as ``fate`` says: "done", "failed", or "" for those that
    have not started."""
    study = store.submit_study("sweep", config, owner, name)
    for run in store.study_runs(study.id):
        if run.state == "queued" and not fate(run.config):
            break  # runs are claimed in order
        claimed = store.claim("test")
        if claimed is None:
            break  # the rest was already done
        end(store, claimed, fate(claimed.config))
    found = store.study(study.id)
    assert found
    return found


def end(store: Store, run: Run, state: str = "done") -> None:
    """Finish a running run."""
    if state == "failed":
        store.finish(run.id, "failed", FAILED)
        return
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    write(run.config, folder)
    store.finish(run.id, "done", folder=folder)


def write(config: RunConfig, folder: Path) -> None:
    """Write the files of a run of ``config`` that the comparison reads."""
    masks = made_up_masks(config)
    header = {"prospr": json.dumps({"names": list(masks), "metadata": {}})}
    (folder / "masks.safetensors").write_bytes(save(masks, header))
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "result.json").write_text(json.dumps(result(config, masks)))


def result(config: RunConfig, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    """A possible ``result.json`` of a run of ``config``."""
    layers = [
        {"name": name, "total": mask.size, "kept": int(mask.sum()), "effective": int(mask.sum()),
         "channels": mask.shape[0], "dead_channels": 0}
        for name, mask in masks.items()
    ]  # fmt: skip
    kept, total = (sum(layer[part] for layer in layers) for part in ("kept", "total"))
    share = kept / total if config.kind == CHANNELS else 1.0  # zeros are computed, too
    operations = {"dense": OPERATIONS, "pruned": round(OPERATIONS * share)}
    exports = _exports(config, kept, share)
    right = {"dense": _right(config, 0.0), "pruned": _right(config, config.sparsity)}
    accuracy = {network: sum(several) / TEST for network, several in right.items()}
    text = "Rounding does not decide this ranking: it was computed in float64."
    return {
        "method": config.method,
        "accuracy": accuracy,
        "loss": {network: 2.4 * (1 - share) for network, share in accuracy.items()},
        "sparsity": {
            "requested": config.sparsity,
            "achieved": 1 - kept / total,
            "effective": min(1.0, 1 - kept / total + 0.3 * (1 - config.sparsity) * (kept < 2000)),
        },
        "layers": layers,
        "findings": [{"level": "fine", "text": text, "layer": None}],
        "trust": {"trusted": True, "verdict": text},
        "config": config.to_dict(),
        "fingerprint": config.fingerprint,
        "history": _history(config, accuracy),
        "data": {
            "name": config.data,
            "classes": [str(number) for number in range(CLASSES)],
            "shape": [1, 8, 8],
            "split": {"seed": config.seed, "train": 1294, "validation": 144, "test": TEST},
            "digest": f"{config.seed:064x}",
            "mean": [0.3],
            "std": [0.4],
            "notes": [],
        },
        "onnx": exports["dense"],
        "exports": exports,
        "operations": operations,
        **({"structure": _structure(config, masks, operations)} if config.kind == CHANNELS else {}),
        "environment": {
            "prospr_engine": "0.3.0",
            "device": "cpu",
            "device_name": "x86_64",
            "threads": 1,
        },
        "predictions": {"dense": [0] * TEST, "pruned": [0] * TEST},
        "per_class": {"images": _images(), **right},
        "path": True,
        "training": {"epochs": config.epochs, "batch_size": 32, "lr": 0.05},
        "weights": "fresh",
        "out": "out",
        "seconds": 2.0,
        "seconds_of": {"scoring": 0.0, "training_dense": 0.0, "training_pruned": 1.5},
    }


def made_up_masks(config: RunConfig) -> dict[str, np.ndarray]:
    """Bool arrays by layer: criteria partly agree, and each prefers to keep certain layers."""
    common = np.random.default_rng([config.seed, 1])
    own = np.random.default_rng([config.seed, 2, *config.method.encode(), *config.control.encode()])
    places = {name: place for place, name in enumerate(METHODS)}
    taste = np.random.default_rng(places.get(config.method, 99))
    scores = {}
    for name, shape in SHAPES.items():
        shared, noise = common.random(shape), own.random(shape)
        weight = 0.0 if config.method.startswith("random") else 0.6
        scores[name] = weight * shared + (1 - weight) * noise + 0.12 * taste.random()
    if config.kind == CHANNELS:
        return _narrow(scores, math.sqrt(1 - config.sparsity))
    flat = np.concatenate([score.ravel() for score in scores.values()])
    kept = math.ceil(flat.size * (1 - config.sparsity))
    least = np.partition(flat, flat.size - kept)[flat.size - kept]
    return {name: score >= least for name, score in scores.items()}


def _narrow(scores: dict[str, np.ndarray], width: float) -> dict[str, np.ndarray]:
    """Masks that keep this share of the channels of every layer, and every class."""
    masks: dict[str, np.ndarray] = {}
    inputs = np.ones(1, dtype=bool)
    for name, score in scores.items():
        ranked = score.reshape(len(score), -1).sum(1)
        kept = len(ranked) if len(ranked) == CLASSES else math.ceil(len(ranked) * width)
        outputs = ranked >= np.partition(ranked, len(ranked) - kept)[len(ranked) - kept]
        both = np.logical_and.outer(outputs, inputs)
        masks[name] = np.broadcast_to(
            both.reshape(both.shape + (1,) * (score.ndim - 2)), score.shape
        ).copy()
        inputs = outputs
    return masks


def _structure(
    config: RunConfig, masks: dict[str, np.ndarray], operations: dict[str, int]
) -> dict[str, Any]:
    widths = [
        {"layer": name.removesuffix(".weight"), "before": len(mask),
         "after": int(mask.reshape(len(mask), -1).any(1).sum())}
        for name, mask in masks.items()
    ]  # fmt: skip
    amounts = {
        "channels": [sum(width[when] for width in widths) for when in ("before", "after")],
        "parameters": [sum(mask.size for mask in masks.values()),
                       sum(int(mask.sum()) for mask in masks.values())],
        "operations": [operations["dense"], operations["pruned"]],
    }  # fmt: skip
    return {
        "budget": config.channel_budget,
        "requested": config.sparsity,
        "achieved": config.sparsity,
        **{name: dict(zip(("before", "after"), pair, strict=True))
           for name, pair in amounts.items()},
        "widths": widths,
    }  # fmt: skip


def _exports(config: RunConfig, kept: int, share: float) -> dict[str, Any]:
    """The files of a run that keeps so many weights and this share of the computation."""
    luck = np.random.default_rng([config.seed, round(1e4 * config.sparsity), kept])
    small = config.kind == CHANNELS
    sizes = {
        "dense": (12_000 + 4 * kept if small else 254_422, int(3000 + 1.1 * 4 * kept * 0.93)),
        "compact": (12_500 + round(4.4 * kept), int(3400 + 4.2 * kept)),
    }
    return {
        name: {
            "path": "model.onnx" if name == "dense" else f"model-{name}.onnx",
            "bytes": bytes,
            "zipped": zipped,
            "latency_ms": round((0.03 + 0.2 * share) * luck.uniform(0.97, 1.03), 4),
            "ok": True,
            "checks": [],
        }
        for name, (bytes, zipped) in sizes.items()
    }


def _images() -> list[int]:
    return [TEST // CLASSES + (label < TEST % CLASSES) for label in range(CLASSES)]


def _right(config: RunConfig, sparsity: float) -> list[int]:
    """Images of each class that the network gets right: fewer at higher sparsity, fewest in the
    last classes."""
    place = list(METHODS).index(config.method) if sparsity else 0
    control = config.control if sparsity else "none"
    lost = (0.25 + 0.06 * place) * max(0.0, sparsity - 0.5) ** 6 / 0.5**6
    if sparsity and config.kind == CHANNELS:
        lost += 0.08 * sparsity**2
    lost += 0.04 * (control != "none") * sparsity**4
    own = [*config.method.encode(), *control.encode()] if sparsity else []
    luck = np.random.default_rng([config.seed, round(1e4 * sparsity), *own])
    share = np.clip(0.972 - lost + luck.normal(0, 0.004 + 0.05 * lost), 0.1, 1.0)
    wrong = round(TEST * (1 - share))
    images = _images()
    weights = np.array([3.0 if label > 6 else 1.0 for label in range(CLASSES)])
    missed = luck.multinomial(wrong, weights / weights.sum())
    missed = np.minimum(missed, images)
    for _ in range(wrong - int(missed.sum())):  # the excess over a class's images
        missed[int(np.argmax(np.array(images) - missed))] += 1
    return [int(number) for number in np.array(images) - missed]


def _history(config: RunConfig, accuracy: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "network": network,
            "epoch": epoch,
            "epochs": config.epochs,
            "train_loss": 2.3 * math.exp(-epoch),
            "train_accuracy": share * (1 - math.exp(-1.2 * epoch)),
            "validation_loss": 2.4 * math.exp(-0.9 * epoch) + 0.1,
            "validation_accuracy": share * (1 - math.exp(-1.1 * epoch)),
            "seconds": 0.4,
        }
        for network, share in accuracy.items()
        for epoch in range(1, config.epochs + 1)
    ]
