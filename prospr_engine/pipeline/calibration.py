"""Images by which encodings that need them choose how to round."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.data.images import ImageData, normalise
from prospr_engine.data.load import load
from prospr_engine.errors import DataError, EngineError
from prospr_engine.models import is_file

COLOURS = {1: "grey", 3: "colour"}
"""How images are read for so many channels."""
IMAGES, BATCH = 128, 32
"""Training images, and how many at a time: the ranges of what a network computes hardly change with
more."""


def calibration_images(data: ImageData, seed: int) -> list[Tensor]:
    """Batches of training images drawn by the seed, as the network takes them. A run and an export
    of it draw the same."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    chunks = order[:IMAGES].split(BATCH)
    return [normalise(data.train.images[chunk], data.mean, data.std) for chunk in chunks]


def reading_for(loading: LoadingConfig, shape: Sequence[int | None]) -> LoadingConfig:
    """``loading`` for a network that takes images of ``shape`` (C, H, W), None where any will do:
    what the settings leave open follows from it. () is any shape."""
    if not shape:
        return loading
    channels, height, width = shape
    colour = COLOURS.get(channels or 0, "auto")
    return dataclasses.replace(
        loading,
        image_size=loading.image_size or (height if height == width else None),
        colour=colour if loading.colour == "auto" else loading.colour,
    )


def images_of_run(folder: str | Path, label: Mapping[str, Any]) -> list[Tensor]:
    """Those of the finished run in ``folder``; ``label`` is that of its network. Raises
    ``DataError`` if its images cannot be read, or have changed."""
    needs = "This encoding rounds by training images of the run"
    try:
        config = RunConfig.read(Path(folder) / "config.json")
        loading = reading_for(config.loading, label["shape"] if is_file(config.model) else ())
        data = load(config.data, loading, config.seed)
    except EngineError as error:
        raise DataError(f"{needs}, which cannot be read. {error}") from None
    if data.digest != label["data"]["digest"]:
        raise DataError(
            f"{needs}, and those in {config.data} are others; restore them, or run the settings "
            "again."
        )
    scale = label["preprocessing"]
    mean, std = (tuple(map(float, scale[name])) for name in ("mean", "std"))
    return calibration_images(dataclasses.replace(data, mean=mean, std=std), config.seed)
