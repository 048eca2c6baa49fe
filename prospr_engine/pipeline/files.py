"""The ONNX files of a run, each verified and tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prospr_engine.data.images import ImageData, normalise
from prospr_engine.errors import ExportError
from prospr_engine.events import OnEvent, Progress, StageStarted
from prospr_engine.export import runtime
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, EncodingSpec
from prospr_engine.export.export import write_file
from prospr_engine.export.traced import trace_network
from prospr_engine.io.files import zipped_size
from prospr_engine.network.device import explained_memory
from prospr_engine.pipeline.calibration import calibration_images
from prospr_engine.pipeline.result import Export
from prospr_engine.pipeline.setup import Prepared
from prospr_engine.pruning.masks import Masks
from prospr_engine.training.evaluate import Evaluation

FEW = 256
"""Test images on which a file with the network's very weights has to agree with it."""
BATCH = 64


def write_files(
    network: nn.Module,
    folder: Path,
    prepared: Prepared,
    masks: Masks,
    label: Mapping[str, Any],
    tested: Evaluation,
    emit: OnEvent,
) -> tuple[dict[str, Export], dict[str, str]]:
    """A file of ``network`` in every encoding that the settings name, and why there is none in the
    others: only the dense file has to succeed. ``tested`` is how the network did on the test
    images."""
    config, data = prepared.config, prepared.data
    emit(StageStarted("export", "Writing and verifying the ONNX files"))
    exports, missing = {}, {}
    with explained_memory("the export", "choose a smaller model"):
        traced = trace_network(network, prepared.batches[0][0], masks)
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
    return exports, missing


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
        for start in range(0, len(chosen), BATCH):
            emit(Progress("export", start, len(chosen), "test images"))
            images = data.test.images[chosen[start : start + BATCH]]
            yield normalise(images, data.mean, data.std).numpy()

    return np.concatenate([logits.argmax(1) for logits in runtime.run(path, batches())])
