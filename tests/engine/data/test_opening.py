"""What somebody calls a zip of class folders, and what it is."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import pytest
import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data.inspect import describe
from prospr_engine.data.load import load
from prospr_engine.data.readers.opening import open_data, open_uploaded
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.io.tokens import token


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a/1.png"))
    return stream.getvalue()


def torch_file() -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(1)}, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (tar(), r"is a tar archive, not (a folder, )?a zip.*Unpack it and"),
        (gzip.compress(tar()), "is a gzip archive.*Unpack it"),
        (b"Rar!\x1a\x07\x01\x00" + b"\0" * 30, "is a RAR archive.*Unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 30, "is a 7-Zip archive.*Unpack it"),
        (pickle.dumps([1]), "is a pickle.*Give one of these, with images"),
        (torch_file(), "is a PyTorch file, not"),
        (b"<!doctype html>Not found", "is a web page"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 30, "is a single image"),
        (b"\x7fELF" + b"\0" * 30, "is a program"),
        (b"hello", "is plain text"),
        (b"\0\1\2\3", "is of an unknown type"),
        (b"PK\x03\x04" + b"\0" * 60, "not a zip file, or is damaged"),
    ],
    ids=[
        "empty",
        "tar",
        "gzip",
        "RAR",
        "7-Zip",
        "pickle",
        "torch.save",
        "web page",
        "image",
        "program",
        "text",
        "unknown",
        "damaged zip",
    ],
)
def test_other_things_are_called_what_they_are(tmp_path: Path, content, words) -> None:
    path = tmp_path / "flowers.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words), open_data(str(path)):
        pass
    with (
        pytest.raises(DataError, match=f"^Mine.zip .*{words[3:]}") as error,
        open_uploaded(path, "Mine.zip"),
    ):
        pass
    assert str(tmp_path) not in str(error.value)


@pytest.fixture
def uploaded(zipped, tmp_path: Path, monkeypatch):
    """Puts files into the folder of uploads as a zip, and returns the token."""
    monkeypatch.setenv("PROSPR_UPLOADS", str(tmp_path))

    def make(files, name="Flowers.zip") -> str:
        path = Path(zipped(files, "any.tmp"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(tmp_path / f"{digest}.zip")
        return token(digest, name)

    return make


def test_an_upload_is_read_by_its_token(uploaded, zipped, classes) -> None:
    named = uploaded(classes())
    data = load(named, LoadingConfig(), seed=0)
    assert data.name == describe(named).name == "Flowers.zip"
    assert data.digest == load(zipped(classes()), LoadingConfig(), seed=0).digest


def test_no_sentence_names_the_place_of_an_upload(uploaded, picture, tmp_path: Path) -> None:
    broken = {f"{name}/{n}.png": picture() if n else "x" for name in "ab" for n in range(3)}
    for files in ({}, {"a/1.png": "x"}, broken, {"../a/1.png": ""}):
        named = uploaded(files)
        with pytest.raises(DataError, match=r"Flowers\.zip") as error:
            load(named, LoadingConfig(), seed=0)
        assert str(tmp_path) not in str(error.value)
        assert named[7:71] not in str(error.value)


def test_strangers_may_bring_less(uploaded, classes, monkeypatch) -> None:
    named = uploaded(classes() | {"a/big.bmp": b"\0" * 101_000_000})
    with pytest.raises(DataError, match=r"limit of 100\sMB per image"):
        load(named, LoadingConfig(), seed=0)


def test_an_upload_that_is_gone(uploaded, classes, monkeypatch, tmp_path: Path) -> None:
    named = uploaded(classes())
    for file in tmp_path.glob("*.zip"):
        file.unlink()
    with pytest.raises(ConfigError, match=r"Flowers\.zip is no longer available"):
        load(named, LoadingConfig(), seed=0)
