"""One image file, in any format and mode, as a square of 8-bit pixels."""

from __future__ import annotations

import functools
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from prospr_engine.data.depth import Range, deep_values, is_deep, range_of
from prospr_engine.format import either, rough_number
from prospr_engine.guard import limits

COMMON = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""Pillow's names of the formats that are tried first."""
ORIENTATION = 0x0112  # EXIF tag
# Pillow hands these to other programs (EPS runs Ghostscript) or cannot decode them by itself.
REFUSED = frozenset({"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"})
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
UPRIGHT = {  # the operation that undoes an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError),
    *(TypeError, AttributeError, OverflowError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow and zipfile raise on broken files."""


SCAN = b"\xff\xda"
"""Begins a scan of a JPEG; within its data, another byte follows each FF."""


@dataclass(frozen=True)
class Accepted:
    """Which images are decoded: up to so many ``pixels`` and ``scans`` of a JPEG (None for any),
    and in these ``formats`` by Pillow's names (None for all that it can decode by itself)."""

    pixels: int
    scans: int | None = None
    formats: tuple[str, ...] | None = None


OWN = Accepted(limits.IMAGE_PIXELS.value)
"""Images on the user's own machine."""
UPLOADED = Accepted(limits.UPLOADED_IMAGE_PIXELS.value, limits.JPEG_SCANS.value, COMMON)
"""Images from visitors: an image of a few kilobytes may take gigabytes or minutes to decode."""


class UnreadableError(Exception):
    """Says why an image cannot be read; never leaves this package."""


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded: size in pixels when upright, and mode."""

    width: int
    height: int
    grey: bool
    transparent: bool
    deep: bool = False
    """More than 8 bits per value."""


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the supported formats, in the order they are tried: common ones first."""
    Image.init()
    others = sorted(set(Image.OPEN) - set(COMMON) - REFUSED)
    return tuple(name for name in (*COMMON, *others) if name in Image.OPEN)


@functools.cache
def endings() -> frozenset[str]:
    """File name endings of these formats, in lower case with the dot."""
    known = {*formats(), "MPO"}  # written by many cameras; read as JPEG
    return frozenset(end for end, name in Image.registered_extensions().items() if name in known)


def is_image(path: str) -> bool:
    return posixpath.splitext(path)[1].lower() in endings()


def read_header(stream: BinaryIO, accepted: Accepted = OWN) -> Header:
    """Size and mode, without decoding. Raises ``UnreadableError``."""
    with _opened(stream, accepted) as image:
        width, height = image.size
        if width != height and _orientation(image) >= 5:
            width, height = height, width
        grey, transparent = _is_grey(image), image.has_transparency_data
        return Header(width, height, grey, transparent, is_deep(image))


def read_range(stream: BinaryIO, accepted: Accepted = OWN) -> Range | None:
    """The range of values of a deep image; None if it has no numbers. Raises
    ``UnreadableError``."""
    with _opened(stream, accepted) as image:
        return range_of(deep_values(stream, image))


def read_pixels(
    stream: BinaryIO,
    channels: int,
    size: int,
    ranges: Mapping[bool, Range] | None = None,
    accepted: Accepted = OWN,
) -> np.ndarray:
    """uint8 (channels, size, size): upright, the middle square of the first frame, scaled.

    Transparent images are placed on white, as a page would show them. ``ranges`` are those of the
    set for deep images, as from ``depth.joined``; without them, the image's own. Raises
    ``UnreadableError``.
    """
    with _opened(stream, accepted) as image:
        _check_scans(stream, image, accepted)
        # JPEG can be decoded at 1/2, 1/4 or 1/8 size: several times faster for photographs.
        image.draft(None, (2 * size, 2 * size))
        shallow = _shallow(stream, image, ranges) if is_deep(image) else image
        picture = _plain(shallow, "L" if channels == 1 else "RGB")
        if (turn := UPRIGHT.get(_orientation(image))) is not None:
            picture = picture.transpose(turn)
        width, height = picture.size
        if (width, height) != (size, size):
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            picture = picture.resize(
                (size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
            )
        pixels = np.asarray(picture)
        return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def _opened(stream: BinaryIO, accepted: Accepted) -> Iterator[Image.Image]:
    most = rough_number(accepted.pixels)
    try:
        with Image.open(stream, formats=accepted.formats or formats()) as image:
            width, height = image.size
            if width * height > accepted.pixels:
                raise UnreadableError(f"{width} x {height} pixels exceed the limit of {most}")
            yield image
    except Image.UnidentifiedImageError:
        known = either(accepted.formats).replace("WEBP", "WebP") if accepted.formats else ""
        named = f"; give {known}" if known else ""
        raise UnreadableError(f"not a supported image format{named}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(f"it exceeds the limit of {most} pixels") from None
    except BROKEN as error:
        raise UnreadableError(str(error) or type(error).__name__) from None


def _check_scans(stream: BinaryIO, image: Image.Image, accepted: Accepted) -> None:
    if accepted.scans is None or not image.info.get("progressive"):
        return
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(SCAN)
    stream.seek(place)
    if scans > accepted.scans:
        raise UnreadableError(f"a JPEG of {scans:,} scans; the limit is {accepted.scans}")


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow rotates these itself, but may keep the tag
        return 1
    # In PNG the tag may come after the pixels, and looking for it would decode them all.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except BROKEN:  # the picture may still be fine: leave it unrotated
        return 1
    return value if isinstance(value, int) else 1


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in GREY_MODES


def _shallow(
    stream: BinaryIO, image: Image.Image, ranges: Mapping[bool, Range] | None
) -> Image.Image:
    values = deep_values(stream, image)
    whole = values.dtype.kind != "f"
    own = (ranges or {}).get(whole) or range_of(values) or Range(0, 0, whole)
    pixels = own.to_bytes(values)
    if values.ndim == 3:
        pixels[..., 3:] = values[..., 3:] >> 8  # opacity has the whole range
    return Image.fromarray(pixels)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert(mode)
    return image.convert(mode)
