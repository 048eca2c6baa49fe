from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Files = Mapping[str, bytes | str]


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Makes the bytes of an image: noise of one seed, or one colour."""

    def make(seed=0, size=(8, 8), mode="RGB", format="PNG", colour=None, **options) -> bytes:
        if colour is None:
            shape = (size[1], size[0], 3)
            noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
            image = Image.fromarray(noise).convert(mode)
        else:
            image = Image.new(mode, size, colour)
        stream = io.BytesIO()
        image.save(stream, format, **options)
        return stream.getvalue()

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Files], str]:
    """Writes files by relative path, and returns the folder."""

    def make(files: Files, name: str = "data") -> str:
        for path, content in files.items():
            target = tmp_path / name / path
            if path.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(tmp_path / name)

    return make


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., str]:
    """Writes a zip of files by path, and returns its path."""

    def make(files: Files, name: str = "data.zip", **options) -> str:
        with zipfile.ZipFile(tmp_path / name, "w", **options) as archive:
            for path, content in files.items():
                # Without a date of now: the same files are the same bytes at any time.
                archive.writestr(zipfile.ZipInfo(path), content, archive.compression)
        return str(tmp_path / name)

    return make


@pytest.fixture
def classes(picture) -> Callable[..., dict[str, bytes]]:
    """``count`` images of each class, all different, below ``prefix``."""

    def make(names=("cat", "dog"), count=10, prefix="", **options) -> dict[str, bytes]:
        return {
            f"{prefix}{name}/{number}.png": picture(
                1000 * len(prefix) + 100 * place + number, **options
            )
            for place, name in enumerate(names)
            for number in range(count)
        }

    return make
