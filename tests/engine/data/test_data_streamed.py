"""Images that do not fit in memory: the same as if they did, only later."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import prospr_engine as pe
from prospr_engine.config import LoadingConfig
from prospr_engine.data import memory, reading
from prospr_engine.data.load import load
from prospr_engine.data.readers import FORMATS, FormatSpec
from prospr_engine.data.readers.folder import folder_tree
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.streamed import AHEAD, Decoder, Streamed, batches
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.events import Progress
from prospr_engine.pipeline.cache import Shared

NOTE = "so each is decoded again whenever it is needed"


@pytest.fixture
def streaming(monkeypatch) -> None:
    monkeypatch.setattr(memory, "room", lambda: 0)


def load_both(patch, source: str, **settings):
    """The data in memory, and not."""
    config = LoadingConfig(**settings)
    whole = load(source, config, seed=3)
    with patch.context() as now:
        now.setattr(memory, "room", lambda: 0)
        return whole, load(source, config, seed=3)


def check_same(whole, streamed) -> None:
    assert not isinstance(whole.train.images, Streamed)
    assert isinstance(streamed.train.images, Streamed)
    for name in ("digest", "mean", "std", "classes", "warnings", "ranges", "augmentation", "shape"):
        assert getattr(whole, name) == getattr(streamed, name), name
    *notes, last = streamed.notes
    assert tuple(notes) == whole.notes
    assert NOTE in last
    for part, split in whole.splits.items():
        ours = streamed.splits[part]
        assert len(ours) == len(split)
        assert ours.images.shape == split.images.shape
        assert torch.equal(ours.labels, split.labels)
        assert torch.equal(ours.images[:], split.images)
        order = torch.randperm(len(split)).split(7)
        for one, other in zip(ours.batches(order), split.batches(order), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_files_are_the_same(kind, folder, zipped, classes, monkeypatch) -> None:
    files = classes(prefix="train/", count=30, size=(12, 10)) | classes(prefix="test/", mode="L")
    source = folder(files) if kind == "folder" else zipped(files)
    check_same(*load_both(monkeypatch, source))


def test_deep_and_transparent_images_are_the_same(zipped, picture, monkeypatch) -> None:
    files = {f"a/{n}.png": picture(n, mode="I;16", colour=700 + 9 * n) for n in range(20)}
    files |= {f"b/{n}.png": picture(n, mode="RGBA") for n in range(20)}
    whole, streamed = load_both(monkeypatch, zipped(files), train_limit=20)
    assert whole.ranges
    check_same(whole, streamed)


def test_arrays_and_tables_of_images_are_the_same(classes, tmp_path, monkeypatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 9, 9, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x_train=pixels, y_train=np.arange(60) % 3)
    images = [{"bytes": content, "path": None} for content in classes(count=30).values()]
    table = pa.table({"image": images, "label": ["cat"] * 30 + ["dog"] * 30})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    for name in ("a.npz", "a.parquet"):
        check_same(*load_both(monkeypatch, str(tmp_path / name)))


@pytest.mark.parametrize("size", [None, 12, 28])
def test_scaled_arrays_are_the_same(size, monkeypatch) -> None:
    check_same(*load_both(monkeypatch, "digits", image_size=size, train_limit=200))


def test_copies_are_found(zipped, picture, monkeypatch) -> None:
    def photograph(seed: int, quality: int) -> bytes:
        return picture(seed, (32, 32), format="JPEG", quality=quality)

    files = {
        f"{part}/{own}/{n}.jpg": photograph(100 * place + n, quality)
        for place, own in enumerate("ab")
        for part, numbers, quality in (("train", range(30), 95), ("test", range(20, 34), 90))
        for n in numbers
    }
    files["train/a/copy.jpg"] = files["train/b/1.jpg"]
    whole, streamed = load_both(monkeypatch, zipped(files), validation_fraction=0.05)
    assert any("look nearly the same" in warning for warning in whole.warnings)
    assert any("in several classes" in warning for warning in whole.warnings)
    check_same(whole, streamed)


def test_broken_images_are_left_out(zipped, classes, monkeypatch) -> None:
    files = classes(count=20)
    files["cat/3.png"], files["dog/4.png"] = b"junk", files["dog/4.png"][:-50]
    whole, streamed = load_both(monkeypatch, zipped(files), skip_broken=True)
    assert any("Skipped: 2 broken images" in note for note in whole.notes)
    check_same(whole, streamed)


def test_a_broken_image_is_named(zipped, classes, streaming) -> None:
    files = classes(count=20)
    files["dog/4.png"] = files["dog/4.png"][:-50]
    with pytest.raises(DataError, match=r"image dog/4\.png of data\.zip cannot be read: .*skip"):
        load(zipped(files), LoadingConfig(), 0)


def test_the_progress_is_that_of_reading(zipped, classes, streaming) -> None:
    events: list[Progress] = []
    load(zipped(classes(count=20)), LoadingConfig(), 0, events.append)
    assert events[-1] == Progress("data", 40, 40, "images", "Reading the images")


# What happens to the files in the meantime


def test_an_image_that_vanished_or_changed_is_an_error(
    folder, classes, picture, streaming, tmp_path
) -> None:
    root = Path(folder(classes(count=20, prefix="train/") | classes(prefix="test/")))
    shared, config = Shared(tmp_path / "shared"), pe.RunConfig(data=str(root))
    shared.keep_images(config, load(str(root), config.loading, 0))
    data = shared.images(config)
    assert data is not None
    assert not data.changed
    (root / "test/cat/3.png").write_bytes(picture(999))
    with pytest.raises(DataError, match=r"The image test/cat/3\.png of data has changed"):
        data.test.images[:]
    assert data.changed
    assert shared.images(config) is None  # so the next run reads it again
    again = load(str(root), config.loading, 0)
    assert again.digest != data.digest
    (root / "train/dog/5.png").unlink()
    with pytest.raises(DataError, match=r"train/dog/5\.png of data can no longer be read: .*such"):
        for _ in again.train.batches([slice(0, 30), slice(30, 60)]):
            pass
    assert again.changed


def test_another_size_is_a_change_as_well(folder, classes, picture, streaming) -> None:
    root = Path(folder(classes(count=20)))
    data = load(str(root), LoadingConfig(), 0)
    for file in root.glob("*/*"):
        file.write_bytes(picture(5, (30, 40)))
    with pytest.raises(DataError, match="has changed"):
        data.train.images[:1]


def test_a_zip_that_is_deleted_stays_open(zipped, classes, streaming) -> None:
    path = zipped(classes(count=20))
    data = load(path, LoadingConfig(), 0)
    Path(path).unlink()
    assert data.train.images[:].shape == (29, 3, 8, 8)


@pytest.fixture
def watched(tables, folder, classes) -> list[str]:
    """What happens to the source of the data in the folder ``data.own``."""
    seen: list[str] = []

    @contextmanager
    def open_own(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
        seen.append("opened")
        try:
            yield folder_tree(path)
        finally:
            seen.append("closed")

    own = FormatSpec("folder", "Own", "Own.", open_own, noun="own", folder=True)
    FORMATS.register(own, replace=True)
    return seen


def test_the_source_is_open_until_nobody_needs_the_images(
    watched, folder, classes, streaming
) -> None:
    data = load(folder(classes(count=20)), LoadingConfig(), 0)
    test = data.test
    del data
    gc.collect()
    assert test.images[:2].shape == (2, 3, 8, 8)
    assert watched == ["opened"]
    del test
    gc.collect()
    assert watched == ["opened", "closed"]


def test_the_source_is_closed_after_an_error_and_if_the_images_fit(
    watched, folder, classes, monkeypatch
) -> None:
    path = folder(classes(count=20))
    load(path, LoadingConfig(), 0)
    assert watched == ["opened", "closed"]
    monkeypatch.setattr(memory, "room", lambda: 0)
    (Path(path) / "cat/1.png").write_bytes(b"junk")
    with pytest.raises(DataError):
        load(path, LoadingConfig(), 0)
    assert watched == ["opened", "closed"] * 2


# Reading ahead


def decoder(count: int, read=None, **options) -> Decoder:
    def plain(number: int) -> np.ndarray:
        return np.full((1, 2, 2), number % 256, np.uint8)

    return Decoder(read or plain, (1, 2, 2), count, "image {}".format, **options)


def test_some_batches_are_decoded_ahead_and_no_more() -> None:
    done = []

    def read(number: int) -> np.ndarray:
        done.append(number)
        return np.zeros((1, 2, 2), np.uint8)

    images = Streamed(decoder(100, read), np.arange(100))
    found = images.batches(torch.arange(100).split(10))
    next(found)
    waited = time.monotonic() + 60
    while len(done) < 10 * (1 + AHEAD) and time.monotonic() < waited:
        time.sleep(0.01)
    assert sorted(done) == list(range(10 * (1 + AHEAD)))
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]
    assert len(done) == 10 * (1 + AHEAD)


def test_batches_come_in_their_order_however_long_each_takes() -> None:
    def read(number: int) -> np.ndarray:
        time.sleep(0.02 if number % 10 == 0 else 0)
        return np.full((1, 2, 2), number, np.uint8)

    order = torch.randperm(60)
    images = Streamed(decoder(60, read), np.arange(60))
    found = torch.cat(list(batches(images, order.split(7))))
    assert torch.equal(found[:, 0, 0, 0].long(), order)


def test_no_images_are_no_images() -> None:
    images = Streamed(decoder(5), np.arange(5))
    assert images[:0].shape == (0, 1, 2, 2)
    assert list(images.batches([])) == []
    assert [len(part) for part in images.split([2, 0, 3])] == [2, 0, 3]
    with pytest.raises(IndexError):
        images[torch.tensor([5])]


def test_a_fault_of_ours_is_not_taken_for_a_broken_image() -> None:
    def fail(number: int) -> np.ndarray:
        raise MemoryError

    with pytest.raises(MemoryError):
        Streamed(decoder(5, fail), np.arange(5))[:]


def test_a_batch_that_does_not_fit_is_refused(monkeypatch) -> None:
    images = Streamed(decoder(300), np.arange(300))
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * 4 * 100)
    assert len(images[:100]) == 100
    with pytest.raises(ResourceError, match="A batch of 101 images of 2 x 2 pixels"):
        images[:101]


@pytest.mark.parametrize("large", [True, False])
def test_large_images_have_several_threads(large, folder, classes, streaming, monkeypatch) -> None:
    monkeypatch.setattr(reading, "WORTH_THREADS", 1 if large else 10**9)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    data = load(folder(classes(count=20)), LoadingConfig(), 0)
    assert isinstance(data.train.images, Streamed)
    assert data.train.images.decoder.threads == (4 if large else 1)
