"""A data format of one's own: one function and one row, registered in a test."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import prospr_engine as pe
from prospr_engine.cli.main import main
from prospr_engine.config import LoadingConfig
from prospr_engine.data.inspect import describe
from prospr_engine.data.load import load
from prospr_engine.data.preview import preview
from prospr_engine.data.readers import FORMATS, FormatSpec
from prospr_engine.data.readers.opening import format_of_upload
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.source import Source, array_source
from prospr_engine.errors import ConfigError, DataError


@contextmanager
def open_tar(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
    with tarfile.open(path) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        content = {name: file.read() for name, file in files.items() if file}
        yield Tree(name, tuple(content), (), lambda path: io.BytesIO(content[path]))


@contextmanager
def open_arrays(path: Path, name: str, uploaded: bool) -> Iterator[Source]:
    with np.load(path, allow_pickle=False) as arrays:
        images, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
    classes = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    yield array_source(classes, {"train": (images, labels)})


TAR = FormatSpec(
    "tar", "Tar", "A tar of class folders.", open_tar,
    noun="a tar", kinds=("tar",), suffixes=(".tar",), uploads=True,
)  # fmt: skip
ARRAYS = FormatSpec(
    "arrays", "Arrays", "Images and labels of NumPy.", open_arrays,
    noun="arrays", kinds=("zip",), suffixes=(".arrays",), uploads=True,
)  # fmt: skip


@pytest.fixture
def tarred(tables, tmp_path: Path, classes) -> Path:
    FORMATS.register(TAR)
    path = tmp_path / "pets.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in classes(count=20).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def arrays(tables, tmp_path: Path) -> Path:
    FORMATS.register(ARRAYS)
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    with (tmp_path / "pets.arrays").open("wb") as file:
        np.savez(file, images=images, labels=np.arange(60) % 3)
    return tmp_path / "pets.arrays"


def test_a_new_archive_holds_what_a_zip_holds(tarred: Path, zipped, classes):
    ours = load(str(tarred), LoadingConfig(), seed=0)
    theirs = load(zipped(classes(count=20)), LoadingConfig(), seed=0)
    assert (ours.name, ours.digest) == ("pets.tar", theirs.digest)
    facts = describe(str(tarred))
    assert (facts.name, facts.classes, facts.per_class) == ("pets.tar", ("cat", "dog"), (20, 20))
    assert (facts.channels, facts.image_size) == (3, 8)


def test_strangers_may_send_it(tarred: Path):
    found = preview(tarred, "Mine.tar")
    assert (found.facts.name, found.counts["train"]) == ("Mine.tar", (20, 20))
    assert [len(samples) for samples in found.samples.values()] == [3, 3]
    assert format_of_upload(tarred, "Mine.tar") is TAR


def test_a_format_that_is_not_for_strangers_is_refused(tables, tarred: Path):
    FORMATS.register(
        FormatSpec("tar", "Tar", "Own.", open_tar, noun="a tar", kinds=("tar",)), replace=True
    )
    assert load(str(tarred), LoadingConfig(), seed=0).name == "pets.tar"
    with pytest.raises(DataError, match="is a tar archive, not a zip"):
        preview(tarred, "Mine.tar")


def test_pixels_are_loaded_described_and_shown(arrays: Path):
    data = load(str(arrays), LoadingConfig(), seed=0)
    assert data.classes == ("class 0", "class 1", "class 2")
    with np.load(arrays) as given:
        pixels = given["images"]
    ours = torch.cat([split.images for split in data.splits.values()])
    assert sorted(map(bytes, ours.numpy())) == sorted(map(bytes, pixels))
    facts = describe(str(arrays))
    assert (facts.name, facts.train, facts.channels, facts.image_size) == ("pets.arrays", 60, 1, 8)
    found = preview(arrays, "Mine.arrays")
    assert found.counts["train"] == (20, 20, 20)
    shown = Image.open(io.BytesIO(found.samples["class 0"][0]))
    assert np.array_equal(np.array(shown)[::12, ::12], pixels[0, 0])


def test_of_one_kind_the_name_decides(arrays: Path, zipped, classes):
    assert load(zipped(classes()), LoadingConfig(), seed=0).classes == ("cat", "dog")


@pytest.mark.parametrize("fixture", ["tarred", "arrays"])
def test_a_run_and_the_command_line_take_it(fixture, request, tmp_path: Path, capsys):
    path = request.getfixturevalue(fixture)
    config = pe.RunConfig(model="mlp", data=str(path), epochs=0, sparsity=0.5)
    assert pe.run(config, out=tmp_path / "run").proof.ok
    arguments = ["--model", "mlp", "--data", str(path), "--method", "magnitude", "--quiet"]
    assert main(["score", *arguments, "--json", "--out", str(tmp_path / "scores")]) == 0


def test_a_suffix_makes_a_path_of_a_name(tarred: Path):
    with pytest.raises(DataError, match="no file or folder"):
        load("nowhere.tar", LoadingConfig(), seed=0)
    with pytest.raises(ConfigError, match="no data set"):
        load("nowhere.xyz", LoadingConfig(), seed=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kinds": ()}, "Nothing identifies"),
        ({"folder": True}, "Nothing identifies"),
        ({"kinds": ("tarball",)}, "Nothing identifies"),
        ({"suffixes": ()}, "may be uploaded"),
        ({"suffixes": (".tar.gz",)}, "give a dot"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(changes, words):
    given = {"kinds": ("tar",), "suffixes": (".tar",), "uploads": True} | changes
    with pytest.raises(ConfigError, match=words):
        FormatSpec("tar", "Tar", "Own.", open_tar, noun="a tar", **given)
