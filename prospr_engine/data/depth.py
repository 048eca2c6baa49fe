"""Images with more than 8 bits per value, and how their values become 8 bits.

The values of 16-bit, 32-bit and floating-point files say nothing of what is black and white:
cameras use 12 of 16 bits, measurements have any unit. So the range of a whole set decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from prospr_engine.format import counted

GREYS = frozenset({"I", "F"})
COLOURS = frozenset({"RGB", "RGBA"})
GREY_AND_OPACITY = "LA;16B"
"""Raw mode of 16-bit grey PNG with opacity. Pillow has none for its lower bytes, but four bytes per
pixel are those of RGBA."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a TIFF tag, and its value for negatives
OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B"}
"""By the raw mode in which Pillow keeps the upper of two bytes, the one for the lower byte."""
WHOLE = tuple((0.0, 2.0**bits - 1) for bits in (8, 10, 12, 14, 16))
FLOATING = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65_535.0))
USED = 0.25  # of a usual range; with less, the set has a range of its own
MISSING = 1e30  # larger values stand for no value
FEW = 16  # grey levels
DARK = 64  # levels between the lowest and the highest
NEARLY_ALL = 0.999  # of the pixels
FAINT = 1 / 16  # of the range: 16 levels of 256


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of images, and whether they are whole numbers."""

    low: float
    high: float
    whole: bool

    @property
    def usual(self) -> tuple[float, float] | None:
        """The usual range that the values make use of: 0 to 4,095 of 12-bit images."""
        for low, high in WHOLE if self.whole else FLOATING:
            if low <= self.low and self.high <= high:
                used = self.low == self.high or self.high - self.low >= USED * (high - low)
                return (low, high) if used else None
        return None

    @property
    def is_default(self) -> bool:
        """Whether the values are those that such files have unless somebody chose others."""
        return self.usual in ([WHOLE[-1]] if self.whole else [FLOATING[0], FLOATING[2]])

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """``values`` of any shape as uint8: whole numbers in a usual range keep their upper 8 bits,
        others are rounded. What is no number becomes 0."""
        low, high = self.usual or (self.low, self.high)
        if self.whole and self.usual:
            bits = int(high).bit_length()
            return (values.clip(0, int(high)) >> (bits - 8)).astype(np.uint8)
        if high == low:
            return np.zeros(values.shape, np.uint8)
        known = _known(values)
        scaled = (np.where(known, values, low).astype(np.float64) - low) * (255 / (high - low))
        return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image has more than 8 bits per value, and they can be read."""
    return image.mode in GREYS or image.mode.startswith("I;16") or bool(_lower_bytes(image))


def deep_values(stream: BinaryIO, image: Image.Image) -> np.ndarray:
    """The values of a deep image that was opened from ``stream``: (H, W), or (H, W, C) of RGB and
    RGBA. Raises what Pillow raises on broken files."""
    lower = _lower_bytes(image)
    negative = image.format == "TIFF" and _tag(image, PHOTOMETRIC) == WHITE_IS_ZERO
    if not lower:
        values = np.asarray(image)
        # Pillow turns negatives of 8 bits to positives itself.
        return (
            np.iinfo(values.dtype).max - values
            if negative and values.dtype.kind == "u"
            else (values)
        )
    four_bytes = _raw_mode(lower[0]) == "RGBA"
    upper = None if four_bytes else np.asarray(image).astype(np.uint16)
    stream.seek(0)
    with Image.open(stream, formats=[str(image.format)]) as again:
        again.tile = lower
        if upper is not None:
            return upper << 8 | np.asarray(again)
        read = np.asarray(again).astype(np.uint16)
        return (read[..., 0::2] << 8 | read[..., 1::2])[..., [0, 0, 0, 1]]


def range_of(values: np.ndarray) -> Range | None:
    """None if there is no number among them. Of four channels, the last is opacity."""
    whole = values.dtype.kind != "f"
    known = values[..., :3] if values.ndim == 3 else values
    known = known if whole else known[_known(known)]
    return Range(float(known.min()), float(known.max()), whole) if known.size else None


def joined(ranges: Iterable[Range]) -> dict[bool, Range]:
    """The range of all whole numbers (True) and of all others (False)."""
    found: dict[bool, Range] = {}
    for one in ranges:
        other = found.get(one.whole, one)
        low, high = min(one.low, other.low), max(one.high, other.high)
        found[one.whole] = Range(low, high, one.whole)
    return found


def range_notes(ranges: Iterable[Range]) -> list[str]:
    """Sentences on images whose values were scaled."""
    notes = []
    for one in ranges:
        if one.is_default:
            continue
        kind = "whole" if one.whole else "floating-point"
        low, high = one.usual or (one.low, one.high)
        notes.append(
            f"Images with {kind} values from {one.low:,.6g} to {one.high:,.6g} were converted to "
            f"8 bits: {low:,.6g} became 0 and {high:,.6g} became 255."
        )
    return notes


def level_notes(counts: Sequence[int] | np.ndarray, deep: bool) -> list[str]:
    """A sentence if the pixels, of which ``counts`` (256,) have each value, have few values."""
    counts = np.asarray(counts)
    values = np.flatnonzero(counts)
    if not len(values):
        return []
    if len(values) == 1:
        return [
            f"All pixels have the same value ({values[0]} of 0 to 255): there is nothing to learn "
            "from. Check the images."
        ]
    often = np.argsort(counts, kind="stable")[::-1]
    enough = np.searchsorted(np.cumsum(counts[often]), NEARLY_ALL * counts.sum()) + 1
    common = np.sort(often[:enough])
    if enough > FEW or not (deep or common[-1] - common[0] < DARK):
        return []
    return [
        f"The images have few grey levels: nearly all pixels have one of {enough} values between "
        f"{common[0]} and {common[-1]} (of 0 to 255). Check the images if that is not meant."
    ]


def faint_note(ranges: Sequence[Range]) -> list[str]:
    """A sentence if most images use little of the range that is that of all ``ranges`` together: a
    few much brighter ones make them nearly uniform."""
    notes = []
    for whole, common in joined(ranges).items():
        low, high = common.usual or (common.low, common.high)
        own = [one for one in ranges if one.whole == whole]
        faint = [one for one in own if one.high - one.low < FAINT * (high - low)]
        if 2 * len(faint) > len(own):
            most = max(one.high for one in faint)
            notes.append(
                f"{len(faint):,} of {counted(len(own), 'image')} with more than 8 bits use less "
                f"than a sixteenth of the range from {low:,.6g} to {high:,.6g} (up to "
                f"{most:,.6g}), so little is left of them in 8 bits. Check whether a few images "
                "have extreme values."
            )
    return notes


def _known(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (np.abs(values) < MISSING)


def _lower_bytes(image: Image.Image) -> list[ImageFile._Tile]:
    """How to read the lower bytes of a 16-bit image in colour; empty if it is none."""
    tiles: list[ImageFile._Tile] = []
    if not isinstance(image, ImageFile.ImageFile) or image.mode not in COLOURS:
        return tiles
    for tile in image.tile:
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        raw = _raw_mode(tile)
        if raw == GREY_AND_OPACITY:
            return [one._replace(args="RGBA") for one in image.tile]
        mode, depth = raw[:-4], raw[-4:]
        if depth not in OTHER_BYTE or mode != image.mode:
            return []
        other = mode + OTHER_BYTE[depth]
        changed = (other, *args[1:]) if isinstance(tile.args, tuple) else other
        tiles.append(tile._replace(args=changed))
    return tiles


def _raw_mode(tile: ImageFile._Tile) -> str:
    args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    return str(args[0]) if args else ""


def _tag(image: Image.Image, tag: int) -> object:
    return getattr(image, "tag_v2", {}).get(tag)
