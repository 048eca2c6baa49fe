"""What ``load`` reads from: labels known at once, and pixels read on demand.

Splits are decided from the labels alone, so that only the chosen images are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.config import LoadingConfig
from prospr_engine.data.depth import Range
from prospr_engine.data.memory import fits
from prospr_engine.data.streamed import Decoder, Images, Streamed
from prospr_engine.events import OnEvent

CHUNK = 4096  # images resized at a time


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images, uint8 (K, C, H, W); which of the N requested these are, bool (N,); notes on them; the
    ranges of values that were converted to 8 bits; and whether any had more than 8 bits."""

    images: Images
    kept: np.ndarray
    notes: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()
    deep: bool = False


Read = Callable[[np.ndarray, LoadingConfig, OnEvent], Pixels]


@dataclass(frozen=True, eq=False)
class Source:
    """Images numbered from 0 to N - 1.

    ``labels`` is int64 (N,); ``parts`` has the numbers of the images of ``"train"`` and, if the
    data have them, of ``"validation"`` and ``"test"``. ``read`` takes the numbers of the wanted
    images, in the wanted order.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    parts: Mapping[str, np.ndarray]
    read: Read
    notes: tuple[str, ...] = ()


def array_source(
    classes: tuple[str, ...],
    parts: Mapping[str, tuple[Tensor, Tensor]],
    notes: tuple[str, ...] = (),
) -> Source:
    """A source over images in memory: uint8 (N, C, H, W) and labels (N,) by part. If a copy of
    the chosen ones, of the wanted size, does not fit beside them, each is scaled whenever it is
    needed."""
    images = torch.cat([images for images, _ in parts.values()])
    numbers = {}
    start = 0
    for part, (_, labels) in parts.items():
        numbers[part] = np.arange(start, start + len(labels))
        start += len(labels)

    def read(indices: np.ndarray, config: LoadingConfig, on_event: OnEvent) -> Pixels:
        N, own, H, W = len(indices), *images.shape[1:]
        C = channels_of(config, own)
        size = config.image_size
        kept = np.ones(N, dtype=bool)
        same = size is None or size == H == W
        height, width = (H, W) if size is None else (size, size)
        notes = (
            *(
                ()
                if same
                else (f"The images were resized from {W} x {H} to {size} x {size} pixels.",)
            ),
            *colour_notes(own, C),
        )

        def scaled(chosen: Tensor) -> Tensor:
            coloured = recoloured(chosen, C)
            return coloured if size is None or same else resize(coloured, size)

        if fits(N, C, height, width):
            return Pixels(scaled(images[torch.from_numpy(indices)]), kept, notes)

        def one(number: int) -> np.ndarray:
            return scaled(images[number : number + 1])[0].numpy()

        decoder = Decoder(one, (C, height, width), len(images), "image {:,}".format, threads=1)
        return Pixels(Streamed(decoder, indices), kept, notes)

    joined = torch.cat([labels for _, labels in parts.values()]).numpy().astype(np.int64)
    return Source(classes, joined, numbers, read, notes)


CHANNELS = {"grey": 1, "colour": 3}
"""By ``LoadingConfig.colour``."""


def channels_of(config: LoadingConfig, own: int) -> int:
    """The channels of the images as they are read, given their ``own``."""
    return CHANNELS.get(config.colour, own)


def colour_notes(own: int, channels: int) -> list[str]:
    """What to tell the user about images that were read with other ``channels`` than their own."""
    if own == channels:
        return []
    if channels == 1:
        return ["The images are in colour and were read as grey, by their luminance."]
    return ["The images are grey and were read as colour: red, green and blue are the same."]


def recoloured(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, H, W) with 1 or 3 ``channels``: grey is repeated, colour becomes luminance
    (ITU-R BT.601, with Pillow's rounding)."""
    own = images.shape[1]
    if own == channels:
        return images
    if channels != 1:
        return images.expand(-1, channels, -1, -1)
    red, green, blue = images.to(torch.int32).unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).to(torch.uint8)[:, None]


def resize(images: Tensor, size: int) -> Tensor:
    """uint8 (N, C, H, W) as uint8 (N, C, size, size), bilinear and antialiased."""
    resized = torch.empty((*images.shape[:2], size, size), dtype=torch.uint8)
    for new, old in zip(resized.split(CHUNK), images.split(CHUNK), strict=True):
        scaled = F.interpolate(
            old.float(), (size, size), mode="bilinear", align_corners=False, antialias=True
        )
        new.copy_(scaled.round_().clamp_(0, 255))
    return resized
