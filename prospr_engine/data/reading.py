"""Many image files as one tensor of one size: first their headers, then their pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import numpy as np
import torch

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
from prospr_engine.data.depth import Range, faint_note, joined, level_notes, range_notes
from prospr_engine.data.memory import check_memory
from prospr_engine.data.paths import printable
from prospr_engine.data.progress import Ticker
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.sizes import choose_size
from prospr_engine.data.source import Pixels, Source
from prospr_engine.errors import DataError
from prospr_engine.events import OnEvent
from prospr_engine.format import counted, listed

# Below this average size most of the work is in Python, and threads only slow each other down:
# 10,000 JPEGs of 32 x 32 take 1.1 s with one thread and 1.7 s with two.
WORTH_THREADS = 200 * 200  # pixels
CHUNK = 1024  # images counted at a time, since counting copies them to a wider type
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
    """Decode ``files``, in their order: one channel if all are grey, else three.

    Raises ``DataError`` with the first broken image, unless ``config.skip_broken``; then a note
    lists them. Raises ``ResourceError`` if the images do not fit in memory.
    """
    headers: dict[int, Header] = {}
    order = sorted(range(len(files)), key=files.__getitem__)  # the disk's order, not ours

    def look(index: int) -> None:
        with tree.open(files[index]) as stream:
            headers[index] = read_header(stream)

    work = Work(tree, files, config.skip_broken)
    work.do(look, order, False, Ticker(on_event, len(files), "images", "Checking the images"))
    order = [index for index in order if index in headers]
    if not order:
        raise DataError(
            f"None of the {len(files):,} images of {tree.name} can be read. "
            + _broken_note(work.broken)
        )
    size, notes = choose_size([headers[index] for index in order], config.image_size)
    C = 1 if all(header.grey for header in headers.values()) else 3
    check_memory(len(files), C, size)
    pixels = np.empty((len(files), C, size, size), dtype=np.uint8)

    found: list[Range] = []
    ranges: dict[bool, Range] = {}
    if deep := [index for index in order if headers[index].deep]:
        found = _ranges(work, tree, files, deep, on_event)
        ranges = joined(found)
        order = [index for index in order if index not in work.broken]

    def decode(index: int) -> None:
        with tree.open(files[index]) as stream:
            pixels[index] = read_pixels(stream, C, size, ranges)

    heavy = mean(header.width * header.height for header in headers.values()) > WORTH_THREADS
    work.do(decode, order, heavy, Ticker(on_event, len(order), "images", "Reading the images"))
    if transparent := sum(header.transparent for header in headers.values()):
        notes.append(f"Placed on white: {counted(transparent, 'image')} with transparent areas.")
    notes += [*range_notes(ranges.values()), *faint_note(found)]
    kept = np.array([index not in work.broken for index in range(len(files))])
    if work.broken:
        notes.append(_broken_note(work.broken))
        pixels = pixels[kept]
    counts = sum(
        np.bincount(chunk.reshape(-1), minlength=256)
        for chunk in np.array_split(pixels, 1 + len(pixels) // CHUNK)
    )
    notes += level_notes(np.asarray(counts), bool(deep))
    return Pixels(torch.from_numpy(pixels), kept, tuple(notes), tuple(ranges.values()))


def _ranges(
    work: Work, tree: Tree, files: Sequence[str], deep: Sequence[int], on_event: OnEvent
) -> list[Range]:
    """The range of values of each of the deep images."""
    found: dict[int, Range] = {}

    def measure(index: int) -> None:
        with tree.open(files[index]) as stream:
            if own := read_range(stream):
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

    def do(
        self, step: Callable[[int], None], order: Sequence[int], threads: bool, ticker: Ticker
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
            raise DataError(
                f"The image {file} of {self.tree.name} cannot be read: {reason}. "
                "Repair or remove it, or skip broken images (--skip-broken; in the form under "
                "Advanced, Data)."
            )


def _broken_note(broken: dict[int, str]) -> str:
    names = listed(sorted(broken.values()), LISTED)
    return f"Skipped: {counted(len(broken), 'broken image')}, {names}."
