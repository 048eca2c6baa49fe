"""What is computed from every pixel of the data: in one pass, a few images at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prospr_engine.data.streamed import Images, batches
from prospr_engine.data.twins import Marks, marks_of

AT_ONCE = 4_000_000  # bytes of images, which counting copies to a wider type
MOST = 4096  # images at once

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Survey:
    """Of the splits in their order: ``levels``, int64 (C, 256), how many pixels of a channel have
    each value; and ``marks``, by which copies are found, if they were asked for. ``digest``
    (SHA-256, hex) covers class names, images, labels and the split."""

    levels: tuple[Tensor, ...]
    marks: tuple[Marks, ...]
    digest: str


def survey(
    classes: tuple[str, ...],
    splits: Sequence[tuple[Images, Tensor]],
    marked: Sequence[int] = (),
    on_images: Callable[[int], None] = lambda done: None,
) -> Survey:
    """Read the images, and use the labels, of every split once. Splits at the positions ``marked``
    get marks. ``on_images`` is called with the number of images that are done."""
    digest = hashlib.sha256(repr(classes).encode("utf-8", "surrogateescape"))
    levels, marks = [], []
    done = 0
    for place, (images, labels) in enumerate(splits):
        digest.update(repr(tuple(images.shape)).encode())
        counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
        found = []
        for chunk in _in_chunks(images):
            digest.update(_bytes(chunk))
            for channel, own in enumerate(counts):
                own += torch.bincount(chunk[:, channel].flatten(), minlength=256)
            if place in marked:
                found.append(marks_of(chunk.numpy()))
            done += len(chunk)
            on_images(done)
        digest.update(_bytes(labels))
        levels.append(counts)
        marks.append(Marks.joined(found))
    return Survey(tuple(levels), tuple(marks), digest.hexdigest())


def statistics(levels: Tensor) -> Statistics:
    """Mean and standard deviation per channel, on the scale 0..1, from the exact counts of the 256
    values (C, 256), so that they do not depend on the order of the images. A constant channel gets
    the deviation 1, to avoid division by zero."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for counts in levels:
        share = counts.double() / max(1, int(counts.sum()))
        mean = (share * values).sum()
        variance = (share * (values - mean) ** 2).sum()
        means.append(mean.item())
        deviations.append(variance.sqrt().item() if int((counts > 0).sum()) > 1 else 1.0)
    return tuple(means), tuple(deviations)


def _in_chunks(images: Images) -> Iterator[Tensor]:
    C, H, W = images.shape[1:]
    size = max(1, min(MOST, AT_ONCE // max(1, C * H * W)))
    return batches(images, [slice(at, at + size) for at in range(0, len(images), size)])


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.contiguous().view(-1).numpy().view(np.uint8).data
