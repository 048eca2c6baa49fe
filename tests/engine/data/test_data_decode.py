from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from prospr_engine.data.decode import (
    UPLOADED,
    UnreadableError,
    endings,
    formats,
    is_image,
    read_header,
    read_pixels,
)


def saved(image: Image.Image, format: str = "PNG", **options) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    stream.seek(0)
    return stream


RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "PCX", "WEBP"])
def test_lossless_grey_is_read_exactly(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    stream = saved(Image.fromarray(RAMP), format, **options)
    assert np.array_equal(read_pixels(stream, 1, 8), RAMP[np.newaxis])


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "JPEG2000", "AVIF", "MPO"])
def test_lossy_colour_is_read_nearly(format: str) -> None:
    image = Image.new("RGB", (16, 16), (200, 100, 40))
    try:
        stream = saved(image, format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow cannot write {format}")
    assert not read_header(stream).grey
    pixels = read_pixels(stream, 3, 16)
    assert np.abs(pixels.mean((1, 2)) - [200, 100, 40]).max() < 4


@pytest.mark.parametrize(
    ("mode", "grey"),
    [("1", True), ("L", True), ("LA", True), ("P", False), ("RGB", False), ("RGBA", False)],
)
def test_modes(mode: str, grey: bool) -> None:
    image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    header = read_header(saved(image))
    assert header.grey is grey
    assert header.transparent is (mode in {"LA", "RGBA"})
    pixels = read_pixels(saved(image), 3, 8)
    assert (pixels.shape, pixels.dtype) == ((3, 8, 8), np.uint8)
    if not grey:
        assert pixels[:, 3, 3].tolist() == [255, 0, 0]


def test_a_palette_of_greys_is_grey() -> None:
    image = Image.fromarray(RAMP).convert("P")
    image.putpalette([value for grey in range(255, -1, -1) for value in (grey,) * 3])
    assert read_header(saved(image)).grey
    assert np.array_equal(read_pixels(saved(image), 1, 8)[0], 255 - np.asarray(image))


def test_cmyk_is_read_in_its_colours() -> None:
    stream = saved(Image.new("RGB", (8, 8), (0, 0, 255)).convert("CMYK"), "TIFF")
    assert read_pixels(stream, 3, 8)[:, 0, 0].tolist() == [0, 0, 255]


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = RAMP.astype(np.uint16) * 257
    for format in ("PNG", "TIFF"):
        stream = saved(Image.fromarray(deep), format)
        assert read_header(stream).grey
        assert np.array_equal(read_pixels(stream, 1, 8)[0], RAMP)
    pgm = io.BytesIO(b"P5 8 8 65535\n" + deep.astype(">u2").tobytes())
    assert np.array_equal(read_pixels(pgm, 1, 8)[0], RAMP)


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_floating_point_greys(scale: float) -> None:
    values = RAMP.astype(np.float32) * np.float32(scale)
    values[0, 0] = np.nan
    pixels = read_pixels(saved(Image.fromarray(values), "TIFF"), 1, 8)
    assert np.array_equal(pixels[0], RAMP)


def test_transparency_is_laid_on_white() -> None:
    # A black sign on nothing, which dropping the alpha channel would turn into all black.
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.putpixel((3, 4), (0, 0, 0, 255))
    for channels in (1, 3):
        pixels = read_pixels(saved(image), channels, 8)
        assert pixels[0, 4, 3] == 0
        assert (pixels == 255).sum() == channels * 63


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("size", [(8, 8), (13, 8)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_as_pillow_turns_it(orientation: int, size, format) -> None:
    from PIL import ImageOps

    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = saved(Image.fromarray(noise), format, exif=exif)
    with Image.open(stream) as image:
        upright = ImageOps.exif_transpose(image)
    header = read_header(stream)
    assert (header.width, header.height) == upright.size
    left, top = (upright.width - 8) // 2, (upright.height - 8) // 2
    expected = np.asarray(upright)[top : top + 8, left : left + 8].transpose(2, 0, 1)
    assert np.array_equal(read_pixels(stream, 3, 8), expected)


def test_the_middle_is_cut_out_and_scaled() -> None:
    wide = Image.new("L", (300, 100), 0)
    wide.paste(255, (100, 0, 200, 100))
    # Antialiasing takes in a little of what lies beyond the cut.
    assert (read_pixels(saved(wide), 1, 10)[:, :, 1:-1] == 255).all()
    assert (read_pixels(saved(wide), 1, 100) == 255).all()


def test_a_sliver_does_not_explode() -> None:
    assert read_pixels(saved(Image.new("L", (20_000, 1), 9)), 1, 64).shape == (1, 64, 64)


def test_scaling_down_averages() -> None:
    board = ((np.indices((256, 256)).sum(0) % 2) * 255).astype(np.uint8)
    for format in ("PNG", "JPEG"):
        pixels = read_pixels(saved(Image.fromarray(board), format), 1, 16)
        assert np.abs(pixels.astype(int) - 127).max() < 12


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        stream = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert read_pixels(stream, 3, 8)[:, 0, 0].tolist() == [255, 0, 0]


def png_that_claims(width: int, height: int) -> io.BytesIO:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)))


@pytest.mark.parametrize("side", [9_440, 12_000, 100_000])
def test_an_image_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    with pytest.raises(UnreadableError, match=r"limit of 89 million"):
        read_header(png_that_claims(side, side))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_broken_images_are_unreadable(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), format).getvalue()
    assert read_pixels(io.BytesIO(whole), 3, 32).shape == (3, 32, 32)
    with pytest.raises(UnreadableError):
        read_pixels(io.BytesIO(whole[: len(whole) // 2]), 3, 32)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0"],
    ids=["empty", "text", "cut off", "EPS"],
)
def test_what_is_no_image_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_header(io.BytesIO(content))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, on what it can bear
def test_random_damage_never_escapes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    random = np.random.default_rng(1)
    refused = 0
    for format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = np.frombuffer(saved(Image.fromarray(noise), format).getvalue(), np.uint8)
        for _ in range(60):
            hurt = whole.copy()
            hurt[random.integers(0, len(hurt), 4)] = random.integers(0, 256, 4)
            try:
                assert read_pixels(io.BytesIO(hurt.tobytes()), 3, 8).shape == (3, 8, 8)
            except UnreadableError:
                refused += 1
    assert refused > 20


def test_endings() -> None:
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".bmp", ".gif", ".ppm", ".mpo"} <= endings()
    assert is_image("a/B.JPeG")
    assert not any(map(is_image, ["a.txt", "a", "a.mp4", "a.eps", "a.h5", "a.zip", ".png"]))
    assert "EPS" not in formats()


def progressive(scans: int) -> bytes:
    """A progressive JPEG with its last scan that many times more."""
    stream = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(values).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * scans + content[-2:]


def test_a_jpeg_of_many_scans_is_refused_from_visitors_only() -> None:
    usual, bomb = (io.BytesIO(progressive(scans)) for scans in (0, 2_000))
    assert read_pixels(usual, 1, 8, accepted=UPLOADED).shape == (1, 8, 8)
    with pytest.raises(UnreadableError, match=r"a JPEG of 2,0\d\d scans; the limit is 100"):
        read_pixels(bomb, 1, 8, accepted=UPLOADED)
    bomb.seek(0)
    assert read_pixels(bomb, 1, 8).shape == (1, 8, 8)


def test_scans_are_not_counted_in_the_thumbnail_or_the_data() -> None:
    content = progressive(0)
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300), np.uint8))
    stream = io.BytesIO()
    noisy.save(stream, "JPEG", progressive=True, quality=100, exif=b"Exif\0\0" + content * 9)
    assert read_pixels(stream, 1, 8, accepted=UPLOADED).shape == (1, 8, 8)


@pytest.mark.parametrize("format", ["PPM", "SGI", "TGA", "PCX"])
def test_unusual_formats_are_refused_from_visitors_only(format: str) -> None:
    stream = saved(Image.new("RGB", (8, 8)), format)
    assert read_header(stream).width == 8
    with pytest.raises(UnreadableError, match="give JPEG, PNG, GIF, BMP, WebP or TIFF"):
        read_header(stream, UPLOADED)


def test_an_image_from_a_visitor_may_have_16_million_pixels() -> None:
    assert read_header(png_that_claims(4_000, 4_000), UPLOADED).width == 4_000
    with pytest.raises(UnreadableError, match="4001 x 4000 pixels exceed the limit of 16 million"):
        read_header(png_that_claims(4_001, 4_000), UPLOADED)
