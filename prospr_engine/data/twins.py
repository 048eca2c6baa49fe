"""Images that occur twice: in training and test, or in two classes.

A network that has seen a test image in training can know its class by heart, so its accuracy is too
high; sets from the web and from videos are full of such images. Equal pixels are found by hashes;
copies that were compressed or scaled again, by comparing small, normalised versions. Handwritten
ones are all alike, so a twin has to be much closer than the other images that come near.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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
AT_ONCE = 16_000_000  # comparisons at a time
PAIRS = 8  # images compared in full at a time
POOLED = 1_000_000  # values of images that are made small at a time


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, uint8 (N, C, H, W), and their classes (N,), without torch."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Marks:
    """What is kept of N images to find copies: a hash of each image's pixels, and a small grey
    version, float32 (N, ``SIDE``²)."""

    keys: tuple[bytes, ...]
    small: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Marks]) -> Marks:
        """Those of all images."""
        small = [part.small for part in parts] or [np.zeros((0, SIDE * SIDE), np.float32)]
        return cls(tuple(key for part in parts for key in part.keys), np.concatenate(small))


@dataclass(frozen=True, eq=False)
class Marked:
    """The ``marks`` and classes (N,) of images that ``pixels`` reads, uint8 (n, C, H, W), given
    the positions (n,) of some of them."""

    marks: Marks
    labels: np.ndarray
    pixels: Callable[[np.ndarray], np.ndarray]


def marks_of(images: np.ndarray) -> Marks:
    """The marks of images, uint8 (N, C, H, W)."""
    keys = tuple(
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        for image in images
    )
    size = max(1, POOLED // max(1, images[:1].size))
    pieces = [_pooled(images[start : start + size]) for start in range(0, len(images), size)]
    return Marks(keys, np.concatenate(pieces or [np.zeros((0, SIDE * SIDE), np.float32)]))


def twin_notes(train: Labelled, test: Labelled) -> list[str]:
    """Sentences on images in both splits, and on training images with two classes."""
    return twin_notes_of(*(
        Marked(marks_of(split.images), split.labels, split.images.__getitem__)
        for split in (train, test)
    ))  # fmt: skip


def twin_notes_of(train: Marked, test: Marked) -> list[str]:
    """The same from marks; only images that seem to be copies are read."""
    notes = []
    known, doubtful = _classes_by_key(train)
    same = np.array([key in known for key in test.marks.keys])
    checked, near = _near(train, test, ~same)
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
    if doubtful:
        notes.append(
            f"{counted(doubtful, 'training image')} {plural(doubtful, 'is', 'are')} in several "
            "classes, with the same pixels. Remove the copies from the wrong class."
        )
    return notes


def _classes_by_key(split: Marked) -> tuple[dict[bytes, int], int]:
    """A class of each key, and how many keys have another one as well."""
    found: dict[bytes, int] = {}
    doubtful = set()
    for key, label in zip(split.marks.keys, split.labels.tolist(), strict=True):
        if found.setdefault(key, label) != label:
            doubtful.add(key)
    return found, len(doubtful)


def _near(train: Marked, test: Marked, candidates: np.ndarray) -> tuple[int, int]:
    """How many of ``candidates``, evenly spread test images, were compared, and how many of these
    have a twin in ``train``."""
    small, kept = _unit(train.marks.small)
    numbers = np.flatnonzero(candidates)
    most = max(1, COMPARISONS // max(1, len(small)))
    numbers = numbers[:: -(-len(numbers) // most)] if len(numbers) else numbers
    size = max(1, min(CHUNK, AT_ONCE // max(1, len(small))))
    twins = 0
    for start in range(0, len(numbers), size):
        chunk = numbers[start : start + size]
        own, with_content = _unit(test.marks.small[chunk])
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
        ours, theirs = chunk[with_content[close[twin]]], kept[nearest[twin]]
        for at in range(0, len(ours), PAIRS):
            pairs = test.pixels(ours[at : at + PAIRS]), train.pixels(theirs[at : at + PAIRS])
            twins += int((_correlation(*pairs) >= SAME).sum())
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


def _unit(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Small versions (N, ``SIDE``²) as unit vectors (M, ``SIDE``²) of mean zero, and the numbers
    (M,) of those that are not flat."""
    small = small - small.mean(axis=1, keepdims=True)
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
