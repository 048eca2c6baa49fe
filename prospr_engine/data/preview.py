"""What to show of uploaded images before they are used: classes, counts, a few samples."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import (
    UnreadableError,
    is_image,
    read_header,
    read_pixels,
    read_range,
)
from prospr_engine.data.depth import Range, joined
from prospr_engine.data.inspect import Facts, facts_of
from prospr_engine.data.readers.opening import open_uploaded
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.data.splits import Plan, plan
from prospr_engine.data.twins import Labelled, twin_notes
from prospr_engine.errors import ResourceError
from prospr_engine.events import ignore
from prospr_engine.format import counted
from prospr_engine.guard import limits

if TYPE_CHECKING:
    from prospr_engine.data.source import Source  # which brings torch

CLASSES = 12  # shown with samples
SAMPLES = 3  # of each
SIDE = 96  # pixels, the largest side of a sample
COMPARED = 4 * limits.PREVIEW_IMAGES.value  # images that are searched for copies
SMALL = 32  # pixels, the side at which they are compared
LOOKED_AT = limits.PREVIEW_IMAGES.value  # images whose headers are read
PIXELS = limits.PREVIEW_PIXELS.value  # decoded for all samples together


@dataclass(frozen=True)
class Preview:
    """Images of one upload. ``counts`` has the number of images per class of each part ("train",
    and if present "validation" and "test"); ``samples`` a few per class, square, as PNG.

    ``notes`` are sentences on what was skipped and how the images will be split; ``broken`` lists
    unreadable images, with the reason, among ``looked_at`` evenly spread ones.
    """

    facts: Facts
    counts: Mapping[str, tuple[int, ...]]
    samples: Mapping[str, tuple[bytes, ...]]
    notes: tuple[str, ...]
    looked_at: int
    broken: tuple[str, ...]


def preview(path: Path, name: str) -> Preview:
    """Preview the uploaded images in the file at ``path``, called ``name``.

    Raises ``DataError`` if they are something else, unsafe or too few, ``ResourceError`` if memory
    runs out.
    """
    try:
        with open_uploaded(path, name) as opened:
            layout = arrange(opened, is_image) if isinstance(opened, Tree) else opened
            facts = facts_of(name, layout, opened)
            splits = plan(layout.labels, layout.parts, layout.classes, LoadingConfig(), seed=0)
            left = Counter(pixels=PIXELS)
            samples = _samples(opened, layout, facts, left)
            copies = _copies(opened, layout, splits, facts, left)
            looked_at = []
            if isinstance(layout, Layout):
                looked_at = [layout.files[n] for n in _spread(range(len(layout.files)), LOOKED_AT)]
            return Preview(
                facts,
                {
                    part: tuple(
                        np.bincount(layout.labels[numbers], minlength=facts.class_count).tolist()
                    )
                    for part, numbers in layout.parts.items()
                },
                samples,
                (*facts.notes, *splits.notes, *copies),
                len(looked_at),
                tuple(_broken(opened, looked_at)) if isinstance(opened, Tree) else (),
            )
    except MemoryError:
        raise ResourceError(
            f"There is not enough memory to open {name}. Give fewer or smaller images."
        ) from None


def _broken(tree: Tree, files: list[str]) -> Iterator[str]:
    for file in files:
        try:
            with tree.open(file) as stream:
                read_header(stream)
        except (UnreadableError, OSError) as error:
            yield f"{file} ({error})"


def _copies(
    opened: Tree | Source,
    layout: Layout | Source,
    splits: Plan,
    facts: Facts,
    left: Counter[str],
) -> list[str]:
    """Notes on copies of training images among the test images, as far as a first look goes."""
    if not (isinstance(opened, Tree) and isinstance(layout, Layout)):
        return []
    test = [int(number) for number in _spread(splits.test, COMPARED // 4)]
    train = [int(number) for number in _spread(splits.train, COMPARED - len(test))]
    found: dict[int, np.ndarray] = {}
    # In turns, so that both are there if the images are so large that only a few can be read.
    for number in _in_turns(test, train):
        pixels = _pixels(opened, layout.files[number], facts.channels or 3, SMALL, left, {})
        if pixels is not None:
            found[number] = pixels
    parts = [[number for number in own if number in found] for own in (train, test)]
    if not all(parts):
        return []
    looked = [
        Labelled(np.stack([found[number] for number in own]), layout.labels[own]) for own in parts
    ]
    notes = twin_notes(*looked)
    if notes and sum(map(len, parts)) < len(splits.train) + len(splits.test):
        seen, tested = (counted(len(own), "image") for own in parts)
        notes = [f"Of {seen} to train and {tested} to test:", *notes]
    return notes


def _in_turns(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Both, mixed evenly."""
    places = [
        (place / len(own), number) for own in (first, second) for place, number in enumerate(own)
    ]
    return [number for _, number in sorted(places)]


def _samples(
    opened: Tree | Source, layout: Layout | Source, facts: Facts, left: Counter[str]
) -> dict[str, tuple[bytes, ...]]:
    train = layout.parts["train"]
    labels = layout.labels[train]
    chosen = {
        name: [int(number) for number in _spread(train[labels == label], SAMPLES)]
        for label, name in enumerate(layout.classes[:CLASSES])
    }
    if isinstance(opened, Tree) and isinstance(layout, Layout):
        files = {number: layout.files[number] for own in chosen.values() for number in own}
        sample = _sampler(opened, files, facts, left)
    else:
        sample = _pixel_sampler(cast("Source", opened))
    return {
        name: tuple(shown for number in own if (shown := sample(number)) is not None)
        for name, own in chosen.items()
    }


def _sampler(
    tree: Tree, files: Mapping[int, str], facts: Facts, left: Counter[str]
) -> Callable[[int], bytes | None]:
    size = min(facts.image_size or SIDE, SIDE)
    ranges = joined(_ranges(tree, files.values()))

    def sample(number: int) -> bytes | None:
        pixels = _pixels(tree, files[number], facts.channels or 3, size, left, ranges)
        return None if pixels is None else _png(_enlarged(pixels))

    return sample


def _ranges(tree: Tree, files: Iterable[str]) -> Iterator[Range]:
    """Of the deep images among ``files``; the range of the whole set may be larger."""
    left = PIXELS
    for file in files:
        with suppress(UnreadableError, OSError), tree.open(file) as stream:
            header = read_header(stream)
            left -= header.width * header.height if header.deep else 0
            stream.seek(0)
            if header.deep and left >= 0 and (own := read_range(stream)):
                yield own


def _pixel_sampler(source: Source) -> Callable[[int], bytes | None]:
    def sample(number: int) -> bytes:
        pixels = source.read(np.array([number]), LoadingConfig(), ignore).images[:1][0].numpy()
        return _png(_enlarged(pixels))

    return sample


def _pixels(
    tree: Tree,
    file: str,
    channels: int,
    size: int,
    left: Counter[str],
    ranges: Mapping[bool, Range],
) -> np.ndarray | None:
    """One image, uint8 (C, ``size``, ``size``); ``None`` if it is broken, or has more pixels than
    are ``left``."""
    with suppress(UnreadableError, OSError), tree.open(file) as stream:
        header = read_header(stream)
        left["pixels"] -= header.width * header.height
        if left["pixels"] < 0:
            return None
        stream.seek(0)
        return read_pixels(stream, channels, size, ranges)
    return None


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    """Enlarged without smoothing, to show the pixels that the network sees."""
    times = max(1, SIDE // max(pixels.shape[1:]))
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def _png(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _spread(numbers: Sequence[int] | np.ndarray, most: int) -> Iterator[int]:
    """At most ``most`` of ``numbers``, evenly spread, including the first."""
    count = min(most, len(numbers))
    return (numbers[place * len(numbers) // count] for place in range(count))
