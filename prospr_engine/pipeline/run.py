"""One run from start to end: data, network, scores, masks, training, testing and export."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.errors import Stopped
from prospr_engine.events import (
    EpochEnded,
    Event,
    Finished,
    OnEvent,
    Progress,
    ignore,
)
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.identity import dense_key
from prospr_engine.io.files import check_room, check_unused, write_atomically
from prospr_engine.models import is_file, public_name
from prospr_engine.network.flops import operations
from prospr_engine.pipeline.cache import Shared
from prospr_engine.pipeline.checkpoint import Surgery, save_network
from prospr_engine.pipeline.files import write_files
from prospr_engine.pipeline.gallery import FILE as GALLERY
from prospr_engine.pipeline.predict import make_gallery
from prospr_engine.pipeline.prune import find_scores, make_masks
from prospr_engine.pipeline.record import RESULT
from prospr_engine.pipeline.result import (
    Pruning,
    RunResult,
    environment,
    per_class,
    right_alone,
    split_record,
)
from prospr_engine.pipeline.setup import Prepared, check, make_recipe, prepare
from prospr_engine.pipeline.train import train_both, train_first
from prospr_engine.pruning.masks import keep_all
from prospr_engine.saliency import METHODS
from prospr_engine.training.evaluate import Evaluation

ShouldStop = Callable[[], bool]

ARTIFACTS = (
    RESULT,
    "scores.safetensors",
    "masks.safetensors",
    "dense.safetensors",
    "pruned.safetensors",
    GALLERY,
)
COPIES = 4  # of the network's size among the files of a run, besides the ONNX files
SMALL_FILES = 5_000_000  # bytes of all other files


def run(
    config: RunConfig,
    on_event: OnEvent = ignore,
    should_stop: ShouldStop = lambda: False,
    out: str | Path | None = None,
    overwrite: bool = False,
    shared: Shared | None = None,
) -> RunResult:
    """Do a complete run and return its result.

    The folder ``out`` (a new temporary one by default) receives ``config.json``,
    ``scores.safetensors``, ``masks.safetensors``, ``dense.safetensors`` and
    ``pruned.safetensors`` (the trained networks), ``gallery.safetensors`` (test images with both
    networks' predictions), the ONNX files (``model.onnx`` and those of other encodings) and
    ``result.json``, each as soon as it is complete.
    ``on_event`` receives the progress; ``should_stop`` is called between steps and ends the run
    with ``Stopped``. Files of earlier runs in ``shared`` are reused instead of computed again, and
    this run adds its own. Same config, same machine, same result, with or without ``shared``,
    except for the seconds.

    Raises ``ConfigError`` if ``out`` contains a finished run of another config and ``overwrite``
    is not set; otherwise an ``EngineError`` that says what went wrong and what to do.
    """
    started = time.perf_counter()
    check(config)
    folder = _claim_folder(config, out, overwrite)
    emit = _stoppable(on_event, should_stop)

    prepared = prepare(config, emit, shared)
    check_room(folder, _bytes_to_write(prepared.model, config.encodings))
    recipe = make_recipe(config, prepared)
    machine = environment(prepared.device)
    key = dense_key(config, prepared.contents, dataclasses.asdict(recipe), machine)
    known = shared.dense(key) if shared else None
    dense_file = folder / "dense.safetensors"

    def save_dense(network: nn.Module, history: tuple[EpochEnded, ...], test: Evaluation) -> None:
        label = _label("dense", prepared, None, {"dense": test.accuracy})
        if not (shared and known and shared.give_dense(key, dense_file)):
            save_network(dense_file, network, label, prepared.source)
        if shared and not known:
            shared.keep_dense(key, dense_file, history, test)

    first = None
    if METHODS.find(config.method).after_training:
        prepared, first = train_first(prepared, recipe, emit, known)
        save_dense(prepared.model, first.history, first.tested)
    scores, scoring = find_scores(
        prepared, folder / "scores.safetensors", emit, shared, key if first else ""
    )
    pruning = make_masks(prepared, scores, emit)
    pruning.masks.save(folder / "masks.safetensors")
    trained = train_both(prepared, recipe, pruning, emit, known, first)
    accuracy = {name: test.accuracy for name, test in trained.tested.items()}
    if not first:
        dense = trained.networks["dense"]
        save_dense(dense, trained.history_of("dense"), trained.tested["dense"])
    label = _label("pruned", prepared, pruning, accuracy)
    pruned_file = folder / "pruned.safetensors"
    surgery = Surgery(pruning.cut.removed) if pruning.cut else None
    save_network(pruned_file, trained.networks["pruned"], label, prepared.source, surgery)
    answers = {name: test.predictions.numpy() for name, test in trained.tested.items()}
    gallery = make_gallery(trained.networks, answers, prepared.data, config.seed, prepared.device)
    gallery.save(folder / GALLERY)

    masks = keep_all(trained.networks["pruned"]) if pruning.cut else pruning.masks
    files = write_files(
        trained.networks,
        folder,
        prepared,
        masks,
        label,
        trained.tested["pruned"],
        emit,
    )
    result = RunResult(
        config=config,
        weights=prepared.weights,
        notes=prepared.notes,
        pruning=pruning,
        accuracy=accuracy,
        accuracy_at_pruning=trained.at_pruning,
        loss={name: test.loss for name, test in trained.tested.items()},
        predictions={name: test.predictions.tolist() for name, test in trained.tested.items()},
        per_class=per_class(prepared.data, trained.tested),
        right_alone=right_alone(prepared.data, trained.tested),
        operations={
            name: operations(network, prepared.data.shape)
            for name, network in trained.networks.items()
        },
        history=trained.history,
        recipe=dataclasses.asdict(recipe),
        data=split_record(prepared.data, config.seed, prepared.normalisation),
        environment=machine,
        exports=files.exports,
        not_exported=files.others,
        latency=files.latency,
        graph=files.graph,
        out=folder,
        seconds=time.perf_counter() - started,
        seconds_of={
            "scoring": scoring,
            "training_dense": 0.0 if known else _seconds(trained.history_of("dense")),
            "training_pruned": _seconds(trained.history_of("pruned")),
        },
    )
    write_atomically(folder / RESULT, json.dumps(result.to_dict(), indent=2) + "\n")
    on_event(Finished(result.to_dict()))
    return result


def _claim_folder(config: RunConfig, out: str | Path | None, overwrite: bool) -> Path:
    """The folder for the results, with ``config.json`` in it, so that a full disk fails early."""
    folder = Path(tempfile.mkdtemp(prefix="prospr-")) if out is None else Path(out)
    if not overwrite:
        check_unused(folder, config.fingerprint)
    text = json.dumps(config.to_dict(), indent=2) + "\n"
    write_atomically(folder / "config.json", text)
    for name in (*ARTIFACTS, *(row.file() for row in ENCODINGS.values())):
        # A run that fails half-way must not leave its files beside those of another.
        (folder / name).unlink(missing_ok=True)
    return folder


def _bytes_to_write(network: nn.Module, encodings: Sequence[str]) -> int:
    """The size of all files of a run, roughly: scores, two networks, the ONNX files, and one of
    them twice while it is written; masks, results and pictures are small."""
    tensors = network.state_dict().values()
    copies = COPIES + len(encodings)
    return copies * sum(tensor.nbytes for tensor in tensors) + SMALL_FILES


def _label(
    network: str, prepared: Prepared, pruning: Pruning | None, accuracy: dict[str, float]
) -> dict[str, Any]:
    """The label in the file of a network ("dense" or "pruned"; the dense one has no ``pruning``).
    It contains no times or paths, so that the same run on the same machine writes the same
    bytes."""
    config, data = prepared.config, prepared.data
    # Labels of networks that keep their channels stay as they were.
    kind = {"kind": config.kind} if pruning and pruning.cut else {}
    if pruning:
        sparsity = pruning.to_dict()["sparsity"]
    else:
        # Nothing about the pruned one: all runs with the same dense network share its file.
        config = config.dense
        sparsity = dict.fromkeys(("requested", "achieved", "effective"), 0.0)
    return {
        "network": network,
        "model": public_name(config.model),
        **({"model_file": prepared.contents["model"]} if is_file(config.model) else {}),
        "shape": list(data.shape),
        "transform_input": prepared.source.transform_input,
        "weights": prepared.weights,
        "method": config.method if pruning else None,
        "method_options": dict(pruning.scores.options) if pruning else {},
        "control": config.control,
        **kind,
        "sparsity": sparsity,
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


def _stoppable(on_event: OnEvent, should_stop: ShouldStop) -> OnEvent:
    """Pass events on, training progress at most five times a second, and stop on request."""
    last = 0.0

    def emit(event: Event) -> None:
        nonlocal last
        if should_stop():
            raise Stopped("The run was stopped.")
        if isinstance(event, Progress) and event.stage == "train":
            now = time.monotonic()
            if now - last < 0.2:
                return
            last = now
        on_event(event)

    return emit


def _seconds(epochs: tuple[EpochEnded, ...]) -> float:
    return sum(epoch.seconds for epoch in epochs)
