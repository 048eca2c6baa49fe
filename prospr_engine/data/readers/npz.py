"""Images and labels in arrays of NumPy: ``np.savez(path, x_train=…, y_train=…)``.

The arrays are never unpickled, and images are not all held in memory at once.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from prospr_engine.data.depth import Range, joined, range_notes, range_of
from prospr_engine.data.labelled import layout_of
from prospr_engine.data.readers.npy import Array, read_headers
from prospr_engine.data.readers.spool import Spool, spool
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.readers.zip import OWN, UPLOADED, checked_zip
from prospr_engine.errors import DataError
from prospr_engine.format import counted, listed
from prospr_engine.guard import limits

PART = re.compile(r"train(?:ing)?|test(?:ing)?|valid(?:ation)?|val|dev")
PARTS = {"tr": "train", "te": "test", "va": "validation", "de": "validation"}
IMAGES = re.compile(r"xs?|imgs?|images?|pictures?|data|pixels|features|inputs?")
LABELS = re.compile(r"ys?|t|lbls?|labels?|targets?|class|classes|category")
NAMES = re.compile(r"(?:class|label|target)names|names|categories|classes|labels")
LABELS_BYTES = limits.LABELS_BYTES.value
LEAST = 4  # pixels of a side; less is an axis of channels
BYTES = (0.0, 255.0)


@dataclass(frozen=True)
class Group:
    """The arrays of one part."""

    part: str
    images: Array
    labels: Array


@dataclass(frozen=True)
class Axes:
    """The sizes of images in an array, and whether channels come first."""

    height: int
    width: int
    channels: int
    first: bool

    @property
    def bytes(self) -> int:
        return self.height * self.width * self.channels

    def arranged(self, values: np.ndarray) -> np.ndarray:
        """(N, H, W, C) of some rows of the array."""
        if self.first:
            return values.transpose(0, 2, 3, 1)
        return values.reshape(len(values), self.height, self.width, self.channels)


@contextmanager
def open_npz(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    """The target of the row: see ``FormatSpec``. Each image becomes a file of the tree, in the
    simplest format there is."""
    bounds = UPLOADED if uploaded else OWN
    with checked_zip(path, name, replace(bounds, file=bounds.total)) as (archive, _, _):
        arrays = read_headers(archive, name)
        groups, notes = choose(name, arrays)
        axes = [_axes(name, group.images) for group in groups]
        N = sum(group.images.shape[0] for group in groups)
        if bounds.files < N:
            raise DataError(f"{name} has more than {bounds.files:,} images; give fewer.")
        names = _names(arrays, {group.labels.key for group in groups})
        labels = [_labels(name, group) for group in groups]
        ranges = _ranges(name, groups)
        notes += [
            note for one in ranges.values() if one.usual != BYTES for note in range_notes([one])
        ]
        total = sum(
            group.images.shape[0] * own.bytes for group, own in zip(groups, axes, strict=True)
        )
        with spool(total, name) as kept:
            places: dict[str, tuple[int, Axes]] = {}
            parts: list[str] = []
            for group, own in zip(groups, axes, strict=True):
                for file, place in _unpacked(group, own, ranges, kept):
                    places[file] = place, own
                    parts.append(group.part)
            spelt = [label for own in labels for label in own]
            called, order = _called(spelt, names, notes)
            layout = layout_of(name, [*places], called, parts, notes, order)

            def open_image(file: str) -> BinaryIO:
                place, own = places[file]
                head = f"P{6 if own.channels == 3 else 5}\n{own.width} {own.height}\n255\n"
                return io.BytesIO(head.encode() + kept.read(place, own.bytes))

            yield Tree(name, tuple(places), (), open_image, layout.notes, layout)


def choose(name: str, arrays: Mapping[str, Array]) -> tuple[list[Group], list[str]]:
    """The images and labels of each part, and notes on what was left out. Raises ``DataError`` if
    they cannot be told."""
    found: dict[tuple[str, str], Array] = {}
    for key, array in arrays.items():
        part, role = _role(key, array)
        if role:
            other = found.setdefault((part, role), array)
            if other is not array:
                raise DataError(
                    f"{name} contains {other.key!r} and {key!r}, which may both be the {role}. "
                    "Leave one of them out."
                )
    groups, notes = [], []
    for part in ("train", "validation", "test", ""):
        images, labels = found.get((part, "images")), found.get((part, "labels"))
        if images and labels:
            groups.append(Group(part, images, labels))
        elif images:
            notes.append(f"Skipped: {images.described}, for which there are no labels.")
    said = {group.part for group in groups}
    if "train" in said and "" in said:
        raise DataError(
            f"{name} contains images and labels without a part beside those named train. Leave one "
            "of them out."
        )
    if not groups and (alone := _alone(arrays)):
        groups = [alone]
    if not groups:
        listing = listed([array.described for array in arrays.values()], 12) or "no array"
        raise DataError(
            f"{name} has no images with labels: it contains {listing}. Name the arrays x_train and "
            "y_train (and x_test, y_test), or images and labels; images have the shape (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)."
        )
    return [replace(group, part=group.part or "train") for group in groups], notes


def _role(key: str, array: Array) -> tuple[str, str]:
    """The part and what the array is: ``("train", "images")``; empty where unknown."""
    text = key.lower().rpartition("/")[2]
    part = PART.search(text)
    rest = re.sub(r"[^a-z]", "", text.replace(part[0], " ", 1) if part else text)
    said = PARTS[part[0][:2]] if part else ""
    if IMAGES.fullmatch(rest) and len(array.shape) > 1:
        return said, "images"
    if LABELS.fullmatch(rest) and not _is_names(array, rest):
        return said, "labels"
    return said, ""


def _is_names(array: Array, rest: str) -> bool:
    """Whether ``classes`` are the names of the classes, and not one for each image."""
    return rest == "classes" and array.dtype.kind in "US" and array.shape[:1] < (1_000,)


def _alone(arrays: Mapping[str, Array]) -> Group | None:
    """The only array that can be images, and the only one that can be their labels."""
    images = [array for array in arrays.values() if len(array.shape) in (3, 4)]
    if len(images) != 1:
        return None
    labels = [
        array
        for array in arrays.values()
        if len(array.shape) in (1, 2) and array.shape[0] == images[0].shape[0]
    ]
    return Group("", images[0], labels[0]) if len(labels) == 1 else None


def _axes(name: str, array: Array) -> Axes:
    shape, wrong = array.shape, ""
    if len(shape) == 3:
        axes = Axes(shape[1], shape[2], 1, False)
    elif len(shape) != 4:
        wrong = "give images the shape (N, H, W), (N, H, W, C) or (N, C, H, W)"
    elif shape[3] in (1, 3) and shape[1] >= LEAST:
        axes = Axes(shape[1], shape[2], shape[3], False)
    elif shape[1] in (1, 3):
        axes = Axes(shape[2], shape[3], shape[1], True)
    else:
        wrong = "images need 1 channel (grey) or 3 (red, green, blue)"
    if not wrong and array.dtype.kind in "US":
        wrong = "images are numbers"
    if not wrong and min(axes.height, axes.width) < 1:
        wrong = "its images have no pixels"
    if not wrong and axes.height * axes.width > limits.IMAGE_PIXELS.value:
        wrong = f"its images have more than {limits.IMAGE_PIXELS.value:,} pixels"
    if wrong:
        raise DataError(f"The array {array.described} of {name} cannot be read as images: {wrong}.")
    return axes


def _ranges(name: str, groups: Sequence[Group]) -> dict[bool, Range]:
    """The range of all values that are not bytes."""
    found = []
    for array in (group.images for group in groups):
        if array.dtype != np.uint8 and array.dtype.kind != "b":
            for values in array.chunks():
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise DataError(
                        f"{array.described} of {name} contains NaN or infinite values. Replace "
                        "them before saving."
                    )
                if own := range_of(values.reshape(-1)):
                    found.append(own)
    return joined(found)


def _unpacked(
    group: Group, axes: Axes, ranges: Mapping[bool, Range], kept: Spool
) -> Iterator[tuple[str, int]]:
    """Each image as bytes in ``kept``: its name and its place."""
    number = 0
    digits = len(str(group.images.shape[0]))
    for values in group.images.chunks():
        if values.dtype.kind == "b":
            values = values.astype(np.uint8) * np.uint8(255)
        elif values.dtype != np.uint8:
            values = ranges[values.dtype.kind != "f"].to_bytes(values)
        place = kept.add(np.ascontiguousarray(axes.arranged(values)).data.cast("B"))
        for row in range(len(values)):
            yield f"{group.images.key}/{number:0{digits}}", place + row * axes.bytes
            number += 1


def _labels(name: str, group: Group) -> list[str]:
    """The label of every image, in words."""
    array, images = group.labels, group.images
    if array.shape[:1] != images.shape[:1]:
        raise DataError(
            f"{name} has {counted(images.shape[0], 'image')} in {images.key!r}, but "
            f"{array.described}; give one label per image."
        )
    values = array.values(LABELS_BYTES)
    if values.ndim > 1 and math.prod(values.shape[1:]) == 1:
        values = values.reshape(len(values))
    if values.ndim == 2 and len(values):
        single = values.dtype.kind not in "US" and (
            ((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()
        )
        if not single:
            raise DataError(
                f"{array.described} of {name} does not give one class per image. Give one number "
                "per image, or a row with a single 1."
            )
        values = values.argmax(axis=1)
    if values.ndim != 1:
        raise DataError(f"{array.described} of {name} is not one label per image.")
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (np.mod(values, 1) == 0)).all():
            raise DataError(
                f"{array.described} of {name} has values that are not whole numbers, so they are "
                "not classes. Give each image the number of its class."
            )
        values = values.astype(np.int64)
    return _texts(values.astype(np.int64) if values.dtype.kind == "b" else values)


def _texts(values: np.ndarray) -> list[str]:
    return [
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
        for value in values.tolist()
    ]


def _names(arrays: Mapping[str, Array], used: set[str]) -> list[str]:
    """The names of classes, if an array gives them; else empty."""
    for key, array in arrays.items():
        plain = re.sub(r"[^a-z]", "", key.lower())
        text = array.dtype.kind in "US" and len(array.shape) == 1
        if text and NAMES.fullmatch(plain) and key not in used:
            return _texts(array.values(LABELS_BYTES))
    return []


def _called(
    labels: list[str], names: Sequence[str], notes: list[str]
) -> tuple[list[str], Sequence[str]]:
    """The labels by their names, and the order of the classes."""
    if not names:
        return labels, ()
    numbered = {str(number): name for number, name in enumerate(names)}
    if len({*names}) < len(names) or not {*labels} <= {*numbered}:
        notes.append("The names of the classes do not fit the labels, and are not used.")
        return labels, ()
    return [numbered[label] for label in labels], names
