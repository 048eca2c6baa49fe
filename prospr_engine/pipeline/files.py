"""The ONNX files of a run, each verified and tested."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prospr_engine.data.images import ImageData, normalise
from prospr_engine.errors import EngineError, ExportError
from prospr_engine.events import OnEvent, Progress, StageStarted
from prospr_engine.export import runtime
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, EncodingSpec
from prospr_engine.export.export import write_file
from prospr_engine.export.latency import REFERENCE, Latency, measure
from prospr_engine.export.traced import Traced, trace_network
from prospr_engine.io.files import zipped_size
from prospr_engine.network.device import explained_memory
from prospr_engine.pipeline.calibration import calibration_images
from prospr_engine.pipeline.estimate import SAME_WEIGHTS
from prospr_engine.pipeline.result import Export
from prospr_engine.pipeline.setup import Prepared
from prospr_engine.pruning.masks import Masks
from prospr_engine.training.evaluate import Evaluation


@dataclass(frozen=True)
class Files:
    """The files of a run by encoding, why there is none in ``others``, and how fast they are."""

    exports: dict[str, Export]
    others: dict[str, str]
    latency: Latency


FEW = SAME_WEIGHTS
"""Test images on which a file with the network's very weights has to agree with it."""
BATCH = 64


def write_files(
    networks: Mapping[str, nn.Module],
    folder: Path,
    prepared: Prepared,
    masks: Masks,
    label: Mapping[str, Any],
    tested: Evaluation,
    emit: OnEvent,
) -> Files:
    """A file of the pruned network in every encoding that the settings name; only the dense file
    has to succeed. ``tested`` is how the network did on the test images."""
    config, data = prepared.config, prepared.data
    emit(StageStarted("export", "Writing and verifying the ONNX files"))
    exports, missing = {}, {}
    with explained_memory("the export", "choose a smaller model"):
        traced = trace_network(networks["pruned"], prepared.batches[0][0], masks)
        for name in config.encodings:
            row = ENCODINGS.find(name)
            path = folder / row.file()
            images = calibration_images(data, config.seed) if row.calibrated else None
            try:
                proof = write_file(traced, path, name, label, images)
            except ExportError as error:
                if name == PRIMARY:
                    raise
                missing[name] = str(error)
                continue
            accuracy, images_tested = _accuracy(path, row, data, tested, emit)
            exports[name] = Export(proof, zipped_size(path), accuracy, images_tested)
        latency = _latency(traced, networks["dense"], exports, emit)
    timed = {
        name: dataclasses.replace(export, latency_ms=latency.milliseconds(name))
        for name, export in exports.items()
    }
    return Files(timed, missing, latency)


def _latency(
    traced: Traced, dense: nn.Module, exports: Mapping[str, Export], emit: OnEvent
) -> Latency:
    """How fast the files are, beside one of the dense network: of the same graph with other
    weights, if channels were not removed."""
    waiting = partial(emit, Progress("export", 0, 1, "", "Timing the files"))
    waiting()
    with tempfile.TemporaryDirectory(prefix="prospr-timing-") as folder:
        reference = Path(folder, "unpruned.onnx")
        try:
            model = traced.with_weights_of(dense)
            if model is None:
                model = trace_network(dense, torch.from_numpy(traced.inputs[0])).model()
            reference.write_bytes(model.SerializeToString())
        except (EngineError, OSError, ValueError) as error:
            return Latency(reason=f"The dense network could not be written to be timed. {error}")
        del model
        files = {name: export.path for name, export in exports.items()}
        return measure({REFERENCE: reference, **files}, traced.shape, waiting)


def _accuracy(
    path: Path, row: EncodingSpec, data: ImageData, known: Evaluation, emit: OnEvent
) -> tuple[float, int]:
    """The accuracy of the file on the test images, and how many of them it answered. One with the
    network's own weights has the network's accuracy if both give the same class to a few."""
    count = len(data.test)
    if row.lossless:
        few = torch.linspace(0, count - 1, min(FEW, count)).round().long()
        if np.array_equal(_classes(path, data, few, emit), known.predictions[few].numpy()):
            return known.accuracy, len(few)
    classes = _classes(path, data, torch.arange(count), emit)
    return float((classes == data.test.labels.numpy()).mean()), count


def _classes(path: Path, data: ImageData, chosen: Tensor, emit: OnEvent) -> np.ndarray:
    """The classes that the file gives to the ``chosen`` test images."""

    def batches() -> Iterator[np.ndarray]:
        for place, images in enumerate(data.test.batches(chosen.split(BATCH))):
            emit(Progress("export", place * BATCH, len(chosen), "test images"))
            yield normalise(images, data.mean, data.std).numpy()

    return np.concatenate([logits.argmax(1) for logits in runtime.run(path, batches())])
