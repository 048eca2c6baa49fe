from __future__ import annotations

import functools
import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from prospr_engine.config import LoadingConfig
from prospr_engine.data import torchvision_sets
from prospr_engine.data.load import load
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.events import Event, Progress

Pixels = tuple[np.ndarray, np.ndarray]


def pixels(N: int, C: int, size: int, classes: int, seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (N, C, size, size), dtype=np.uint8)
    return images, random.permutation(np.arange(N) % classes)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files: http://yann.lecun.com/exdb/mnist/"""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def offer_mnist(site: Path, address: str, patch, cls: type, train: Pixels, test: Pixels) -> None:
    resources = []
    for prefix, (images, labels) in (("train", train), ("t10k", test)):
        for name, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels)):
            content = idx(array)
            (site / f"{prefix}-{name}-ubyte.gz").write_bytes(content)
            resources.append((f"{prefix}-{name}-ubyte.gz", md5(content)))
    patch.setattr(cls, "resources", resources)
    patch.setattr(cls, "mirrors", [address + "nothing/", address])


def offer_svhn(site: Path, address: str, patch, cls: type, train: Pixels, test: Pixels) -> None:
    from scipy.io import savemat

    listed = {}
    for part, (images, labels) in (("train", train), ("test", test)):
        stream = io.BytesIO()
        tens = np.where(labels == 0, 10, labels)[:, np.newaxis]  # SVHN writes 10 for the digit 0
        savemat(stream, {"X": images.transpose(2, 3, 1, 0), "y": tens.astype(np.uint8)})
        name = f"{part}_32x32.mat"
        (site / name).write_bytes(stream.getvalue())
        listed[part] = [address + name, name, md5(stream.getvalue())]
    patch.setattr(cls, "split_list", listed)


def offer_cifar(site: Path, address: str, patch, cls: type, train: Pixels, test: Pixels) -> None:
    fine = cls.__name__ == "CIFAR100"
    names = [f"class {index}" for index in range(100 if fine else 10)]
    files = {cls.meta["filename"]: pickle.dumps({cls.meta["key"]: names})}
    batches = np.array_split(np.arange(len(train[0])), len(cls.train_list))
    for (name, _), batch in zip(cls.train_list, batches, strict=True):
        files[name] = cifar_batch(train[0][batch], train[1][batch], fine)
    files[cls.test_list[0][0]] = cifar_batch(*test, fine)
    patch.setattr(cls, "train_list", [[name, md5(files[name])] for name, _ in cls.train_list])
    patch.setattr(cls, "test_list", [[name, md5(files[name])] for name, _ in cls.test_list])
    patch.setattr(cls, "meta", cls.meta | {"md5": md5(files[cls.meta["filename"]])})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in {**files, "../../evil": b"evil"}.items():
            member = tarfile.TarInfo(f"{cls.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (site / cls.filename).write_bytes(stream.getvalue())
    patch.setattr(cls, "tgz_md5", md5(stream.getvalue()))
    patch.setattr(cls, "url", address + cls.filename)


def cifar_batch(images: np.ndarray, labels: np.ndarray, fine: bool) -> bytes:
    key = "fine_labels" if fine else "labels"
    return pickle.dumps({"data": images.reshape(len(images), -1), key: labels.tolist()})


SETS: dict[str, tuple[Callable, type, int, int, int]] = {
    "mnist": (offer_mnist, datasets.MNIST, 1, 28, 10),
    "fashion_mnist": (offer_mnist, datasets.FashionMNIST, 1, 28, 10),
    "kmnist": (offer_mnist, datasets.KMNIST, 1, 28, 10),
    "svhn": (offer_svhn, datasets.SVHN, 3, 32, 10),
    "cifar10": (offer_cifar, datasets.CIFAR10, 3, 32, 10),
    "cifar100": (offer_cifar, datasets.CIFAR100, 3, 32, 100),
}


class Quiet(SimpleHTTPRequestHandler):
    served: list[str]

    def log_message(self, *_: object) -> None:
        self.served.append(self.path)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("PROSPR_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that is served, and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    Quiet.served = []
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def offered(site, monkeypatch):
    """Offers a small forgery of a set, and returns its training and test images."""

    def make(name: str) -> tuple[Pixels, Pixels]:
        offer, cls, C, size, classes = SETS[name]
        train = pixels(4 * classes, C, size, classes, 0)
        test = pixels(2 * classes, C, size, classes, 1)
        offer(*site, monkeypatch, cls, train, test)
        return train, test

    return make


def contents(images, labels) -> set[tuple[int, bytes]]:
    return {
        (int(label), np.asarray(image).tobytes())
        for image, label in zip(images, labels, strict=True)
    }


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_fetched_read_and_found_again(name, offered, data_folder, capfd) -> None:
    train, test = offered(name)
    events: list[Event] = []
    data = load(name, LoadingConfig(), 0, events.append)
    _, _, C, size, classes = SETS[name]
    assert (data.name, data.shape, len(data.classes)) == (name, (C, size, size), classes)
    assert contents(data.test.images, data.test.labels) == contents(*test)
    read = [contents(split.images, split.labels) for split in (data.train, data.validation)]
    assert read[0] | read[1] == contents(*train)

    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total
    assert {event.unit for event in progress} == {"MB"}
    assert capfd.readouterr() == ("", "")

    requests = len(Quiet.served)
    assert load(name, LoadingConfig(), 0).digest == data.digest
    assert len(Quiet.served) == requests
    assert not list(data_folder.rglob("*.part"))
    assert not list(data_folder.parent.rglob("evil"))


@pytest.mark.parametrize("name", SETS)
def test_without_a_connection_the_error_says_what_to_do(name, offered, data_folder, site) -> None:
    offered(name)
    for file in site[0].iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"not be downloaded .* yourself .*'digits'") as caught:
        load(name, LoadingConfig(), 0)
    assert str(data_folder) in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "svhn", "cifar10"])
def test_files_put_there_by_hand_are_taken(name, offered, data_folder, site) -> None:
    offered(name)
    where = data_folder / "MNIST" / "raw" if name == "mnist" else data_folder
    where.mkdir(parents=True)
    for file in site[0].iterdir():
        file.rename(where / file.name)
    assert load(name, LoadingConfig(), 0).name == name
    assert not Quiet.served


def test_files_that_torchvision_unpacked_are_taken_from_a_read_only_place(
    offered, data_folder, monkeypatch
) -> None:
    offered("mnist")
    load("mnist", LoadingConfig(), 0)
    for file in [*data_folder.rglob("*.gz"), *data_folder.glob(".*.lock")]:
        file.unlink()
    monkeypatch.setattr(
        torchvision_sets, "FileLock", lambda path: pytest.fail("nothing is to be written")
    )
    assert load("mnist", LoadingConfig(), 0).name == "mnist"


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", struct.pack(">HBB3I", 0, 8, 3, 40, 28, 28)],
    ids=["empty", "junk", "header only"],
)
def test_damaged_files_are_named(offered, data_folder, content) -> None:
    offered("mnist")
    load("mnist", LoadingConfig(), 0)
    raw = data_folder / "MNIST" / "raw"
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=r"raw are damaged .* Delete them"):
        load("mnist", LoadingConfig(), 0)


def test_labels_that_do_not_match_the_images(offered, data_folder) -> None:
    offered("mnist")
    load("mnist", LoadingConfig(), 0)
    raw = data_folder / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte").write_bytes(gzip.decompress(idx(np.zeros(7))))
    with pytest.raises(DataError, match="but 7 labels"):
        load("mnist", LoadingConfig(), 0)


def test_damaged_cifar_is_unpacked_again(offered, data_folder) -> None:
    offered("cifar10")
    first = load("cifar10", LoadingConfig(), 0)
    (data_folder / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"damaged")
    assert load("cifar10", LoadingConfig(), 0).digest == first.digest
    assert len(Quiet.served) == 1


def test_a_data_folder_that_cannot_be_made(offered, tmp_path, monkeypatch) -> None:
    offered("svhn")
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("PROSPR_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(ResourceError, match="Set PROSPR_DATA"):
        load("svhn", LoadingConfig(), 0)


def test_the_data_folder(monkeypatch) -> None:
    monkeypatch.setenv("PROSPR_DATA", "~/somewhere")
    assert torchvision_sets.data_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("PROSPR_DATA")
    assert torchvision_sets.data_folder() == Path.home() / ".cache" / "prospr" / "data"


def test_of_several_that_ask_at_once_one_downloads(offered, data_folder) -> None:
    offered("svhn")
    digests, failures = [], []

    def ask() -> None:
        try:
            digests.append(load("svhn", LoadingConfig(), 0).digest)
        except DataError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (len(digests), len(set(digests)), len(Quiet.served)) == (4, 1, 2)


def test_where_data_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("PROSPR_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".cache" / "prospr" / "data"
    assert torchvision_sets.data_folder() == usual
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert torchvision_sets.data_folder() == tmp_path / "elsewhere" / "prospr" / "data"
    usual.mkdir(parents=True)  # what 0.3.0 downloaded
    assert torchvision_sets.data_folder() == usual
    monkeypatch.setenv("PROSPR_DATA", "~/chosen")
    assert torchvision_sets.data_folder() == tmp_path / "chosen"
