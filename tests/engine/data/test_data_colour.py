"""Grey images for a network that takes colour, and the reverse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.load import load
from prospr_engine.data.source import recoloured


def folder(path: Path, mode: str) -> Path:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        for number in range(12):
            shape = (10, 10) if mode == "L" else (10, 10, 3)
            pixels = generator.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def test_luminance_is_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    grey = recoloured(torch.from_numpy(pixels).permute(2, 0, 1)[None], 1)
    assert np.array_equal(grey[0, 0].numpy(), np.asarray(Image.fromarray(pixels).convert("L")))


@pytest.mark.parametrize(("mode", "colour"), [("L", "colour"), ("RGB", "grey")])
def test_files_are_read_as_the_setting_says(mode, colour, tmp_path):
    data = load(str(folder(tmp_path / "pets", mode)), LoadingConfig(colour=colour), 0)
    plain = load(str(tmp_path / "pets"), LoadingConfig(), 0)
    assert data.channels == {"colour": 3, "grey": 1}[colour]
    assert torch.equal(data.train.images[:], recoloured(plain.train.images[:], data.channels))
    words = "grey and were read as colour" if colour == "colour" else "in colour and were read as"
    assert any(words in note for note in data.notes)
    assert not any("were read as" in note for note in plain.notes)
    assert data.digest != plain.digest


def test_a_data_set_in_memory_too():
    data = load("digits", LoadingConfig(colour="colour", image_size=16), 0)
    plain = load("digits", LoadingConfig(image_size=16), 0)
    assert data.shape == (3, 16, 16)
    assert torch.equal(data.test.images[:], plain.test.images.expand(-1, 3, -1, -1))
    assert len(data.mean) == 3


def test_what_is_as_wanted_stays_as_it_is():
    data = load("digits", LoadingConfig(colour="grey"), 0)
    assert data.digest == load("digits", LoadingConfig(), 0).digest
