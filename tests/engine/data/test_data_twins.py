"""Copies are made here, so how many there are is known."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.builtin import digits
from prospr_engine.data.load import load
from prospr_engine.data.twins import Labelled, twin_notes
from prospr_engine.events import ignore


def photograph(seed: int) -> np.ndarray:
    """uint8 (32, 32, 3) that is smooth, as photographs are."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC))


def split(images: list[np.ndarray], labels: list[int] | None = None) -> Labelled:
    return Labelled(np.stack(images).transpose(0, 3, 1, 2), np.array(labels or [0] * len(images)))


def compressed(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    with Image.open(stream) as picture:
        return np.asarray(picture)


def rescaled(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((48, 48)).resize((32, 32), Image.Resampling.BILINEAR))


def brighter(image: np.ndarray) -> np.ndarray:
    return (image.astype(int) + 10).clip(0, 255).astype(np.uint8)


TRAIN = [photograph(seed) for seed in range(300)]
OTHERS = [photograph(seed) for seed in range(1000, 1040)]


def test_different_images_need_no_note() -> None:
    assert twin_notes(split(TRAIN), split(OTHERS)) == []


def test_equal_images_are_counted() -> None:
    (note,) = twin_notes(split(TRAIN), split([*OTHERS, *TRAIN[:7]]))
    assert "7 of 47 test images have the same pixels." in note


@pytest.mark.parametrize("change", [compressed, rescaled, brighter])
def test_nearly_equal_images_are_counted(change) -> None:
    copies = [change(image) for image in TRAIN[:9]]
    (note,) = twin_notes(split(TRAIN), split([*OTHERS, *TRAIN[10:12], *copies]))
    assert "2 of 51 test images have the same pixels" in note
    assert "9 of 49 test images compared look nearly the same" in note


def test_plain_images_are_not_taken_for_each_other() -> None:
    plain = [np.full((32, 32, 3), shade, np.uint8) for shade in range(0, 200, 5)]
    assert twin_notes(split(plain[::2]), split(plain[1::2])) == []


PARTS = slice(0, 1400), slice(1400, None)


def test_images_of_one_kind_are_not_taken_for_copies() -> None:
    """Handwritten digits, of which many are alike."""
    source = digits(None, ignore)  # type: ignore[arg-type]
    images = source.read(np.arange(1797), LoadingConfig(), ignore).images
    pixels = images.numpy()
    train, test = (Labelled(pixels[part], source.labels[part]) for part in PARTS)
    assert twin_notes(train, test) == []


def test_an_image_of_two_classes_is_pointed_out() -> None:
    images, labels = [*TRAIN[:20], *TRAIN[:3]], [0] * 20 + [1, 1, 0]
    assert twin_notes(split(images, labels), split(OTHERS)) == [
        "2 training images are in several classes, with the same pixels. Remove the copies from "
        "the wrong class."
    ]


def test_a_folder_with_copies(folder, picture) -> None:
    files = {f"train/{own}/{n}.png": picture(100 * at + n, (32, 32))
             for at, own in enumerate("ab") for n in range(12)}  # fmt: skip
    files |= {f"test/{own}/{n}.png": picture(100 * at + n + 10, (32, 32))
              for at, own in enumerate("ab") for n in range(4)}  # fmt: skip
    data = load(folder(files), LoadingConfig(validation_fraction=0.1), 0)
    held_out = {image.numpy().tobytes() for image in data.validation.images}
    known = {image.numpy().tobytes() for image in data.train.images}
    copies = sum(image.numpy().tobytes() in known for image in data.test.images)
    assert len(held_out | known) == 24
    assert any(f"{copies} of 8 test images have the same pixels" in note for note in data.notes)


def test_photographs_of_the_same_kinds_are_not_taken_for_copies(shared_cifar10: Path) -> None:
    """CIFAR-10 has a few photographs twice (Barz and Denzler, 2020), cropped differently; no more
    than those may be found. Of 60 that are compressed again, all are."""
    data = load(str(shared_cifar10), LoadingConfig(train_limit=8000, test_limit=2000), 0)
    train, test = (Labelled(np.asarray(split.images[:]), split.labels.numpy())
                   for split in (data.train, data.test))  # fmt: skip
    false = _found(train, test)
    assert false <= 4
    again = np.stack([compressed(image.transpose(1, 2, 0)) for image in test.images[:60]])
    copies = np.concatenate([train.images, again.transpose(0, 3, 1, 2)])
    labels = np.concatenate([train.labels, test.labels[:60]])
    assert 59 + false <= _found(Labelled(copies, labels), test) <= 60 + false


def _found(train: Labelled, test: Labelled) -> int:
    """The test images that are said to be training images."""
    text = " ".join(twin_notes(train, test))
    found = re.findall(r"([\d,]+) of [\d,]+ test images (?:have|compared)", text)
    return sum(int(number.replace(",", "")) for number in found)
