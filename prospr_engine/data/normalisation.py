"""How pixels are scaled before a network sees them.

Every choice is a mean and a deviation per channel, of pixels divided by 255. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation per channel."""

AUTO, DATA, IMAGENET = "auto", "data", "imagenet"
RANGES: Mapping[str, tuple[float, float]] = {
    "unit": (0.0, 1.0),
    "centred": (0.5, 0.5),
    "bytes": (0.0, 1 / 255),
}
"""Those that are the same for all channels: pixels from 0 to 1, from -1 to 1, from 0 to 255."""
CHOICES = (AUTO, DATA, IMAGENET, *RANGES)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey: ITU-R BT.601, as Pillow and OpenCV convert."""

WORDS: Mapping[str, str] = {
    DATA: "by the mean and deviation of the training images",
    IMAGENET: "by the mean and deviation of ImageNet",
    "unit": "to 0..1",
    "centred": "to -1..1",
    "bytes": "not at all: they stay at 0..255",
}


def statistics(name: str, channels: int, own: Statistics) -> Statistics:
    """What ``name``, one of ``CHOICES`` but "auto", means for images with that many ``channels``.
    ``own`` are those of the training images."""
    if name == DATA:
        return own
    if name in RANGES:
        mean, std = RANGES[name]
        return (mean,) * channels, (std,) * channels
    return for_channels((IMAGENET_MEAN, IMAGENET_STD), channels)


def for_channels(known: Statistics, channels: int) -> Statistics:
    """Those of images with that many ``channels``, where they are ``known`` for others."""
    mean, std = known
    if channels == len(mean):
        return known
    if len(mean) == len(LUMINANCE):
        # Of grey images, which have a single channel; the deviation is that of close channels.
        grey = [
            sum(w * v for w, v in zip(LUMINANCE, values, strict=True)) for values in (mean, std)
        ]
    else:
        grey = [sum(values) / len(values) for values in (mean, std)]
    return (grey[0],) * channels, (grey[1],) * channels
