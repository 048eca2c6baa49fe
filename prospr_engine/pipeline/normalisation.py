"""The normalisation that suits a network: the one chosen, or for given weights the one they were
trained with, as far as that can be found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.data.images import ImageData, normalise
from prospr_engine.data.normalisation import (
    AUTO,
    DATA,
    IMAGENET,
    RANGES,
    WORDS,
    Statistics,
    for_channels,
    statistics,
)
from prospr_engine.format import accuracy
from prospr_engine.network.batchnorm_fit import mismatch
from prospr_engine.network.foreign import set_mode
from prospr_engine.pipeline.given import Given

IMAGES, BATCH = 512, 64
"""Training images on which the given network is tried, and how many at a time."""
CLEARLY = 4.0
"""Standard errors by which the network has to beat the commonest class before its accuracy says
anything: five tries, and a classifier that may be new."""
SAME, FITS, CLEARER = 0.02, 1.0, 1.5
"""Mismatches with the statistics of batch norm (see ``network.batchnorm_fit``): below the first,
images are like those of training; above the second, they say nothing; and the second best has to be
that many times worse. With the right scale, images of training are at 0.0001 and others at 0.1 to
0.7; with a wrong one they are at 0.1 to 10,000."""


@dataclass(frozen=True)
class Scale:
    """A ``mean`` and ``std`` per channel, what it is called, and a sentence on why it was chosen
    ("" if there was no choice)."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str = ""

    def of(self, data: ImageData) -> ImageData:
        """The images with this normalisation."""
        return dataclasses.replace(data, mean=self.mean, std=self.std)


def choose(
    config: RunConfig,
    data: ImageData,
    model: nn.Module,
    given: Given | None,
    device: torch.device,
) -> Scale:
    """The normalisation of ``data`` for ``model``, which is on ``device``. ``given`` is None for
    new weights. Draws nothing, and leaves the model as it was."""
    own: Statistics = data.mean, data.std
    channels = data.shape[0]
    wanted = config.loading.normalisation
    if wanted != AUTO:
        return Scale(wanted, *statistics(wanted, channels, own))
    if given is None:
        return Scale(DATA, *own)
    if declared := _declared(given, channels):
        return declared
    names = [IMAGENET, DATA, *RANGES] if given.imagenet else [DATA, IMAGENET, *RANGES]
    scales = [Scale(name, *statistics(name, channels, own)) for name in names]
    if given.classifier:
        found = [_right(model, data, scale, config.seed, device) for scale in scales]
        best = max(range(len(found)), key=lambda place: found[place])
        if found[best] > _by_guessing(data):
            scale = scales[best]
            return dataclasses.replace(
                scale,
                note=f"Pixels are scaled {WORDS[scale.name]}: of five ways this is the one with "
                f"which the given network gets most training images right "
                f"({accuracy(found[best])}).",
            )
    if found_scale := _by_batch_norm(model, data, scales, config.seed, device):
        return found_scale
    first = scales[0]
    return dataclasses.replace(
        first,
        note=f"Pixels are scaled {WORDS[first.name]}; how the given weights were trained is not "
        "known. If it was otherwise, set the normalisation.",
    )


def _by_batch_norm(
    model: nn.Module, data: ImageData, scales: Sequence[Scale], seed: int, device: torch.device
) -> Scale | None:
    """The scale with which the images fit the statistics that the network remembers from training;
    None if it remembers none, or if it cannot be told."""
    images = data.train.images[_sample(data, seed)]

    def of(scale: Scale) -> float | None:
        batches = (
            normalise(chunk.to(device), scale.mean, scale.std) for chunk in images.split(BATCH)
        )
        return mismatch(model, batches)

    found = {scale: fit for scale in scales if (fit := of(scale)) is not None and isfinite(fit)}
    if len(found) < len(scales):
        return None
    own = next(scale for scale in scales if scale.name == DATA)
    # Scaled by their own statistics, images of any data fit quite well.
    if found[own] < SAME and found[own] == min(found.values()):
        best = own
    else:
        best, second = sorted(
            (scale for scale in scales if scale is not own), key=found.__getitem__
        )[:2]
        if found[best] > FITS or found[second] < CLEARER * found[best]:
            return None
    return dataclasses.replace(
        best,
        note=f"Pixels are scaled {WORDS[best.name]}: of five ways this is the one with which the "
        "images fit what the network's batch norm remembers from training.",
    )


def _declared(given: Given, channels: int) -> Scale | None:
    """What the file of the weights says of it, or the library that published them."""
    written = given.label.get("preprocessing")
    if isinstance(written, Mapping):
        scale = _scale("file", written, channels)
        if scale and written.get("scale") == 255:
            return dataclasses.replace(
                scale, note="Pixels are scaled as the file of the weights says."
            )
    if published := given.published:
        return Scale(
            "published",
            *for_channels((published.mean, published.std), channels),
            "Pixels are scaled as the published weights were trained.",
        )
    return None


def _scale(name: str, values: Mapping[str, Any], channels: int) -> Scale | None:
    try:
        mean, std = (tuple(map(float, values[key])) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        return None
    usable = len(mean) == len(std) == channels and all(0 < value < 1e6 for value in std)
    return Scale(name, mean, std) if usable else None


def _sample(data: ImageData, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(len(data.train), generator=generator)[:IMAGES]


def _right(
    model: nn.Module, data: ImageData, scale: Scale, seed: int, device: torch.device
) -> float:
    """The share of some training images that the network gets right."""
    was_training = model.training
    set_mode(model, False)
    right = count = 0
    try:
        with torch.inference_mode():
            for chunk in _sample(data, seed).split(BATCH):
                x = normalise(data.train.images[chunk].to(device), scale.mean, scale.std)
                answer = model(x).argmax(1).cpu()
                right += int((answer == data.train.labels[chunk]).sum())
                count += len(chunk)
    finally:
        set_mode(model, was_training)
    return right / count


def _by_guessing(data: ImageData) -> float:
    """An accuracy on the sample that guessing does not reach."""
    share = float(torch.bincount(data.train.labels).max()) / len(data.train)
    error = (share * (1 - share) / min(IMAGES, len(data.train))) ** 0.5
    return min(share + CLEARLY * error, 0.999)
