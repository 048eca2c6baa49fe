"""One run from start to end: data, network, scores, masks, training, test, export, proof."""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from prospr_engine.answers import make_gallery
from prospr_engine.config import RunConfig
from prospr_engine.data.images import normalise
from prospr_engine.device import explained_memory
from prospr_engine.errors import Stopped
from prospr_engine.events import (
    EpochEnded,
    Event,
    Finished,
    OnEvent,
    Progress,
    Pruned,
    StageStarted,
    ignore,
)
from prospr_engine.export.graph import export_onnx
from prospr_engine.files import check_room, check_unused, write_atomically
from prospr_engine.gallery import FILE as GALLERY
from prospr_engine.health import examine
from prospr_engine.masks import Masks, save_tensors
from prospr_engine.prepare import Prepared, check, make_recipe, prepare
from prospr_engine.result import Pruning, RunResult, environment, split_record
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.score import score
from prospr_engine.training.evaluate import Evaluation, evaluate
from prospr_engine.training.loop import Recipe, train

ShouldStop = Callable[[], bool]

ARTIFACTS = (
    "result.json",
    "model.onnx",
    "scores.safetensors",
    "masks.safetensors",
    "dense.safetensors",
    "pruned.safetensors",
    GALLERY,
)
COPIES = 5  # of the network's numbers among the files of a run
SMALL_FILES = 5_000_000  # bytes of the rest


def run(
    config: RunConfig,
    on_event: OnEvent = ignore,
    should_stop: ShouldStop = lambda: False,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> RunResult:
    """Do the whole job and return its result.

    The folder ``out`` (a new temporary one by default) receives ``config.json``,
    ``scores.safetensors``, ``masks.safetensors``, ``dense.safetensors`` and
    ``pruned.safetensors`` (the trained networks), ``gallery.safetensors`` (test images with both
    networks' answers), ``model.onnx`` and ``result.json``, each as soon as it is known.
    ``on_event`` hears of the progress; ``should_stop`` is asked between steps and ends the run
    with ``Stopped``. Same config, same machine, same result.

    Raises ``ConfigError`` if ``out`` holds the finished run of another config and ``overwrite``
    is not set; else an ``EngineError`` that says what went wrong and what to do.
    """
    started = time.perf_counter()
    check(config)
    folder = _claim_folder(config, out, overwrite)
    tell = _stoppable(on_event, should_stop)

    prepared = prepare(config, tell)
    check_room(folder, _bytes_to_write(prepared.model))
    pruning = prune(prepared, tell)
    pruning.scores.save(folder / "scores.safetensors")
    pruning.masks.save(folder / "masks.safetensors")

    networks = {"dense": copy.deepcopy(prepared.model), "pruned": prepared.model}
    pruning.masks.apply_to(networks["pruned"])
    recipe = make_recipe(config, prepared)
    history = _train_both(networks, prepared, recipe, pruning.masks, tell)
    tell(StageStarted("test", "Testing both networks on images neither has seen"))
    tested = {name: _test(network, prepared) for name, network in networks.items()}
    accuracy = {name: test.accuracy for name, test in tested.items()}
    labels = {name: provenance(name, prepared, pruning, accuracy) for name in networks}
    for name, network in networks.items():
        save_tensors(folder / f"{name}.safetensors", network.state_dict(), labels[name])
    answers = {name: test.predictions.numpy() for name, test in tested.items()}
    gallery = make_gallery(networks, answers, prepared.data, config.seed, prepared.device)
    gallery.save(folder / GALLERY)

    tell(StageStarted("export", "Writing the ONNX file and proving it"))
    with explained_memory("the export", "choose a smaller model"):
        proof = export_onnx(
            networks["pruned"],
            folder / "model.onnx",
            prepared.batches[0][0],
            masks=pruning.masks,
            metadata=labels["pruned"],
        )
    result = RunResult(
        config=config,
        weights=prepared.weights,
        pruning=pruning,
        accuracy=accuracy,
        loss={name: test.loss for name, test in tested.items()},
        predictions={name: test.predictions.tolist() for name, test in tested.items()},
        history=tuple(history),
        recipe=dataclasses.asdict(recipe),
        data=split_record(prepared.data, config.seed),
        environment=environment(prepared.device),
        proof=proof,
        out=folder,
        seconds=time.perf_counter() - started,
    )
    write_atomically(folder / "result.json", json.dumps(result.to_dict(), indent=2) + "\n")
    on_event(Finished(result.to_dict()))
    return result


def prune(prepared: Prepared, on_event: OnEvent = ignore) -> Pruning:
    """Score the network, make the masks, and examine what they do, before any training."""
    config = prepared.config
    spec = METHODS.find(config.method)
    options = dict(config.scoring.options)
    if any(option.name == "seed" for option in spec.options):
        options.setdefault("seed", config.seed)
    on_event(StageStarted("score", f"Scoring the weights with {spec.label}"))
    remedy = "set a smaller calibration batch, or choose a smaller model or smaller images"
    with explained_memory("scoring", remedy):
        scores = score(
            prepared.model,
            prepared.batches,
            config.method,
            precision=config.scoring.precision,
            on_event=on_event,
            **options,
        )
    on_event(StageStarted("prune", "Keeping the weights with the highest scores"))
    masks = scores.masks(config.sparsity, config.layer_floor)
    masks.metadata.update(model=config.model, seed=config.seed, data=prepared.data.name)
    with explained_memory("the examination of the masks", "choose smaller images"):
        health = examine(prepared.model, masks, prepared.batches[0][0])
    pruning = Pruning(scores, masks, health)
    told = pruning.to_dict()
    on_event(Pruned(told["sparsity"], told["layers"], told["findings"], told["trust"]))
    return pruning


def provenance(
    network: str, prepared: Prepared, pruning: Pruning, accuracy: dict[str, float]
) -> dict[str, Any]:
    """What the file of a network ("dense" or "pruned") says of itself. No clock and no path, so
    that the same run on the same machine writes the same bytes."""
    config, data = prepared.config, prepared.data
    sparsity = pruning.to_dict()["sparsity"]
    return {
        "network": network,
        "model": config.model,
        "shape": list(data.shape),
        "transform_input": getattr(prepared.model, "transform_input", False),
        "weights": prepared.weights,
        "method": config.method if network == "pruned" else None,
        "method_options": dict(pruning.scores.options) if network == "pruned" else {},
        "sparsity": sparsity if network == "pruned" else dict.fromkeys(sparsity, 0.0),
        "seed": config.seed,
        "epochs": config.epochs,
        "data": {"name": data.name, "digest": data.digest},
        "classes": list(data.classes),
        # What to feed: (pixel / 255 − mean) / std, per channel.
        "preprocessing": {"scale": 255, "mean": list(data.mean), "std": list(data.std)},
        "accuracy": accuracy,
        "fingerprint": config.fingerprint,
        "environment": environment(prepared.device),
    }


def _train_both(
    networks: dict[str, nn.Module],
    prepared: Prepared,
    recipe: Recipe,
    masks: Masks,
    tell: OnEvent,
) -> list[EpochEnded]:
    """Train dense and pruned in turns, epoch by epoch, on the same batches in the same order."""
    tell(StageStarted("train", "Training the dense and the pruned network side by side"))
    data = prepared.data
    epochs_done = 0
    history = []

    def on_batch(done: int, total: int) -> None:
        whole = len(networks) * recipe.epochs * total
        tell(Progress("train", epochs_done * total + done, whole, "batches"))

    sessions = [
        train(
            network,
            data.train,
            data.validation,
            lambda images: normalise(images, data.mean, data.std),
            recipe,
            prepared.device,
            masks=masks if name == "pruned" else None,
            network=name,
            on_batch=on_batch,
        )
        for name, network in networks.items()
    ]
    with explained_memory("training", "set a smaller training batch or choose a smaller model"):
        for _ in range(recipe.epochs):
            for session in sessions:
                epoch = next(session)
                epochs_done += 1
                history.append(epoch)
                tell(epoch)
        for session in sessions:
            # Past its last epoch a session asserts that what was pruned is zero.
            next(session, None)
    return history


def _test(network: nn.Module, prepared: Prepared) -> Evaluation:
    data = prepared.data
    network.to(prepared.device)
    return evaluate(
        network,
        data.test,
        lambda images: normalise(images, data.mean, data.std),
        prepared.device,
    )


def _claim_folder(config: RunConfig, out: str | Path | None, overwrite: bool) -> Path:
    """The folder for the results, with ``config.json`` in it: a full disk shows here, early."""
    folder = Path(tempfile.mkdtemp(prefix="prospr-")) if out is None else Path(out)
    if not overwrite:
        check_unused(folder, config.fingerprint)
    text = json.dumps(config.to_dict(), indent=2) + "\n"
    write_atomically(folder / "config.json", text)
    for name in ARTIFACTS:  # A run that fails half-way must not stand beside files of another.
        (folder / name).unlink(missing_ok=True)
    return folder


def _bytes_to_write(network: nn.Module) -> int:
    """Of all files of a run, roughly: scores, two networks, the ONNX file and room for one of
    them to lie there twice while it is written; masks, figures and pictures are small."""
    tensors = network.state_dict().values()
    return COPIES * sum(tensor.nbytes for tensor in tensors) + SMALL_FILES


def _stoppable(on_event: OnEvent, should_stop: ShouldStop) -> OnEvent:
    """Pass events on, progress of one stage at most five times a second, and stop if asked."""
    last = 0.0

    def tell(event: Event) -> None:
        nonlocal last
        if should_stop():
            raise Stopped("The run was stopped, as asked.")
        if isinstance(event, Progress) and event.stage == "train":
            now = time.monotonic()
            if now - last < 0.2:
                return
            last = now
        on_event(event)

    return tell
