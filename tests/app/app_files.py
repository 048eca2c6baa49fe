"""Files that visitors upload in tests."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image


def zipped(names=("cat", "dog"), count=10, seed=0, extra=()) -> bytes:
    """A zip of ``count`` small PNG images for each of the classes ``names``."""
    stream = io.BytesIO()
    random = np.random.default_rng(seed)
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            for number in range(count):
                png = io.BytesIO()
                pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(png, "PNG")
                archive.writestr(_entry(f"{name}/{number}.png"), png.getvalue())
        for name in extra:
            archive.writestr(_entry(name), b"junk")
    return stream.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry whose date is fixed, so that the same images are the same bytes at any time."""
    return zipfile.ZipInfo(name)
