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

from prospr_engine.config import CHANNELS
from prospr_engine.data.images import ImageData, normalise
from prospr_engine.errors import EngineError, ExportError
from prospr_engine.events import OnEvent, Progress, StageStarted
from prospr_engine.export import runtime
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, EncodingSpec
from prospr_engine.export.export import write_file
from prospr_engine.export.interface import Interface
from prospr_engine.export.latency import BATCHES, REFERENCE, Latency, measure
from prospr_engine.export.traced import Traced, trace_network
from prospr_engine.io.files import zipped_size
from prospr_engine.models import is_file
from prospr_engine.network.device import explained_memory
from prospr_engine.pipeline.calibration import calibration_images
from prospr_engine.pipeline.estimate import SAME_WEIGHTS
from prospr_engine.pipeline.own_graph import afresh, template_for, trace_for
from prospr_engine.pipeline.record import GraphRecord
from prospr_engine.pipeline.result import Export
from prospr_engine.pipeline.setup import Prepared
from prospr_engine.pruning.masks import Masks
from prospr_engine.training.evaluate import Evaluation


@dataclass(frozen=True)
class Files:
    """The files of a run by encoding, why there is none in ``others``, and how fast they are. For
    a network from a file, ``graph`` says whether they have its graph."""

    exports: dict[str, Export]
    others: dict[str, str]
    latency: Latency
    graph: GraphRecord | None = None


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
    network, sample = networks["pruned"], prepared.batches[0][0]
    with explained_memory("the export", "choose a smaller model"):
        template, gone = template_for(config.model)
        traced, reason = trace_for(template, network, sample, masks, config.kind == CHANNELS)
        for name in config.encodings:
            row = ENCODINGS.find(name)
            path = folder / row.file()
            images = calibration_images(data, config.seed) if row.calibrated else None
            try:
                proof = write_file(traced, path, name, label, images)
            except ExportError as error:
                if name != PRIMARY:
                    missing[name] = str(error)
                    continue
                if not traced.template:
                    raise
                path.with_name(f"{path.name}.rejected").unlink(missing_ok=True)
                reason = str(error)
                traced = afresh(traced.template, network, sample, masks)
                proof = write_file(traced, path, name, label, images)
            accuracy, images_tested = _accuracy(path, row, traced.interface, data, tested, emit)
            exports[name] = Export(proof, zipped_size(path), accuracy, images_tested)
        latency = _latency(traced, networks["dense"], exports, emit)
    timed = {
        name: dataclasses.replace(export, latency_ms=latency.milliseconds(name))
        for name, export in exports.items()
    }
    graph = None
    if is_file(config.model):
        own = dataclasses.asdict(traced.interface)
        graph = GraphRecord(own=bool(traced.template), reason=reason or gone, **own)
    return Files(timed, missing, latency, graph)


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
                sample = traced.interface.restored(traced.inputs[0], traced.own_shape)
                model = trace_network(dense, torch.from_numpy(sample)).model()
            reference.write_bytes(model.SerializeToString())
        except (EngineError, OSError, ValueError) as error:
            return Latency(reason=f"The dense network could not be written to be timed. {error}")
        del model
        files = {name: export.path for name, export in exports.items()}
        batch = traced.interface.batch
        batches = BATCHES if batch is None else (batch,)
        return measure({REFERENCE: reference, **files}, traced.shape, waiting, batches)


def _accuracy(
    path: Path,
    row: EncodingSpec,
    interface: Interface,
    data: ImageData,
    known: Evaluation,
    emit: OnEvent,
) -> tuple[float, int]:
    """The accuracy of the file on the test images, and how many of them it answered. One with the
    network's own weights has the network's accuracy if both give the same class to a few."""
    count = len(data.test)
    if row.lossless:
        few = torch.linspace(0, count - 1, min(FEW, count)).round().long()
        found = _classes(path, interface, data, few, emit)
        if np.array_equal(found, known.predictions[few].numpy()):
            return known.accuracy, len(few)
    classes = _classes(path, interface, data, torch.arange(count), emit)
    return float((classes == data.test.labels.numpy()).mean()), count


def _classes(
    path: Path, interface: Interface, data: ImageData, chosen: Tensor, emit: OnEvent
) -> np.ndarray:
    """The classes that the file gives to the ``chosen`` test images."""
    size = interface.batch or BATCH
    step = size * max(1, BATCH // size)  # whole batches, but for the last

    def batches() -> Iterator[np.ndarray]:
        for place, images in enumerate(data.test.batches(chosen.split(step))):
            emit(Progress("export", place * step, len(chosen), "test images"))
            yield from interface.chunks(normalise(images, data.mean, data.std).numpy())

    answers = runtime.run(path, batches(), interface.output)
    return np.concatenate([logits.argmax(1) for logits in answers])[: len(chosen)]
