"""Drawings and files of people, brought into the form that networks know."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data import user_image
from prospr_engine.data.load import load
from prospr_engine.data.user_image import (
    Frame,
    frame_of,
    from_drawing,
    from_file,
    looks_swapped,
    swapped,
)
from prospr_engine.errors import DataError

DIGITS = (1, 8, 8)
FULL = Frame("dark")


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def url(picture: Image.Image) -> str:
    return user_image.PREFIX + base64.b64encode(png(picture)).decode()


def canvas(ink: np.ndarray, colour=(255, 255, 255)) -> str:
    """A drawing whose strokes have the opacity ``ink``, 0..1."""
    pixels = np.zeros((*ink.shape, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(255 * ink)
    return url(Image.fromarray(pixels))


def bar(top: int, left: int, height: int, width: int, side: int = 280) -> np.ndarray:
    ink = np.zeros((side, side))
    ink[top : top + height, left : left + width] = 1
    return ink


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load("digits", LoadingConfig(), 0).test.images.numpy()


def test_digits_are_bright_on_dark_and_fill_their_frame(digits):
    frame = frame_of(digits)
    assert frame.ground == "dark"
    assert frame.size == 1.0
    assert frame.centre == pytest.approx((0.5, 0.5), abs=0.05)
    assert frame_of(255 - digits) == Frame("light", frame.size, pytest.approx(frame.centre))


def test_strokes_in_a_wide_margin_are_measured():
    images = np.zeros((5, 1, 28, 28), np.uint8)
    images[:, :, 4:24, 10:16] = 255  # 20 of 28 high, as MNIST
    frame = frame_of(images)
    assert frame.size == pytest.approx(20 / 28)
    assert frame.centre == pytest.approx((14 / 28, 13 / 28))


@pytest.mark.parametrize(
    "images",
    [
        np.random.default_rng(0).integers(0, 256, (9, 3, 16, 16), dtype=np.uint8),
        np.zeros((4, 1, 8, 8), np.uint8),
        np.full((1, 3, 1, 1), 128, np.uint8),
    ],
)
def test_images_without_ground_or_strokes_have_no_frame(images):
    assert frame_of(images).ground is None


@pytest.mark.parametrize(("height", "width"), [(100, 20), (20, 100), (60, 60), (7, 3)])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (100, 150), (170, 30)])
def test_wherever_and_however_large_something_is_drawn_the_network_sees_the_same(
    height, width, top, left
):
    frame = Frame("dark", 20 / 28, (0.5, 0.5))
    seen = from_drawing(canvas(bar(top, left, height, width)), (1, 28, 28), frame)
    rows, columns = (np.flatnonzero(seen[0].max(axis=axis) > 127) for axis in (1, 0))
    assert max(len(rows), len(columns)) == 20
    for places in (rows, columns):
        assert abs(places.mean() - 13.5) <= 0.5
    assert seen.max() == 255


def test_an_uneven_drawing_is_centred_by_its_mass_but_stays_inside():
    ink = bar(0, 0, 10, 100) + bar(10, 40, 90, 20)  # a T: heavy at the top
    seen = from_drawing(canvas(ink), (1, 28, 28), Frame("dark", 20 / 28, (0.5, 0.5)))[0] / 255
    centre = (np.indices(seen.shape) * seen).sum((1, 2)) / seen.sum() + 0.5
    assert centre == pytest.approx((14, 14), abs=0.5)
    full = from_drawing(canvas(ink), DIGITS, FULL)[0]
    assert full[0].any()
    assert full[-1].any()


def test_dark_strokes_for_data_that_are_dark_on_light():
    seen = from_drawing(canvas(bar(90, 120, 100, 40)), DIGITS, Frame("light"))
    other = from_drawing(canvas(bar(90, 120, 100, 40)), DIGITS, FULL)
    assert (seen == swapped(other)).all()


def test_colour_networks_get_colours_only_where_data_have_no_ground():
    red = canvas(bar(0, 0, 280, 280), (255, 0, 0))
    seen = from_drawing(red, (3, 32, 32), Frame(None))
    assert seen.shape == (3, 32, 32)
    assert (seen[0] == 255).all()
    assert not seen[1:].any()
    left = from_drawing(canvas(bar(0, 0, 280, 140), (255, 0, 0)), (3, 32, 32), Frame(None))
    assert (left[:, :, 20] == 255).all()  # white paper
    assert from_drawing(red, (3, 8, 8), FULL).shape == (3, 8, 8)
    assert from_drawing(red, (1, 8, 8), Frame(None)).shape == DIGITS


def test_an_empty_drawing_is_none():
    assert from_drawing(canvas(np.zeros((280, 280))), DIGITS, FULL) is None


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "data:image/png;base64,%%%",
        "data:image/png;base64," + base64.b64encode(b"no image").decode(),
        "data:image/svg+xml;base64,PHN2Zy8+",
        "https://example.org/a.png",
        user_image.PREFIX + "A" * 2_000_000,
        None,
        {"a": 1},
        url(Image.new("RGBA", (1025, 4))),
        user_image.PREFIX
        + base64.b64encode(png(Image.new("RGBA", (99, 99), "red"))[:200]).decode(),
        # An image, but not of the kind that the page sends.
        user_image.PREFIX + base64.b64encode(b"GIF89a\1\0\1\0\0\0\0;").decode(),
    ],
)
def test_what_is_no_drawing_of_ours_is_refused(sent):
    with pytest.raises(DataError, match="clear it and draw again"):
        from_drawing(sent, DIGITS, FULL)


def test_a_bomb_in_a_drawing_is_refused_before_it_is_decoded():
    content = bytearray(png(Image.new("RGBA", (8, 8))))
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the header
    with pytest.raises(DataError):
        from_drawing(user_image.PREFIX + base64.b64encode(content).decode(), DIGITS, FULL)


def test_a_file_is_cropped_to_its_middle_and_scaled_as_data_are():
    picture = Image.new("RGB", (300, 100), "blue")
    picture.paste("white", (100, 0, 200, 100))
    seen = from_file(png(picture), (3, 16, 16))
    assert seen.shape == (3, 16, 16)
    assert (seen[:, :, 2:-2] == 255).all()
    assert from_file(png(picture), (1, 16, 16)).shape == (1, 16, 16)
    clear = from_file(png(Image.new("RGBA", (9, 9))), (3, 4, 4))
    assert (clear == 255).all()  # transparent: on white


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"MZ this is a program", "not a supported image format"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (b"0" * 20_000_001, r"limit is 20\sMB"),
    ],
    ids=["empty", "program", "cut off", "too large"],
)
def test_files_that_are_no_images_get_a_sentence(content, words):
    with pytest.raises(DataError, match=words):
        from_file(content, DIGITS)


def test_a_bomb_in_a_file_is_refused():
    with pytest.raises(DataError, match="limit of 16 million"):
        from_file(png(Image.new("1", (9_440, 9_440))), DIGITS)
    with pytest.raises(DataError, match="limit of 16 million pixels") as output:
        from_file(png(Image.new("1", (30_000, 30_000))), DIGITS)
    assert "bomb" not in str(output.value)


def test_writing_the_other_way_round_is_noticed(digits):
    frame = frame_of(digits)
    assert looks_swapped(255 - digits[0], frame)
    assert not looks_swapped(digits[0], frame)
    assert not looks_swapped(255 - digits[0], Frame(None))
    noise = np.random.default_rng(0).integers(0, 256, DIGITS, dtype=np.uint8)
    assert not looks_swapped(noise, frame)
