"""Opening images one by one before they are used, as a run will open them, within a bound on the
pixels that are decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prospr_engine.data.decode import Header, UnreadableError, read_header, read_pixels
from prospr_engine.data.depth import Range
from prospr_engine.data.readers.tree import Tree
from prospr_engine.guard import limits

SMALL = 32
"""Pixels, the side at which images are checked and compared."""


class Look:
    """What was found out about the images of ``tree`` so far. At most ``PREVIEW_PIXELS`` are
    decoded; ``broken`` says why images cannot be read, by file."""

    def __init__(self, tree: Tree, channels: int) -> None:
        self.tree = tree
        self.channels = channels
        self.left = limits.PREVIEW_PIXELS.value
        self.broken: dict[str, str] = {}
        self._headers: dict[str, Header] = {}
        self._whole: set[str] = set()
        self._small: dict[str, np.ndarray] = {}

    def header(self, file: str) -> Header | None:
        """Size and mode; None if the image is broken."""
        if file not in self._headers and file not in self.broken:
            try:
                with self.tree.open(file) as stream:
                    self._headers[file] = read_header(stream, self.tree.accepted)
            except (UnreadableError, OSError) as error:
                self.broken[file] = str(error)
        return self._headers.get(file)

    def pixels(
        self, file: str, size: int, ranges: Mapping[bool, Range] | None = None
    ) -> np.ndarray | None:
        """One image, uint8 (C, ``size``, ``size``); None if it is broken, or has more pixels than
        may still be decoded."""
        header = self.header(file)
        if header is None or file in self.broken:
            return None
        count = header.width * header.height
        if count > self.left:
            return None
        self.left -= count
        try:
            with self.tree.open(file) as stream:
                pixels = read_pixels(stream, self.channels, size, ranges, self.tree.accepted)
        except (UnreadableError, OSError) as error:
            self.broken[file] = str(error)
            return None
        self._whole.add(file)
        return pixels

    def small(self, file: str) -> np.ndarray | None:
        """The same of ``SMALL`` pixels, decoded once."""
        if file not in self._small:
            pixels = self.pixels(file, SMALL)
            if pixels is None:
                return None
            self._small[file] = pixels
        return self._small[file]

    def check(self, files: Sequence[str]) -> tuple[list[tuple[int, int]], list[str], int]:
        """The sizes of those of ``files`` that can be read, why the others cannot, and how many
        were not decoded: they would be too many pixels, so only their headers are known to be
        right."""
        headers = {file: self.header(file) for file in files}
        for file in files:
            if file not in self._whole:
                self.small(file)
        broken = [f"{file} ({self.broken[file]})" for file in files if file in self.broken]
        sizes = [
            (header.width, header.height)
            for file, header in headers.items()
            if header and file not in self.broken
        ]
        return sizes, broken, len(sizes) - len(self._whole & {*files})
