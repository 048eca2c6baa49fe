"""Many image files as images of one size: first their headers, then their pixels.

Images that do not fit in memory are decoded whenever they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from prospr_engine.config import LoadingConfig
from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import (
    Header,
    UnreadableError,
    is_image,
    read_header,
    read_pixels,
    read_range,
)
from prospr_engine.data.depth import Range, faint_note, joined, range_notes
from prospr_engine.data.memory import fits
from prospr_engine.data.paths import printable
from prospr_engine.data.progress import Ticker
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.sizes import choose_size
from prospr_engine.data.source import Pixels, Source, channels_of, colour_notes
from prospr_engine.data.streamed import MOST_THREADS, Decoder, Streamed, unreadable
from prospr_engine.errors import DataError
from prospr_engine.events import OnEvent
from prospr_engine.format import counted, listed

# Below this average size most of the work is in Python, and threads only slow each other down:
# 10,000 JPEGs of 32 x 32 take 1.1 s with one thread and 1.7 s with two.
WORTH_THREADS = 200 * 200  # pixels
LISTED = 11  # broken images in a note, including the "and n more"


def tree_source(tree: Tree) -> Source:
    """The images of ``tree``; raises ``DataError`` if they are not in class folders."""
    layout = arrange(tree, is_image)

    def read(indices: np.ndarray, config: LoadingConfig, on_event: OnEvent) -> Pixels:
        return read_images(tree, [layout.files[index] for index in indices], config, on_event)

    return Source(layout.classes, layout.labels, layout.parts, read, layout.notes)


def read_images(
    tree: Tree, files: Sequence[str], config: LoadingConfig, on_event: OnEvent
) -> Pixels:
    """The images in ``files``, in their order: one channel if all are grey, else three, unless
    ``config.colour`` says otherwise. They are
    decoded now, or if they do not fit in memory, whenever they are needed; ``tree`` then has to
    stay open.

    Raises ``DataError`` with the first broken image, unless ``config.skip_broken``; then a note
    lists them.
    """
    headers: dict[int, Header] = {}
    order = sorted(range(len(files)), key=files.__getitem__)  # the disk's order, not ours

    def look(index: int) -> None:
        with tree.open(files[index]) as stream:
            headers[index] = read_header(stream, tree.accepted)

    work = Work(tree, files, config.skip_broken)
    work.do(look, order, False, Ticker(on_event, len(files), "images", "Checking the images"))
    order = [index for index in order if index in headers]
    if not order:
        raise DataError(
            f"None of the {len(files):,} images of {tree.name} can be read. "
            + _broken_note(work.broken)
        )
    size, notes = choose_size([headers[index] for index in order], config.image_size)
    own = 1 if all(header.grey for header in headers.values()) else 3
    C = channels_of(config, own)
    notes += colour_notes(own, C)
    found: list[Range] = []
    ranges: dict[bool, Range] = {}
    if deep := [index for index in order if headers[index].deep]:
        found = _ranges(work, tree, files, deep, on_event)
        ranges = joined(found)
        order = [index for index in order if index not in work.broken]

    def decode(index: int) -> np.ndarray:
        with tree.open(files[index]) as stream:
            return read_pixels(stream, C, size, ranges, tree.accepted)

    heavy = mean(header.width * header.height for header in headers.values()) > WORTH_THREADS
    images: Tensor | Streamed
    if fits(len(files), C, size, size):
        images = _decoded(decode, (len(files), C, size, size), work, order, heavy, on_event)
    else:
        images = _streamed(decode, (C, size, size), work, order, heavy, on_event)
    if transparent := sum(header.transparent for header in headers.values()):
        notes.append(f"Placed on white: {counted(transparent, 'image')} with transparent areas.")
    notes += [*range_notes(ranges.values()), *faint_note(found)]
    if work.broken:
        notes.append(_broken_note(work.broken))
    return Pixels(images, work.kept, tuple(notes), tuple(ranges.values()), bool(deep))


def _decoded(
    decode: Callable[[int], np.ndarray],
    shape: tuple[int, int, int, int],
    work: Work,
    order: Sequence[int],
    threads: bool,
    on_event: OnEvent,
) -> Tensor:
    """The pixels of all images but the broken ones."""
    pixels = np.empty(shape, dtype=np.uint8)

    def keep(index: int) -> None:
        pixels[index] = decode(index)

    work.do(keep, order, threads, Ticker(on_event, len(order), "images", "Reading the images"))
    if work.broken:  # one by one: a copy of all may not fit
        for new, old in enumerate(np.flatnonzero(work.kept)):
            pixels[new] = pixels[old]
    return torch.from_numpy(pixels[: int(work.kept.sum())])


def _streamed(
    decode: Callable[[int], np.ndarray],
    shape: tuple[int, int, int],
    work: Work,
    order: Sequence[int],
    threads: bool,
    on_event: OnEvent,
) -> Streamed:
    """All images but the broken ones, which are searched for only if they may be skipped."""
    if work.skip_broken:
        ticker = Ticker(on_event, len(order), "images", "Looking for broken images")
        work.do(decode, order, threads, ticker)
    most = MOST_THREADS if threads else 1
    decoder = Decoder(decode, shape, len(work.files), work.describe, most)
    return Streamed(decoder, np.flatnonzero(work.kept))


def _ranges(
    work: Work, tree: Tree, files: Sequence[str], deep: Sequence[int], on_event: OnEvent
) -> list[Range]:
    """The range of values of each of the deep images."""
    found: dict[int, Range] = {}

    def measure(index: int) -> None:
        with tree.open(files[index]) as stream:
            if own := read_range(stream, tree.accepted):
                found[index] = own

    work.do(measure, deep, False, Ticker(on_event, len(deep), "images", "Measuring the images"))
    return list(found.values())


class Work:
    """Runs a step on every image, and collects the broken ones or raises on the first."""

    def __init__(self, tree: Tree, files: Sequence[str], skip_broken: bool):
        self.tree = tree
        self.files = files
        self.skip_broken = skip_broken
        self.broken: dict[int, str] = {}
        """By index: the file, and why it cannot be read."""

    @property
    def kept(self) -> np.ndarray:
        """Which images are not known to be broken, bool (N,)."""
        kept = np.ones(len(self.files), dtype=bool)
        kept[[*self.broken]] = False
        return kept

    def describe(self, index: int) -> str:
        """To begin a sentence with."""
        return f"The image {printable(self.files[index])} of {self.tree.name}"

    def do(
        self, step: Callable[[int], object], order: Sequence[int], threads: bool, ticker: Ticker
    ) -> None:
        def attempt(index: int) -> str | None:
            try:
                step(index)
            except (UnreadableError, OSError) as error:
                return str(error)
            return None

        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1)) if threads else None
        try:
            reasons = (pool.map if pool else map)(attempt, order)
            for done, (index, reason) in enumerate(zip(order, reasons, strict=True), start=1):
                if reason is not None:
                    self._add_broken(index, reason)
                ticker.at(done)
        finally:
            if pool:
                pool.shutdown(cancel_futures=True)

    def _add_broken(self, index: int, reason: str) -> None:
        file = printable(self.files[index])
        self.broken[index] = f"{file} ({reason})"
        if not self.skip_broken:
            raise unreadable(self.describe(index), reason)


def _broken_note(broken: dict[int, str]) -> str:
    names = listed(sorted(broken.values()), LISTED)
    return f"Skipped: {counted(len(broken), 'broken image')}, {names}."
