"""Deep images whose 8-bit values are known, since their values were made from them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.decode import read_header, read_pixels
from prospr_engine.data.depth import Range, level_notes
from prospr_engine.data.load import load
from prospr_engine.data.preview import preview
from prospr_engine.data.user_image import from_file

RAMP = np.arange(256).reshape(16, 16)
NEAREST = LoadingConfig(image_size=16)


def saved(values: np.ndarray, format: str = "TIFF") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format)
    return stream.getvalue()


def png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits that Pillow cannot write: uint16 (H, W, 2 to 4), grey with opacity, colour,
    or colour with opacity."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        )

    H, W, C = values.shape
    head = struct.pack(">LLBBBBB", W, H, 16, {2: 4, 3: 2, 4: 6}[C], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values: np.ndarray, order: str, packed: bool) -> bytes:
    """A TIFF of the same, in either byte order; ``packed`` with Deflate."""
    H, W, C = values.shape
    data = values.astype(order + "u2").tobytes()
    data = zlib.compress(data) if packed else data
    after = 8 + 2 + 12 * 11 + 4
    deep = struct.pack(f"{order}{C}H", *[16] * C)
    tags = [
        *((256, 3, 1, W), (257, 3, 1, H), (258, 3, C, after), (259, 3, 1, 8 if packed else 1)),
        *((262, 3, 1, 2), (273, 4, 1, after + len(deep)), (277, 3, 1, C), (278, 3, 1, H)),
        *((279, 4, 1, len(data)), (284, 3, 1, 1), (338 if C == 4 else 305, 3, 1, 2)),
    ]
    rows = b"".join(
        struct.pack(order + "HHL", tag, kind, count)
        + (struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else
           struct.pack(order + "L", value))
        for tag, kind, count, value in tags
    )  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8)
    return head + struct.pack(order + "H", len(tags)) + rows + bytes(4) + deep + data


GREYS = {
    "16 bits": saved((RAMP * 257).astype(np.uint16), "PNG"),
    "12 of 16 bits": saved((RAMP * 16 + 7).astype(np.uint16), "PNG"),
    "10 of 16 bits": saved((RAMP * 4 + 3).astype(np.uint16)),
    "8 of 16 bits": saved(RAMP.astype(np.uint16), "PNG"),
    "a narrow range of 16 bits": saved((30_000 + RAMP).astype(np.uint16)),
    "32 bits": saved((RAMP * 100_000).astype(np.int32)),
    "32 bits with negatives": saved((RAMP * 16 - 1024).astype(np.int32)),
    "floats to 1": saved((RAMP / 255).astype(np.float32)),
    "floats to 255": saved(RAMP.astype(np.float32)),
    "floats from -1 to 1": saved((RAMP / 127.5 - 1).astype(np.float32)),
    "floats to 65,535": saved((RAMP * 257).astype(np.float32)),
    "small floats": saved((RAMP * 1e-6).astype(np.float32)),
    "floats slightly above 1": saved((RAMP * (1.02 / 255)).astype(np.float32)),
    "temperatures": saved((250 + RAMP / 10).astype(np.float32)),
    "a float without a number": saved(
        np.where(RAMP == 0, np.nan, 250 + RAMP / 10).clip(250.0, None).astype(np.float32)
    ),
    "no value": saved(np.where(RAMP == 0, -3.4e38, 250 + (RAMP - 1) / 10).astype(np.float32)),
}


@pytest.mark.parametrize("name", GREYS)
def test_grey_values_are_scaled_by_their_range(name) -> None:
    assert read_header(io.BytesIO(GREYS[name])).deep
    pixels = read_pixels(io.BytesIO(GREYS[name]), 1, 16)[0].astype(int)
    wanted = np.rint((RAMP - 1).clip(0) * (255 / 254)) if name == "no value" else RAMP
    assert np.abs(pixels - wanted).max() <= (1 if "float without" in name else 0)


COLOUR = np.stack([RAMP, 255 - RAMP, RAMP.T], axis=-1)
BITS = {"16 bits": (257, 0), "12 bits": (16, 15), "10 bits": (4, 1), "8 bits": (1, 0)}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("form", ["PNG", "TIFF <", "TIFF >", "TIFF < packed", "TIFF > packed"])
def test_colours_of_16_bits(bits, form) -> None:
    factor, rest = BITS[bits]
    values = (COLOUR * factor + rest).astype(np.uint16)
    order, packed = form[5:6], form.endswith("packed")
    content = png(values) if form == "PNG" else tiff(values, order, packed)
    pixels = read_pixels(io.BytesIO(content), 3, 16)
    assert np.array_equal(pixels, COLOUR.transpose(2, 0, 1))


def test_opacity_has_its_own_range() -> None:
    values = np.concatenate([COLOUR * 16, np.full((16, 16, 1), 65_535)], axis=-1).astype(np.uint16)
    values[0, 0, 3] = 0
    pixels = read_pixels(io.BytesIO(png(values)), 3, 16)
    wanted = COLOUR.transpose(2, 0, 1).copy()
    wanted[:, 0, 0] = 255
    assert np.array_equal(pixels, wanted)


@pytest.mark.parametrize("bits", BITS)
def test_grey_with_opacity(bits) -> None:
    factor, rest = BITS[bits]
    values = np.stack([RAMP * factor + rest, np.full((16, 16), 65_535)], axis=-1).astype(np.uint16)
    values[0, 3, 1] = 0
    wanted = RAMP.copy()
    wanted[0, 3] = 255
    assert np.array_equal(read_pixels(io.BytesIO(png(values)), 1, 16)[0], wanted)


def test_negatives_become_positives() -> None:
    """TIFF files may say that 0 is white; Pillow turns those of 8 bits itself."""
    stream = io.BytesIO()
    Image.fromarray((RAMP * 257).astype(np.uint16)).save(stream, "TIFF", tiffinfo={262: 0})
    assert np.array_equal(read_pixels(io.BytesIO(stream.getvalue()), 1, 16)[0], 255 - RAMP)


def test_a_few_extreme_values_are_noted(folder) -> None:
    faint, bright = (saved((RAMP * factor).astype(np.uint16), "PNG") for factor in (3, 257))
    files = {f"{own}/{n}.png": faint for own in "ab" for n in range(6)}
    sentence = "use less than a sixteenth of the range from 0 to 65,535 (up to 765)"
    notes = load(folder(files | {"a/bright.png": bright}), NEAREST, 0).notes
    assert any("12 of 13 images" in note and sentence in note for note in notes)
    notes = load(folder(files, "even"), NEAREST, 0).notes
    assert not any("sixteenth" in note for note in notes)


@pytest.mark.parametrize("factor", [1, 16, 100, 257])
def test_a_new_image_is_converted_as_those_of_the_set(folder, factor) -> None:
    """A run's page gets the pixels that the network would have been trained on."""
    images = {n: (np.roll(RAMP, 7 * n) // (1 + n) * factor).astype(np.uint16) for n in range(8)}
    files = {f"{own}/{n}.png": saved(images[n], "PNG") for own in "ab" for n in images}
    data = load(folder(files), NEAREST, 0)
    known = {image.numpy().tobytes() for split in data.splits.values() for image in split.images}
    for values in images.values():
        shown = from_file(saved(values, "PNG"), (1, 16, 16), data.ranges)
        assert shown.tobytes() in known
    assert from_file(saved(images[7], "PNG"), (1, 16, 16)).tobytes() not in known


def test_one_range_for_the_whole_set(folder) -> None:
    dark, bright = RAMP.astype(np.uint16), (RAMP * 16).astype(np.uint16)
    files = {}
    for n in range(4):
        files |= {f"bright/{n}.png": saved(bright, "PNG"), f"dark/{n}.png": saved(dark, "PNG")}
    data = load(folder(files), NEAREST, 0)
    for image, label in zip(data.train.images, data.train.labels, strict=True):
        wanted = RAMP if label == 0 else RAMP // 16
        assert np.array_equal(image[0].numpy(), wanted)
    assert any("0 to 4,080" in note and "4,095 became 255" in note for note in data.notes)


def test_a_set_of_all_16_bits_needs_no_note(folder) -> None:
    content = saved((RAMP * 257).astype(np.uint16), "PNG")
    data = load(folder({f"{own}/{n}.png": content for own in "ab" for n in range(4)}), NEAREST, 0)
    assert not [note for note in data.notes if "bits" in note or "levels" in note]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((16, 16), 700, np.uint16), "All pixels have the same value"),
        ((RAMP % 2).astype(np.uint16), "one of 2 values between 0 and 255"),
        ((RAMP % 3).astype(np.uint8), "one of 3 values between 0 and 2 "),
        (np.where(RAMP == 0, -9999, RAMP % 8).astype(np.float32), "values"),
        (np.full((16, 16), 9, np.uint8), "All pixels have the same value (9"),
    ],
    ids=["constant", "mask", "labels", "a code for nothing", "8 bits"],
)
def test_few_levels_are_noted(folder, values, sentence) -> None:
    content = saved(values)
    path = folder({f"{own}/{n}.tif": content for own in "ab" for n in range(4)})
    assert any(sentence in note for note in load(path, NEAREST, 0).notes)


def test_black_and_white_of_8_bits_is_nothing_to_note() -> None:
    counts = np.zeros(256, int)
    counts[[0, 255]] = 500
    assert level_notes(counts, deep=False) == []


def test_missing_values_have_no_range() -> None:
    content = saved(np.full((16, 16), np.nan, np.float32))
    assert not read_pixels(io.BytesIO(content), 1, 16).any()
    assert Range(0, 0, False).to_bytes(np.zeros((2, 2), np.float32)).tolist() == [[0, 0], [0, 0]]


def test_a_preview_shows_them(zipped) -> None:
    content = saved((RAMP * 16).astype(np.uint16), "PNG")
    path = zipped({f"{own}/{n}.png": content for own in "ab" for n in range(4)})
    for shown in preview(Path(path), "data.zip").samples["a"]:
        with Image.open(io.BytesIO(shown)) as image:
            assert np.asarray(image).max() == 255
