from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.source import array_source, resize
from prospr_engine.events import ignore


@pytest.mark.parametrize("size", [7, 20, 64])
def test_resizing_is_that_of_pillow(size: int) -> None:
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (5, 3, 28, 28), dtype=np.uint8)
    )
    for new, old in zip(resize(images, size), images, strict=True):
        picture = Image.fromarray(old.permute(1, 2, 0).numpy())
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        difference = new.permute(1, 2, 0).numpy().astype(int) - expected
        assert np.abs(difference).max() <= 1


def test_images_are_numbered_through_the_parts() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 4, 4)
    labels = torch.arange(6) % 2
    source = array_source(
        ("a", "b"), {"train": (images[:4], labels[:4]), "test": (images[4:], labels[4:])}
    )
    assert source.parts["test"].tolist() == [4, 5]
    assert source.labels.tolist() == [0, 1, 0, 1, 0, 1]
    pixels = source.read(np.array([5, 0, 3]), LoadingConfig(), ignore)
    assert pixels.images[:, 0, 0, 0].tolist() == [5, 0, 3]
    assert pixels.notes == ()
    assert pixels.kept.all()
