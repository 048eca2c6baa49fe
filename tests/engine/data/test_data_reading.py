from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data import memory, reading
from prospr_engine.data.decode import Header
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.reading import read_images
from prospr_engine.data.sizes import choose_size
from prospr_engine.data.streamed import Streamed
from prospr_engine.errors import DataError, Stopped
from prospr_engine.events import ignore


def tree_of(files: dict[str, bytes]) -> Tree:
    return Tree("data", tuple(files), (), lambda path: io.BytesIO(files[path]))


def read(files: dict[str, bytes], on_event=ignore, order=None, **settings):
    return read_images(tree_of(files), order or list(files), LoadingConfig(**settings), on_event)


def headers(*sizes: tuple[int, int]) -> list[Header]:
    return [Header(width, height, False, False) for width, height in sizes]


@pytest.mark.parametrize(
    ("sizes", "wanted", "size", "notes"),
    [
        ([(32, 32)] * 3, None, 32, 0),
        ([(300, 300)] * 3, None, 224, 1),
        ([(300, 200)] * 3, None, 200, 2),
        ([(20, 30), (40, 50), (60, 90)], None, 40, 2),
        ([(200, 300), (400, 500)], None, 64, 2),
        ([(20, 20), (30, 30)], None, 20, 1),
        ([(2, 2)], None, 4, 1),
        ([(32, 32)], 16, 16, 1),
        ([(32, 32)], 32, 32, 0),
        ([(900, 900), (800, 800)], 300, 300, 1),
    ],
)
def test_the_size_that_images_become(sizes, wanted, size, notes) -> None:
    chosen, said = choose_size(headers(*sizes), wanted)
    assert (chosen, len(said)) == (size, notes)
    assert not said or f"to {size} x {size}" in said[0]


def test_images_come_in_the_requested_order(picture) -> None:
    files = {f"{number}.png": picture(number) for number in range(6)}
    pixels = read(files, order=["4.png", "0.png", "5.png"])
    for image, name in zip(pixels.images, ["4.png", "0.png", "5.png"], strict=True):
        expected = np.asarray(Image.open(io.BytesIO(files[name]))).transpose(2, 0, 1)
        assert np.array_equal(image.numpy(), expected)
    assert pixels.kept.all()
    assert pixels.notes == ()


def test_all_grey_is_one_channel_and_any_colour_is_three(picture) -> None:
    grey = {"1.png": picture(mode="L"), "2.jpg": picture(mode="L", format="JPEG")}
    assert read(grey).images.shape == (2, 1, 8, 8)
    assert read(grey | {"3.png": picture()}).images.shape == (3, 3, 8, 8)


def test_threads_read_the_same(picture, monkeypatch) -> None:
    files = {f"{number}.png": picture(number, (40, 30)) for number in range(20)}
    serial = read(files)
    used = set()
    decode = reading.read_pixels

    def spy(*arguments):
        used.add(threading.current_thread().name)
        return decode(*arguments)

    monkeypatch.setattr(reading, "read_pixels", spy)
    monkeypatch.setattr(reading, "WORTH_THREADS", 1)
    assert np.array_equal(read(files).images, serial.images)
    assert threading.main_thread().name not in used


@pytest.mark.parametrize("threads", [1, 10**9])
@pytest.mark.parametrize("content", [b"junk", b""], ids=["junk", "empty"])
def test_a_broken_image_is_named(picture, monkeypatch, threads, content) -> None:
    monkeypatch.setattr(reading, "WORTH_THREADS", threads)
    whole = picture(1)
    files = {"a/1.png": whole, "a/2.png": content or whole[: len(whole) // 2]}
    with pytest.raises(
        DataError, match=r"The image a/2\.png of data cannot be read: .*--skip-broken; in the form"
    ):
        read(files)


def test_broken_images_are_left_out_and_listed(picture) -> None:
    whole = picture(1)
    files = {"1.png": b"junk", "2.png": whole, "3.png": whole[: len(whole) // 2], "4.png": whole}
    pixels = read(files, skip_broken=True)
    assert pixels.kept.tolist() == [False, True, False, True]
    assert len(pixels.images) == 2
    assert pixels.notes[0].startswith("Skipped: 2 broken images, 1.png (not a supported image")
    many = {f"{number}.png": b"junk" for number in range(15)} | {"whole.png": whole}
    assert " and 5 more." in read(many, skip_broken=True).notes[0]


def test_nothing_but_broken_images(picture) -> None:
    with pytest.raises(DataError, match="None of the 2 images"):
        read({"1.png": b"junk", "2.png": b"junk"}, skip_broken=True)


def test_a_file_that_vanished_is_broken(picture, tmp_path: Path) -> None:
    tree = Tree("data", ("1.png",), (), lambda path: (tmp_path / path).open("rb"))
    with pytest.raises(DataError, match="No such file"):
        read_images(tree, ["1.png"], LoadingConfig(), ignore)


def test_transparency_is_noted(picture) -> None:
    pixels = read({"1.png": picture(mode="RGBA"), "2.png": picture()})
    assert pixels.notes == ("Placed on white: 1 image with transparent areas.",)


def test_what_does_not_fit_in_memory_is_not_decoded_yet(picture, monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 3 * 8 * 8 - 1)
    with monkeypatch.context() as now:
        now.setattr(reading, "read_pixels", lambda *_: pytest.fail("it was decoded"))
        images = read({"1.png": picture()}).images
    assert isinstance(images, Streamed)
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * 3 * 8 * 8)
    assert torch.equal(read({"1.png": picture()}).images, images[:])


@pytest.mark.parametrize("threads", [1, 10**9])
def test_a_listener_can_stop_it(picture, monkeypatch, threads) -> None:
    monkeypatch.setattr(reading, "WORTH_THREADS", threads)

    def stop(event):
        raise Stopped("enough")

    with pytest.raises(Stopped):
        read({f"{number}.png": picture() for number in range(50)}, stop)


def test_a_fault_of_ours_is_not_taken_for_a_broken_image(picture, monkeypatch) -> None:
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "read_pixels", fail)
    with pytest.raises(MemoryError):
        read({"1.png": picture()}, skip_broken=True)
