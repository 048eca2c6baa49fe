"""One run from start to end: data, network, scores, masks, training, test, export, proof."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.errors import Stopped
from prospr_engine.events import (
    EpochEnded,
    Event,
    Finished,
    OnEvent,
    Progress,
    StageStarted,
    ignore,
)
from prospr_engine.export.export import export_onnx
from prospr_engine.io.files import check_room, check_unused, write_atomically, zipped_size
from prospr_engine.io.tensors import save_tensors
from prospr_engine.network.device import explained_memory
from prospr_engine.pipeline.cache import Shared, key_of
from prospr_engine.pipeline.gallery import FILE as GALLERY
from prospr_engine.pipeline.labels import label_of
from prospr_engine.pipeline.predict import make_gallery
from prospr_engine.pipeline.prune import find_scores, make_masks
from prospr_engine.pipeline.result import RunResult, environment, per_class, split_record
from prospr_engine.pipeline.setup import check, make_recipe, prepare
from prospr_engine.pipeline.train import NETWORKS, decides_dense, train_both

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
    shared: Shared | None = None,
) -> RunResult:
    """Do the whole job and return its result.

    The folder ``out`` (a new temporary one by default) receives ``config.json``,
    ``scores.safetensors``, ``masks.safetensors``, ``dense.safetensors`` and
    ``pruned.safetensors`` (the trained networks), ``gallery.safetensors`` (test images with both
    networks' answers), ``model.onnx`` and ``result.json``, each as soon as it is known.
    ``on_event`` hears of the progress; ``should_stop`` is asked between steps and ends the run
    with ``Stopped``. What earlier runs left in ``shared`` is used instead of being computed, and
    this run leaves there what others can use. Same config, same machine, same result, with
    ``shared`` or without, but for the seconds.

    Raises ``ConfigError`` if ``out`` holds the finished run of another config and ``overwrite``
    is not set; else an ``EngineError`` that says what went wrong and what to do.
    """
    started = time.perf_counter()
    check(config)
    folder = _claim_folder(config, out, overwrite)
    tell = _stoppable(on_event, should_stop)

    prepared = prepare(config, tell, shared)
    check_room(folder, _bytes_to_write(prepared.model))
    scores, scoring = find_scores(prepared, folder / "scores.safetensors", tell, shared)
    pruning = make_masks(prepared, scores, tell)
    pruning.masks.save(folder / "masks.safetensors")

    recipe = make_recipe(config, prepared)
    key = key_of(decides_dense(prepared, recipe))
    known = shared.dense(key) if shared else None
    trained = train_both(prepared, recipe, pruning.masks, tell, known)
    accuracy = {name: test.accuracy for name, test in trained.tested.items()}
    labels = {name: label_of(name, prepared, pruning, accuracy) for name in NETWORKS}
    dense_file = folder / "dense.safetensors"
    if not (shared and known and shared.give_dense(key, dense_file)):
        save_tensors(dense_file, trained.networks["dense"].state_dict(), labels["dense"])
    if shared and not known:
        shared.keep_dense(key, dense_file, trained.history_of("dense"), trained.tested["dense"])
    pruned_file = folder / "pruned.safetensors"
    save_tensors(pruned_file, trained.networks["pruned"].state_dict(), labels["pruned"])
    answers = {name: test.predictions.numpy() for name, test in trained.tested.items()}
    gallery = make_gallery(trained.networks, answers, prepared.data, config.seed, prepared.device)
    gallery.save(folder / GALLERY)

    tell(StageStarted("export", "Writing the ONNX file and proving it"))
    with explained_memory("the export", "choose a smaller model"):
        proof = export_onnx(
            trained.networks["pruned"],
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
        loss={name: test.loss for name, test in trained.tested.items()},
        predictions={name: test.predictions.tolist() for name, test in trained.tested.items()},
        per_class=per_class(prepared.data, trained.tested),
        history=trained.history,
        recipe=dataclasses.asdict(recipe),
        data=split_record(prepared.data, config.seed),
        environment=environment(prepared.device),
        proof=proof,
        zipped=zipped_size(folder / "model.onnx"),
        out=folder,
        seconds=time.perf_counter() - started,
        seconds_of={
            "scoring": scoring,
            "training_dense": 0.0 if known else _seconds(trained.history_of("dense")),
            "training_pruned": _seconds(trained.history_of("pruned")),
        },
    )
    write_atomically(folder / "result.json", json.dumps(result.to_dict(), indent=2) + "\n")
    on_event(Finished(result.to_dict()))
    return result


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


def _seconds(epochs: tuple[EpochEnded, ...]) -> float:
    return sum(epoch.seconds for epoch in epochs)
