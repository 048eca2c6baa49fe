"""From a drawing or an uploaded file to the pixels that a network takes.

A network only knows images like its data: one size, strokes bright on dark or dark on bright, of
a typical size and position. A drawing is converted to that form; a file is cropped and scaled as
the files of a data set are.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from prospr_engine.data.decode import BROKEN, UPLOADED, UnreadableError, read_pixels
from prospr_engine.data.depth import Range, joined
from prospr_engine.errors import DataError
from prospr_engine.format import megabytes
from prospr_engine.guard import limits, sandbox

MOST_FILE_BYTES = limits.IMAGE_BYTES.value
MOST_DRAWING_BYTES = limits.DRAWING_BYTES.value
MOST_DRAWING_SIDE = limits.DRAWING_SIDE.value  # pixels
PREFIX = "data:image/png;base64,"
BARE = 0.2  # of full brightness: pixels closer to the background than this are not strokes
PLAIN = 0.6  # share of background pixels at the border that makes a plain background
FINE = 8  # a drawing is placed on a grid this many times finer than the pixels


@dataclass(frozen=True)
class Frame:
    """The size and position of strokes in the images of a data set.

    ``ground`` is "dark" or "light", or None for images without a plain background, such as
    photographs; then the rest is meaningless. ``size`` is the longer side of the strokes' box
    and ``centre`` their centre of mass (down, across), as fractions of the image.
    """

    ground: str | None
    size: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)


def frame_of(images: np.ndarray) -> Frame:
    """Measured on uint8 images (N, C, H, W): medians over the images."""
    grey = images.mean(axis=1) / 255
    border = np.ones(grey.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    edge = grey[:, border]
    if (edge < BARE).mean() >= PLAIN:
        ground, ink = "dark", grey
    elif (edge > 1 - BARE).mean() >= PLAIN:
        ground, ink = "light", 1 - grey
    else:
        return Frame(None)
    boxes = [_box_and_centre(image) for image in np.where(ink < BARE, 0, ink) if image.any()]
    if not boxes:
        return Frame(None)
    side = max(grey.shape[1:])
    sizes = [max(bottom - top, right - left) / side for (top, bottom, left, right), _ in boxes]
    down, across = np.median([centre for _, centre in boxes], axis=0) / grey.shape[1:]
    return Frame(ground, float(np.median(sizes)), (float(down), float(across)))


def from_file(
    content: bytes, shape: tuple[int, int, int], ranges: Iterable[Range] = ()
) -> np.ndarray:
    """An image file as uint8 (C, H, W) of ``shape``: upright, the middle square, scaled, grey or
    in colour as the data are. ``ranges`` are those of the data, for files of more than 8 bits. It
    is decoded in a process of its own. Raises ``DataError`` if it is not an image, or too large,
    ``ResourceError`` if memory or time runs out."""
    if len(content) > MOST_FILE_BYTES:
        raise DataError(
            f"The image has {megabytes(len(content))}; the limit is {megabytes(MOST_FILE_BYTES)}."
        )
    pixels = sandbox.call(
        "prospr_engine.data.user_image:decoded",
        {
            "content": base64.b64encode(content).decode(),
            "channels": shape[0],
            "size": shape[1],
            "ranges": [asdict(one) for one in ranges],
        },
        "This image",
        limits.TRIED_MEMORY.value,
        limits.TRIED_SECONDS.value,
    )
    return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(shape).copy()


def decoded(content: str, channels: int, size: int, ranges: Sequence[Mapping[str, Any]]) -> str:
    """The pixels in the image file ``content``, both in base64. Made to be called in a
    ``guard.sandbox``. Raises ``DataError`` if it is not an image, or has too many pixels."""
    stream = io.BytesIO(base64.b64decode(content))
    known = joined(Range(**one) for one in ranges)
    try:
        pixels = read_pixels(stream, channels, size, known, UPLOADED)
        return base64.b64encode(pixels.tobytes()).decode()
    except UnreadableError as error:
        raise DataError(
            f"This image cannot be read: {str(error).rstrip('.')}. Give another JPEG or PNG file."
        ) from None


def from_drawing(url: str, shape: tuple[int, int, int], frame: Frame) -> np.ndarray | None:
    """A drawing as uint8 (C, H, W) of ``shape``, placed as ``frame`` says; None if it is empty.

    ``url`` is a PNG as a data URL, transparent where nothing was drawn. Raises ``DataError`` if
    it is anything else.
    """
    picture = _opened(url)
    if not np.asarray(picture)[..., 3].any():
        return None
    channels, height, width = shape
    if frame.ground is None:
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture)
        mode = "L" if channels == 1 else "RGB"
        small = np.asarray(paper.convert(mode).resize((width, height), Image.Resampling.BOX))
        return small[np.newaxis] if channels == 1 else small.transpose(2, 0, 1)
    ink = _placed(np.asarray(picture)[..., 3] / 255, (height, width), frame)
    bright = ink if frame.ground == "dark" else 1 - ink
    pixels = np.rint(255 * bright).astype(np.uint8)
    return np.repeat(pixels[np.newaxis], channels, axis=0)


def swapped(pixels: np.ndarray) -> np.ndarray:
    """The image with light and dark swapped."""
    return 255 - pixels


def looks_swapped(pixels: np.ndarray, frame: Frame) -> bool:
    """Whether this image, uint8 (C, H, W), has a plain background opposite to that of the data."""
    own = frame_of(pixels[np.newaxis]).ground
    return own is not None and frame.ground is not None and own != frame.ground


def _opened(url: str) -> Image.Image:
    refused = DataError("The drawing arrived damaged; clear it and draw again.")
    if not isinstance(url, str) or not url.startswith(PREFIX) or len(url) > MOST_DRAWING_BYTES:
        raise refused
    try:
        content = base64.b64decode(url.removeprefix(PREFIX), validate=True)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if max(image.size) > MOST_DRAWING_SIDE:
                raise refused
            return image.convert("RGBA")
    except (binascii.Error, Image.UnidentifiedImageError, *BROKEN):
        raise refused from None


def _placed(ink: np.ndarray, size: tuple[int, int], frame: Frame) -> np.ndarray:
    """Strokes (any height and width, 0..1) on an image of ``size``, scaled and moved."""
    (top, bottom, left, right), _ = _box_and_centre(ink)
    strokes = Image.fromarray(ink[top:bottom, left:right].astype(np.float32))
    height, width = (FINE * side for side in size)
    scale = frame.size * max(height, width) / max(strokes.size)
    across, down = (max(1, round(scale * side)) for side in strokes.size)
    scaled = np.asarray(strokes.resize((across, down), Image.Resampling.BILINEAR)).clip(0, 1)
    _, centre = _box_and_centre(scaled)
    fine = np.zeros((height, width), dtype=np.float32)
    y = _offset(frame.centre[0] * height - centre[0], down, height)
    x = _offset(frame.centre[1] * width - centre[1], across, width)
    fine[y : y + down, x : x + across] = scaled[:height, :width]
    small = fine.reshape(size[0], FINE, size[1], FINE).mean(axis=(1, 3))
    return small / max(small.max(), 0.5)  # thin strokes fade when scaled; the data's do not


def _offset(wanted: float, length: int, room: int) -> int:
    """The start of something of ``length`` that keeps all of it within ``room``."""
    return max(0, min(round(wanted), room - length))


def _box_and_centre(ink: np.ndarray) -> tuple[tuple[int, int, int, int], tuple[float, float]]:
    """Top, bottom, left and right of what is not 0, and its centre of mass, in pixels."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    y, x = np.indices(ink.shape)
    centre = [float(((place + 0.5) * ink).sum() / ink.sum()) for place in (y, x)]
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return box, (centre[0], centre[1])
