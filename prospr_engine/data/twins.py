"""Images that occur twice: in training and test, or in two classes.

A network that has seen a test image in training can know its class by heart, so its accuracy is too
high; sets from the web and from videos are full of such images. Equal pixels are found by hashes;
copies that were compressed or scaled again, by comparing small, normalised versions. Handwritten
ones are all alike, so a twin has to be much closer than the other images that come near.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prospr_engine.data.images import Split
from prospr_engine.format import counted, plural

SIDE = 8  # pixels of the small versions
ALIKE = 0.98  # correlation of the small versions
SAME = 0.96  # correlation of the images themselves
NEIGHBOURS = 20
CLOSER = 0.3  # times the distance of the last of them
FLAT = 4.0  # of 255: standard deviation, below which there is nothing to compare
COMPARISONS = 250_000_000  # pairs of a test and a training image: about a second
CHUNK = 512  # test images compared at a time


def twin_notes(train: Split, test: Split) -> list[str]:
    """Sentences on images in both splits, and on training images with two classes."""
    notes = []
    known = _classes_by_pixels(train)
    same = np.array([key in known for key in _keys(test.images)])
    checked, near = _near(train.images, test.images, ~same)
    found = []
    if same.any():
        found.append(
            f"{int(same.sum()):,} of {counted(len(test), 'test image')} have the same pixels"
        )
    if near:
        found.append(f"{near:,} of {counted(checked, 'test image')} compared look nearly the same")
    if found:
        notes.append(
            f"Some test images are training images, too: {' and '.join(found)}. This makes the "
            "test accuracy too high. Remove the copies."
        )
    if doubtful := sum(len(classes) > 1 for classes in known.values()):
        notes.append(
            f"{counted(doubtful, 'training image')} {plural(doubtful, 'is', 'are')} in several "
            "classes, with the same pixels. Remove the copies from the wrong class."
        )
    return notes


def _keys(images: Tensor) -> list[bytes]:
    return [hashlib.blake2b(image, digest_size=16).digest() for image in images.numpy()]


def _classes_by_pixels(split: Split) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for key, label in zip(_keys(split.images), split.labels.tolist(), strict=True):
        found.setdefault(key, set()).add(label)
    return found


def _near(train: Tensor, test: Tensor, candidates: np.ndarray) -> tuple[int, int]:
    """How many of ``candidates``, evenly spread test images, were compared, and how many of these
    have a twin in ``train``."""
    small, kept = _small(train)
    numbers = np.flatnonzero(candidates)
    most = max(1, COMPARISONS // max(1, len(small)))
    numbers = numbers[:: -(-len(numbers) // most)] if len(numbers) else numbers
    twins = 0
    for start in range(0, len(numbers), CHUNK):
        chunk = test[torch.from_numpy(numbers[start : start + CHUNK])]
        own, with_content = _small(chunk)
        if not len(own) or not len(small):
            continue
        likeness, nearest = (own @ small.T).topk(min(NEIGHBOURS, len(small)), dim=1)
        distance = (1 - likeness).clamp(min=0).sqrt()
        twin = (likeness[:, 0] >= ALIKE) & (distance[:, 0] <= CLOSER * distance[:, -1])
        ours, theirs = chunk[with_content[twin]], train[kept[nearest[twin, 0]]]
        twins += int((_correlation(ours, theirs) >= SAME).sum())
    return len(numbers), twins


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Of each of N images with its counterpart, (N,)."""
    first, second = (images.double().flatten(1) for images in (one, other))
    first = first - first.mean(dim=1, keepdim=True)
    second = second - second.mean(dim=1, keepdim=True)
    return F.cosine_similarity(first, second)


def _small(images: Tensor) -> tuple[Tensor, Tensor]:
    """Grey versions of (N, C, H, W) as unit vectors (M, ``SIDE``²), of mean zero, and the numbers
    (M,) of those that are not flat."""
    pieces = [
        F.adaptive_avg_pool2d(piece.float().mean(dim=1, keepdim=True), SIDE).flatten(1)
        for piece in images.split(CHUNK)
    ]
    small = torch.cat(pieces) if pieces else torch.zeros(0, SIDE * SIDE)
    small = small - small.mean(dim=1, keepdim=True)
    kept = torch.nonzero(small.pow(2).mean(dim=1).sqrt() >= FLAT).flatten()
    return F.normalize(small[kept], dim=1), kept
