"""From settings to everything a run needs: images, network, calibration batches, recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from prospr_engine.config import CHANNELS, LoadingConfig, RunConfig
from prospr_engine.data.images import ImageData, normalise
from prospr_engine.data.load import load
from prospr_engine.data.normalisation import DATA
from prospr_engine.errors import ConfigError
from prospr_engine.events import OnEvent, StageStarted, ignore
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.identity import file_settings, file_values
from prospr_engine.io.files import digest_of
from prospr_engine.io.tokens import display_name, locate
from prospr_engine.models import MODELS, is_file, public_name
from prospr_engine.models.build import build_noted
from prospr_engine.models.imports.header import read_header
from prospr_engine.models.imports.network_file import describe
from prospr_engine.models.imports.state_dict import weights_file
from prospr_engine.models.rehearsal import rehearse
from prospr_engine.network.batches import Batch
from prospr_engine.network.device import best_precision, explained_memory, pick_device
from prospr_engine.network.prunable import prunable_weights, sizes_of
from prospr_engine.network.tied import untie
from prospr_engine.overrides import resolve
from prospr_engine.pipeline.cache import Shared
from prospr_engine.pipeline.calibration import reading_for
from prospr_engine.pipeline.checkpoint import Source
from prospr_engine.pipeline.given import class_note, given_of
from prospr_engine.pipeline.normalisation import choose
from prospr_engine.pipeline.rates import batch_size, learning_rate
from prospr_engine.pruning.budget import budget
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import find_control
from prospr_engine.structured.shrink import Structure
from prospr_engine.training.loop import Recipe


@dataclass(frozen=True)
class Prepared:
    """What scoring needs: the images, the network on its device, the calibration batches."""

    config: RunConfig
    device: torch.device
    data: ImageData
    model: nn.Module
    batches: list[Batch]
    source: Source
    """How to build the network again."""
    contents: dict[str, str]
    """The contents behind the settings that may name a file: see ``identity.dense_key``."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the network was fitted to the images."""
    normalisation: str = DATA
    """What ``data.mean`` and ``data.std`` are: see ``data.normalisation``."""

    @property
    def weights(self) -> str:
        """The initial weights: "fresh", "pretrained", or "sha256:" and a file's digest."""
        return self.contents["weights"]

    @property
    def given(self) -> bool:
        """Whether the weights were trained elsewhere, and are not new."""
        return self.config.given


def check(config: RunConfig) -> None:
    """Check what can be checked before any work: names, method options, device, and the header of
    a file of weights.

    Raises ``ConfigError``, or ``ModelError`` for the file.
    """
    MODELS.find(config.model)
    spec = METHODS.find(config.method)
    find_control(config.control)
    for encoding in config.encodings:
        ENCODINGS.find(encoding)
    spec.check(config.scoring.options)
    spec.check_kind(config.kind)
    if file := file_settings(config).get("weights"):
        read_header(weights_file(file), display_name(file))
    pick_device(config.device)


def prepare(
    config: RunConfig, on_event: OnEvent = ignore, shared: Shared | None = None
) -> Prepared:
    """Load the data (or reuse those in ``shared``), build the network, and draw the calibration
    batches."""
    check(config)
    device = pick_device(config.device)
    on_event(StageStarted("data", f"Reading {display_name(config.data)}"))
    reading = dataclasses.replace(config, loading=_loading(config))
    data = shared.images(reading) if shared else None
    if data is None:
        with explained_memory("the images", "set a smaller image size or a train limit"):
            data = load(config.data, reading.loading, config.seed, on_event)
        if shared:
            shared.keep_images(reading, data)
    on_event(StageStarted("model", f"Building {public_name(config.model)}"))
    with explained_memory("this network", "choose a smaller model or smaller images"):
        model, fitted = build_noted(
            config.model, data.shape, len(data.classes), config.seed, config.weights
        )
        model.to(device)
        if config.kind == CHANNELS:
            untie(model)
    check_budget(config, model, data.shape)
    given = given_of(config, model, data)
    scale = choose(config, data, model, given, device)
    if scale.name != DATA:
        data = scale.of(data)
    with explained_memory(*_MEMORY_TO_TRAIN):
        notes = rehearse(model, *_first_batch(config, data, device))
    transform = getattr(model, "transform_input", False)
    source = Source.of(config.model, data.shape, len(data.classes), transform)
    batches = _calibration_batches(config, data)
    # The images count by their pixels, however they are stored, and by how they are scaled.
    scaled = "" if scale.name == DATA else f" {scale.mean} {scale.std}"
    contents = contents_of(config, {"data": data.digest + scaled})
    order = class_note(given, data.classes) if given else ""
    notes = tuple(filter(None, (*fitted, order, scale.note, *notes)))
    return Prepared(config, device, data, model, batches, source, contents, notes, scale.name)


def _loading(config: RunConfig) -> LoadingConfig:
    """How images are read: what the settings leave open follows from a network's file."""
    return reading_for(
        config.loading, describe(config.model).shape if is_file(config.model) else ()
    )


_MEMORY_TO_TRAIN = (
    "a step of training",
    "set a smaller training batch or image size, or choose a smaller network",
)
FEW = 16
"""Images of the first batch on a processor, where nothing is gained by more."""


def _first_batch(config: RunConfig, data: ImageData, device: torch.device) -> Batch:
    """Training images as the network takes them; on a GPU as many as in training, for which the
    memory has to suffice."""
    count = len(data.train)
    size = FEW if device.type == "cpu" else batch_size(config, count)
    chosen = torch.linspace(0, count - 1, min(size, count)).round().long()
    images = data.train.images[chosen].to(device)
    return normalise(images, data.mean, data.std), data.train.labels[chosen].to(device)


def check_budget(config: RunConfig, model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Raise ``ConfigError`` if the sparsity, the floor and the settings of layers do not fit
    together in this network for images of ``shape`` (C, H, W), and ``ModelError`` if it has no
    channels to remove, before any work is done."""
    weights = prunable_weights(model)
    if config.kind == CHANNELS:
        resolve(config.layers, list(weights))
        Structure.of(model, torch.zeros(1, *shape)).check(
            config.sparsity, config.channel_budget, config.channel_multiple, config.layers
        )
        return
    budget(sizes_of(weights), config.sparsity, config.layer_floor, config.layers)


def contents_of(config: Any, known: Mapping[str, str]) -> dict[str, str]:
    """By each setting of ``config`` that may name a file: what is ``known``, or else the
    content of its file, or the value itself if it names none."""
    files = file_settings(config)
    return {
        name: known.get(name) or (content_of(files[name]) if name in files else str(value))
        for name, value in file_values(config).items()
    }


def content_of(file: str) -> str:
    """The content of the file at a path or token: "sha256:" and its digest. Raises
    ``ConfigError`` if it cannot be read."""
    try:
        return f"sha256:{digest_of(locate(file))}"
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None


def make_recipe(config: RunConfig, prepared: Prepared) -> Recipe:
    """Fill in the choices that the config leaves open."""
    training = config.training
    count = len(prepared.data.train)
    augmentation = training.augmentation
    return Recipe(
        epochs=config.epochs,
        batch_size=batch_size(config, count),
        lr=learning_rate(config, count),
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        schedule=training.schedule,
        augmentation=prepared.data.augmentation if augmentation == "auto" else augmentation,
        precision=best_precision(training.precision, prepared.device),
        seed=config.seed,
    )


def _calibration_batches(config: RunConfig, data: ImageData) -> list[Batch]:
    """Batches of training images drawn by the seed, disjoint while there are enough images."""
    count, size = len(data.train), min(config.scoring.batch_size, len(data.train))
    generator = torch.Generator().manual_seed(config.seed)
    needed = size * config.scoring.batches
    order = torch.cat(
        [torch.randperm(count, generator=generator) for _ in range(-(-needed // count))]
    )
    return [
        (normalise(data.train.images[chunk], data.mean, data.std), data.train.labels[chunk])
        for chunk in order[:needed].split(size)
    ]
