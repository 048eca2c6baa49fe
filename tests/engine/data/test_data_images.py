from __future__ import annotations

import dataclasses

import pytest
import torch

from prospr_engine.data.images import ImageData, Split, normalise
from prospr_engine.errors import DataError


def random_split(N: int, seed: int = 0, C: int = 3, classes: int = 2) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (N, C, 5, 5), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(N) % classes)


def data(**changes) -> ImageData:
    parts = {
        "train": random_split(10),
        "validation": random_split(4, 1),
        "test": random_split(6, 2),
    }
    values = {"name": "x", "classes": ("a", "b"), "augmentation": "none"} | parts | changes
    return ImageData.build(**values)


def test_normalised_training_images_have_mean_zero_and_deviation_one() -> None:
    made = data()
    images = normalise(made.train.images, made.mean, made.std, torch.float64)
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-12)
    assert torch.allclose(images.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-12)


def test_statistics_are_those_of_torch_in_double_precision(monkeypatch) -> None:
    monkeypatch.setattr("prospr_engine.data.survey.AT_ONCE", 3 * 75)
    made = data()
    scaled = made.train.images.double() / 255
    assert torch.allclose(torch.tensor(made.mean).double(), scaled.mean((0, 2, 3)))
    assert torch.allclose(torch.tensor(made.std).double(), scaled.std((0, 2, 3), correction=0))


def test_a_channel_without_variation_can_be_normalised() -> None:
    plain = Split(torch.full((4, 3, 5, 5), 7, dtype=torch.uint8), torch.arange(4) % 2)
    made = data(train=plain)
    assert made.std == (1.0,) * 3
    assert normalise(plain.images, made.mean, made.std).abs().max() < 1e-6


def test_half_precision_is_rounded_once_at_the_end() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    exact = normalise(images, (0.4,), (0.2,), torch.float32)
    half = normalise(images, (0.4,), (0.2,), torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, exact.to(torch.bfloat16))


def test_normalise_leaves_the_pixels_alone() -> None:
    images = random_split(4).images
    before = images.clone()
    normalise(images, (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(images, before)


def test_different_data_have_different_digests() -> None:
    first = data()
    assert first.digest == data().digest
    pixel = random_split(10)
    pixel.images[3, 1, 2, 2] ^= 1
    label = random_split(10)
    label.labels[[0, 1]] = label.labels[[1, 0]]
    moved = {"validation": random_split(6, 2), "test": random_split(4, 1)}
    others = [data(train=pixel), data(train=label), data(**moved), data(classes=("a", "c"))]
    assert len({first.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"classes": ("a",)}, "at least 2"),
        (
            {"test": Split(torch.empty(0, 3, 5, 5, dtype=torch.uint8), torch.empty(0).long())},
            "empty",
        ),
        ({"validation": random_split(4, C=1)}, "the same shape"),
        ({"test": random_split(6, classes=3)}, "between 0 and 1"),
        ({"classes": ("a", "b", "c")}, "no training image of c"),
    ],
)
def test_splits_that_do_not_fit_are_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        data(**changes)


def test_labels_and_images_must_match() -> None:
    with pytest.raises(DataError, match="one integer per image"):
        Split(random_split(4).images, torch.zeros(3).long())
    with pytest.raises(DataError, match="8-bit"):
        Split(torch.rand(4, 3, 5, 5), torch.zeros(4).long())


def test_it_is_frozen_and_knows_its_shape() -> None:
    made = data()
    assert (made.shape, made.channels, made.image_size) == ((3, 5, 5), 3, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "y"  # type: ignore[misc]
