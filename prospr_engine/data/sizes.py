"""The common size that images are scaled to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from prospr_engine.data.decode import Header

MAX_COMMON_SIZE = 224  # pixels; for images that all have the same size
MAX_MIXED_SIZE = 64  # pixels; for images of many sizes
MIN_SIZE = 4  # pixels; as LoadingConfig.image_size


def choose_size(headers: Sequence[Header], wanted: int | None) -> tuple[int, list[str]]:
    """Side in pixels of the squares that images with ``headers`` become, and notes about it."""
    sizes = {(header.width, header.height) for header in headers}
    shorter = [min(header.width, header.height) for header in headers]
    most = MAX_COMMON_SIZE if len(sizes) == 1 else MAX_MIXED_SIZE
    size = wanted or max(MIN_SIZE, min(median_low(shorter), most))
    notes = []
    if len(sizes) > 1:
        notes.append(
            f"The images have {len(sizes):,} sizes, with shorter sides of {min(shorter)} to "
            f"{max(shorter)} pixels; all were resized to {size} x {size} (image_size)."
        )
    elif sizes != {(size, size)}:
        width, height = next(iter(sizes))
        notes.append(
            f"The images were resized from {width} x {height} to {size} x {size} pixels "
            "(image_size)."
        )
    if any(width != height for width, height in sizes):
        notes.append("Images that are not square were cropped to the middle.")
    return size, notes
