"""What a person should see of images before using them: classes, counts, a few of each."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.decode import UnreadableError, is_image, read_header, read_pixels
from prospr_engine.data.inspect import Facts, facts_of
from prospr_engine.data.layout import Layout, arrange
from prospr_engine.data.readers.opening import open_zip
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.splits import plan
from prospr_engine.errors import ResourceError

CLASSES = 12  # that are shown with samples
SAMPLES = 3  # of each
SIDE = 96  # pixels, the most of a sample
LOOKED_AT = 1000  # images of which the header is read
PIXELS = 200_000_000  # decoded for all samples together; a forged image cannot take long


@dataclass(frozen=True)
class Preview:
    """Images of one upload. ``counts`` has the images of each part ("train", and where they come
    along "validation" and "test") by class; ``samples`` a few by class, square, as PNG.

    ``notes`` are sentences on what was left out and how the images will be split; ``broken``
    names images that cannot be read, with the reason, among ``looked_at`` of all, evenly spread.
    """

    facts: Facts
    counts: Mapping[str, tuple[int, ...]]
    samples: Mapping[str, tuple[bytes, ...]]
    notes: tuple[str, ...]
    looked_at: int
    broken: tuple[str, ...]


def preview(path: Path, name: str) -> Preview:
    """Look into the zip of class folders that somebody uploaded and calls ``name``.

    Raises ``DataError`` with a sentence if it is something else, does harm or holds too little;
    ``ResourceError`` if memory runs out.
    """
    try:
        with open_zip(path, name) as tree:
            layout = arrange(tree, is_image)
            facts = facts_of(tree, layout)
            splits = plan(layout.labels, layout.parts, layout.classes, LoadingConfig(), seed=0)
            looked_at = list(_spread(layout.files, LOOKED_AT))
            return Preview(
                facts,
                {
                    part: tuple(
                        np.bincount(layout.labels[numbers], minlength=facts.class_count).tolist()
                    )
                    for part, numbers in layout.parts.items()
                },
                _samples(tree, layout, facts),
                (*facts.notes, *splits.notes),
                len(looked_at),
                tuple(_broken(tree, looked_at)),
            )
    except MemoryError:
        raise ResourceError(
            f"There is not enough memory to look into {name}. Give fewer or smaller images."
        ) from None


def _broken(tree: Tree, files: list[str]) -> Iterator[str]:
    for file in files:
        try:
            with tree.open(file) as stream:
                read_header(stream)
        except (UnreadableError, OSError) as error:
            yield f"{file} ({error})"


def _samples(tree: Tree, layout: Layout, facts: Facts) -> dict[str, tuple[bytes, ...]]:
    size = min(facts.image_size or SIDE, SIDE)
    channels = facts.channels or 3
    left = Counter(pixels=PIXELS)
    train = layout.parts["train"]
    labels = layout.labels[train]
    shown = {}
    for label, name in enumerate(layout.classes[:CLASSES]):
        files = [layout.files[number] for number in train[labels == label]]
        shown[name] = tuple(
            sample
            for file in _spread(files, SAMPLES)
            if (sample := _sample(tree, file, channels, size, left)) is not None
        )
    return shown


def _sample(tree: Tree, file: str, channels: int, size: int, left: Counter[str]) -> bytes | None:
    """One image as a PNG of about ``SIDE`` pixels; ``None`` if it is broken or too large."""
    with suppress(UnreadableError, OSError), tree.open(file) as stream:
        header = read_header(stream)
        left["pixels"] -= header.width * header.height
        if left["pixels"] < 0:
            return None
        stream.seek(0)
        pixels = read_pixels(stream, channels, size)
        # Small ones are enlarged without smoothing: a person sees the pixels a network sees.
        large = pixels.repeat(SIDE // size, axis=1).repeat(SIDE // size, axis=2)
        return _png(large)
    return None


def _png(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _spread(files: tuple[str, ...] | list[str], most: int) -> Iterator[str]:
    """At most ``most`` of ``files``, evenly spread, the first among them."""
    count = min(most, len(files))
    return (files[number * len(files) // count] for number in range(count))
