from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data import memory
from prospr_engine.data.inspect import describe
from prospr_engine.data.load import load
from prospr_engine.errors import ConfigError, DataError, ResourceError
from prospr_engine.events import Progress


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    data = load("digits", LoadingConfig(), seed=0)
    assert (data.name, data.shape, data.augmentation) == ("digits", (1, 8, 8), "none")
    assert data.classes == tuple("0123456789")
    assert {part: len(split) for part, split in data.splits.items()} == {
        "train": 1294,
        "validation": 144,
        "test": 359,
    }
    whole = load_digits()
    given = {
        (label, (image * 255 / 16).round().astype(np.uint8).tobytes())
        for label, image in zip(whole.target.tolist(), whole.images, strict=True)
    }
    read = {
        (label, image.numpy().tobytes())
        for split in data.splits.values()
        for label, image in zip(split.labels.tolist(), split.images, strict=True)
    }
    assert read == given
    for split in data.splits.values():
        shares = torch.bincount(split.labels) / len(split)
        assert (shares - 0.1).abs().max() < 0.02


def test_the_seed_decides_the_split_and_nothing_else_does(picture) -> None:
    first = load("digits", LoadingConfig(), seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    again = load("digits", LoadingConfig(), seed=3)
    assert again.digest == first.digest
    assert torch.equal(again.train.images, first.train.images)
    assert load("digits", LoadingConfig(), seed=4).digest != first.digest


@pytest.mark.parametrize("kind", ["digits", "zip"])
def test_global_random_states_stay_untouched(kind, zipped, classes) -> None:
    source = zipped(classes()) if kind == "zip" else kind
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    load(source, LoadingConfig(train_limit=20), seed=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_digits_of_another_size() -> None:
    data = load("digits", LoadingConfig(image_size=28, train_limit=100, test_limit=50), seed=0)
    assert (data.shape, len(data.train), len(data.validation), len(data.test)) == (
        *((1, 28, 28), 90, 10),
        50,
    )
    assert "The images were resized from 8 x 8 to 28 x 28 pixels." in data.notes
    assert abs(data.mean[0] - 0.306) < 0.03


def test_a_folder_and_a_zip_of_it_are_the_same_data(folder, zipped, classes) -> None:
    files = {**classes(prefix="x/train/"), **classes(prefix="x/Test/", count=4)}
    reverse = dict(reversed(files.items()))
    from_folder = load(folder(files), LoadingConfig(), seed=0)
    from_zip = load(zipped(reverse, "any.zip"), LoadingConfig(), seed=0)
    assert from_folder.digest == from_zip.digest
    assert (from_folder.name, from_zip.name) == ("data", "any.zip")
    assert [len(split) for split in from_zip.splits.values()] == [18, 2, 8]
    assert from_zip.augmentation == "shift+flip"


def test_labels_belong_to_their_images(zipped, picture) -> None:
    shades = {"black": 0, "grey": 128, "white": 255}
    files = {
        f"{name}/{number}.png": picture(mode="L", colour=shade)
        for name, shade in shades.items()
        for number in range(10)
    }
    data = load(zipped(files), LoadingConfig(), seed=5)
    assert (data.channels, data.augmentation) == (1, "shift")
    for split in data.splits.values():
        for image, label in zip(split.images, split.labels, strict=True):
            assert (image == shades[data.classes[label]]).all()


def test_labels_still_belong_to_their_images_when_broken_ones_are_left_out(zipped, picture) -> None:
    files: dict[str, bytes] = {
        f"{name}/{number}.png": picture(mode="L", colour=shade) if number % 3 else b"junk"
        for name, shade in {"black": 0, "white": 255}.items()
        for number in range(30)
    }
    path = zipped(files)
    with pytest.raises(DataError, match="cannot be read"):
        load(path, LoadingConfig(), seed=0)
    data = load(path, LoadingConfig(skip_broken=True), seed=0)
    assert sum(len(split) for split in data.splits.values()) == 40
    assert "Skipped: 20 broken images" in data.notes[-1]
    for split in data.splits.values():
        assert torch.equal(split.images.amax((1, 2, 3)), (split.labels * 255).to(torch.uint8))


def test_only_chosen_images_are_decoded(zipped, classes) -> None:
    files = classes(count=40, prefix="train/") | classes(count=20, prefix="test/")
    events: list[Progress] = []
    data = load(
        zipped(files), LoadingConfig(train_limit=20, test_limit=10), seed=0, on_event=events.append
    )
    assert [len(split) for split in data.splits.values()] == [18, 2, 10]
    assert events[-1] == Progress("data", 30, 30, "images", "Reading the images")
    assert torch.bincount(data.test.labels).tolist() == [5, 5]
    assert data.notes == (
        "20 of 80 training images are used (train_limit).",
        "10 of 40 test images are used (test_limit).",
    )


def test_mixed_sizes_and_modes(zipped, picture) -> None:
    files = {
        f"{name}/{number}.png": picture(number, size=(20 + number, 40 - number), mode=mode)
        for name, mode in (("a", "L"), ("b", "RGBA"))
        for number in range(10)
    }
    data = load(zipped(files), LoadingConfig(), seed=0)
    assert data.shape == (3, 24, 24)
    assert len(data.notes) == 4
    assert load(zipped(files), LoadingConfig(image_size=16), seed=0).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("digit", ConfigError, "did you mean 'digits'"),
        ("Digits", ConfigError, "did you mean 'digits'"),
        ("", ConfigError, "no data set called ''"),
        ("  ", ConfigError, "no data set"),
        ("no\0name", ConfigError, "no data set"),
        ("x" * 5000, ConfigError, "no data set"),
        ("gone.zip", DataError, "no file or folder 'gone.zip'"),
        ("./gone", DataError, "no file or folder"),
        ("~/certainly-not-there/x", DataError, "no file or folder"),
        ("/" + "x" * 5000, DataError, "no file or folder"),
        ("~nobody-of-that-name/x", DataError, "no file or folder"),
    ],
)
@pytest.mark.parametrize("function", [describe, lambda name: load(name, LoadingConfig(), 0)])
def test_names_that_mean_nothing(function, name, error, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence):
        function(name)


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "data.tar").write_bytes(b"hello")
    with pytest.raises(DataError, match="not a folder, a zip"):
        load(str(tmp_path / "data.tar"), LoadingConfig(), 0)


def test_a_zip_by_any_other_name(zipped, classes) -> None:
    assert len(load(zipped(classes(), "upload.tmp"), LoadingConfig(), 0).train) > 0


def test_a_folder_by_its_bare_name(folder, classes, tmp_path, monkeypatch) -> None:
    folder(classes())
    monkeypatch.chdir(tmp_path)
    assert load("data", LoadingConfig(), 0).name == "data"


def test_no_memory_left(monkeypatch, zipped, classes) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000)
    with pytest.raises(ResourceError, match="Set a smaller image_size"):
        load("digits", LoadingConfig(), 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: None)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("prospr_engine.data.reading.read_pixels", fail)
    with pytest.raises(ResourceError, match="not enough memory"):
        load(zipped(classes()), LoadingConfig(skip_broken=True), 0)


def test_describe_a_row_and_a_zip(zipped, classes) -> None:
    facts = describe("mnist")
    assert (facts.class_count, facts.train, facts.test) == (10, 60_000, 10_000)
    assert facts.notes[0] == "The first use downloads 12 MB."
    files = classes(prefix="train/", mode="L") | classes(prefix="test/", count=3, mode="L")
    facts = describe(zipped(files | {"train/readme.txt": b"x"}))
    assert (facts.classes, facts.per_class) == (("cat", "dog"), (10, 10))
    assert (facts.train, facts.validation, facts.test) == (20, None, 6)
    assert (facts.channels, facts.image_size) == (1, 8)
    assert facts.notes == ("Skipped: 1 file of other types (.txt).",)


def test_describe_does_not_mind_broken_or_mixed_images(zipped, picture) -> None:
    files = {"a/1.png": b"junk", "b/1.png": b"junk"}
    assert (describe(zipped(files)).channels, describe(zipped(files)).image_size) == (None, None)
    files = {"a/1.png": picture(size=(9, 9)), "b/1.png": picture()}
    assert (describe(zipped(files)).channels, describe(zipped(files)).image_size) == (3, None)


def test_cifar_as_a_person_would_bring_it(shared_cifar10: Path) -> None:
    facts = describe(str(shared_cifar10))
    assert (facts.train, facts.test, facts.channels, facts.image_size) == (50_000, 10_000, 3, 32)
    events: list[Progress] = []
    config = LoadingConfig(train_limit=2000, test_limit=1000)
    data = load(str(shared_cifar10), config, 0, events.append)
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    assert [len(split) for split in data.splits.values()] == [1800, 200, 1000]
    assert torch.bincount(data.train.labels).tolist() == [180] * 10
    # The published statistics of CIFAR-10.
    assert np.abs(np.subtract(data.mean, (0.4914, 0.4822, 0.4465))).max() < 0.01
    assert np.abs(np.subtract(data.std, (0.2470, 0.2435, 0.2616))).max() < 0.01
    assert len(events) < 3000  # fewer than images, however slow the machine
