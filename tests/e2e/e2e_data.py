"""Files that visitors bring."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
from PIL import Image


def class_folders(images: int = 40) -> bytes:
    """A zip, always the same: two classes that a network can tell apart, so many images of each,
    and a file that is no image."""
    random = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, column in (("left", 2), ("right", 10)):
            for number in range(images):
                pixels = random.integers(0, 80, (16, 16), dtype=np.uint8)
                pixels[:, column : column + 4] = 230
                picture = io.BytesIO()
                Image.fromarray(pixels).save(picture, "png")
                archive.writestr(_entry(f"{name}/{number}.png"), picture.getvalue())
        archive.writestr(_entry("left/notes.txt"), "not an image")
    return file.getvalue()


def pickled() -> bytes:
    """What an older torch.save leaves: a file that runs code when it is opened."""
    return pickle.dumps({"weights": [0.0] * 10})


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"shapes/{name}")  # without the time of day
