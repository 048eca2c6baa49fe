"""Images that occur twice: in training and test, or in two classes.

A network that has seen a test image in training can know its class by heart, so its accuracy is too
high; sets from the web and from videos are full of such images. Equal pixels are found by hashes;
copies that were compressed or scaled again, by comparing small, normalised versions. Handwritten
ones are all alike, so a twin has to be much closer than the other images that come near.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from prospr_engine.format import counted, plural

SIDE = 8  # pixels of the small versions
ALIKE = 0.98  # correlation of the small versions
SAME = 0.96  # correlation of the images themselves
NEIGHBOURS = 20
CLOSER = 0.3  # times the distance of the last of them
FLAT = 4.0  # of 255: standard deviation, below which there is nothing to compare
COMPARISONS = 250_000_000  # pairs of a test and a training image: about a second
CHUNK = 512  # test images compared at a time


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, uint8 (N, C, H, W), and their classes (N,), without torch."""

    images: np.ndarray
    labels: np.ndarray


def twin_notes(train: Labelled, test: Labelled) -> list[str]:
    """Sentences on images in both splits, and on training images with two classes."""
    notes = []
    known = _classes_by_pixels(train)
    same = np.array([key in known for key in _keys(test.images)])
    checked, near = _near(train.images, test.images, ~same)
    found = []
    if same.any():
        found.append(
            f"{int(same.sum()):,} of {counted(len(same), 'test image')} have the same pixels"
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


def _keys(images: np.ndarray) -> list[bytes]:
    return [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        for image in images
    ]


def _classes_by_pixels(split: Labelled) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for key, label in zip(_keys(split.images), split.labels.tolist(), strict=True):
        found.setdefault(key, set()).add(label)
    return found


def _near(train: np.ndarray, test: np.ndarray, candidates: np.ndarray) -> tuple[int, int]:
    """How many of ``candidates``, evenly spread test images, were compared, and how many of these
    have a twin in ``train``."""
    small, kept = _small(train)
    numbers = np.flatnonzero(candidates)
    most = max(1, COMPARISONS // max(1, len(small)))
    numbers = numbers[:: -(-len(numbers) // most)] if len(numbers) else numbers
    twins = 0
    for start in range(0, len(numbers), CHUNK):
        chunk = test[numbers[start : start + CHUNK]]
        own, with_content = _small(chunk)
        if not len(own) or not len(small):
            continue
        likeness = own @ small.T
        nearest = likeness.argmax(axis=1)
        close = np.flatnonzero(np.take_along_axis(likeness, nearest[:, None], 1)[:, 0] >= ALIKE)
        if not len(close):
            continue
        likeness, nearest = likeness[close], nearest[close]
        last = max(0, likeness.shape[1] - NEIGHBOURS)
        distant = np.partition(likeness, last, axis=1)[:, last]
        closest = np.take_along_axis(likeness, nearest[:, None], 1)[:, 0]
        twin = _distance(closest) <= CLOSER * _distance(distant)
        ours, theirs = chunk[with_content[close[twin]]], train[kept[nearest[twin]]]
        twins += int((_correlation(ours, theirs) >= SAME).sum()) if twin.any() else 0
    return len(numbers), twins


def _distance(likeness: np.ndarray) -> np.ndarray:
    return np.sqrt((1 - likeness).clip(min=0))


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each of N images with its counterpart, (N,)."""
    first, second = (images.reshape(len(images), -1).astype(np.float64) for images in (one, other))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / lengths.clip(min=1e-12)


def _small(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey versions of (N, C, H, W) as unit vectors (M, ``SIDE``²), of mean zero, and the numbers
    (M,) of those that are not flat."""
    pieces = [_pooled(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)] or [
        np.zeros((0, SIDE * SIDE), np.float32)
    ]
    small = np.concatenate(pieces)
    small -= small.mean(axis=1, keepdims=True)
    kept = np.flatnonzero(np.sqrt((small**2).mean(axis=1)) >= FLAT)
    return small[kept] / np.linalg.norm(small[kept], axis=1, keepdims=True), kept


def _pooled(images: np.ndarray) -> np.ndarray:
    """The means of ``SIDE`` × ``SIDE`` rectangles that cover an image, float32 (N, ``SIDE``²)."""
    grey = images.mean(axis=1, dtype=np.float32).astype(np.float64)
    for axis in (1, 2):
        places = np.arange(SIDE) * grey.shape[axis]
        first, last = places // SIDE, -(-(places + grey.shape[axis]) // SIDE)
        sums = np.insert(grey.cumsum(axis=axis), 0, 0, axis=axis)
        width = (last - first).reshape(-1, 1) if axis == 1 else last - first
        grey = (sums.take(last, axis) - sums.take(first, axis)) / width
    return grey.reshape(len(grey), -1).astype(np.float32)
