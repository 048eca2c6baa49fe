"""Torchvision's data sets: downloaded once into a folder, then read from there.

The folder is laid out as torchvision's ``root``, so that both share their downloads. It is
``PROSPR_DATA`` from the environment, or a folder in the user's cache
(``~/.cache/prospr/data`` on Linux).
"""

from __future__ import annotations

import gzip
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from torch import Tensor

from prospr_engine.data.download import Remote, fetch, intact
from prospr_engine.data.progress import Ticker
from prospr_engine.data.source import Source, array_source
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.events import OnEvent
from prospr_engine.io.files import write_atomically

if TYPE_CHECKING:
    from prospr_engine.data import DatasetSpec

MNIST_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
CIFAR_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
DAMAGE = (
    *(OSError, RuntimeError, ValueError, TypeError, AssertionError, KeyError, IndexError),
    *(EOFError, zlib.error, tarfile.TarError, pickle.UnpicklingError, AttributeError),
)
"""What the readers of torchvision, gzip and tarfile raise on damaged files."""


def data_folder() -> Path:
    """Where data are kept: ``PROSPR_DATA``, or a folder in the user's cache."""
    chosen = os.environ.get("PROSPR_DATA")
    if chosen:
        return Path(chosen).expanduser()
    # The only folder until 0.3.0: keep using what was downloaded or put there.
    earlier = Path.home() / ".cache" / "prospr" / "data"
    return earlier if earlier.is_dir() else user_cache_path("prospr", appauthor=False) / "data"


def mnist(spec: DatasetSpec, on_event: OnEvent) -> Source:
    """MNIST and its two relatives, (1, 28, 28)."""
    from torchvision import datasets

    cls = getattr(datasets, MNIST_CLASSES[spec.name])
    root = data_folder()
    raw = root / cls.__name__ / "raw"
    remotes = [
        Remote(raw / name, tuple(mirror + name for mirror in cls.mirrors), md5)
        for name, md5 in cls.resources
    ]
    unpacked = [remote.path.with_suffix("") for remote in remotes]

    def unpack() -> None:
        for remote, target in zip(remotes, unpacked, strict=True):
            write_atomically(target, gzip.decompress(remote.path.read_bytes()))

    _provide(spec, remotes, lambda: all(path.is_file() for path in unpacked), unpack, on_event)

    def part(train: bool) -> tuple[Tensor, Tensor]:
        data = cls(root, train=train)
        return _checked(data.data.unsqueeze(1), data.targets)

    # torchvision writes "3 - three" for the digits
    classes = tuple(name.split(" - ")[0] for name in cls.classes)
    return _source(raw, lambda: (classes, part(True), part(False)))


def svhn(spec: DatasetSpec, on_event: OnEvent) -> Source:
    """Street View House Numbers, (3, 32, 32), without its extra images."""
    from torchvision.datasets import SVHN

    root = data_folder()
    files = [SVHN.split_list[part] for part in ("train", "test")]
    remotes = [Remote(root / name, (url,), md5) for url, name, md5 in files]
    _provide(spec, remotes, lambda: _all_intact(remotes), lambda: None, on_event)

    def part(name: str) -> tuple[Tensor, Tensor]:
        data = SVHN(root, split=name)
        return _checked(torch.from_numpy(data.data.copy()), torch.from_numpy(data.labels))

    classes = tuple(str(digit) for digit in range(10))
    return _source(root, lambda: (classes, part("train"), part("test")))


def cifar(spec: DatasetSpec, on_event: OnEvent) -> Source:
    """CIFAR-10 and CIFAR-100 (its fine classes), (3, 32, 32)."""
    from torchvision import datasets

    cls = getattr(datasets, CIFAR_CLASSES[spec.name])
    root = data_folder()
    folder = root / cls.base_folder
    archive = Remote(root / cls.filename, (cls.url,), cls.tgz_md5)
    listed = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]

    def unpack() -> None:
        wanted = {f"{cls.base_folder}/{name}": folder / name for name, _ in listed}
        with tarfile.open(archive.path, "r:gz") as tar:
            for member in tar:
                # Only the expected files, under our own names: nothing can be written elsewhere.
                if member.name in wanted and (content := tar.extractfile(member)) is not None:
                    write_atomically(wanted[member.name], content.read())

    def present() -> bool:
        return all(intact(folder / name, md5) for name, md5 in listed)

    _provide(spec, [archive], present, unpack, on_event)

    def part(train: bool) -> tuple[tuple[str, ...], tuple[Tensor, Tensor]]:
        data = cls(root, train=train)
        images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        return tuple(data.classes), _checked(images, torch.tensor(data.targets))

    def read() -> tuple[tuple[str, ...], tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        classes, train = part(True)
        return classes, train, part(False)[1]

    return _source(folder, read)


def _provide(
    spec: DatasetSpec,
    remotes: Sequence[Remote],
    present: Callable[[], bool],
    unpack: Callable[[], None],
    on_event: OnEvent,
) -> None:
    """Download and unpack what is missing; of several processes at once, only one does so."""
    if present():
        return
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{spec.name}.lock")
        waiting = Ticker(on_event, 1, "download", f"Waiting for another download of {spec.label}")
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                waiting.at(0)
    except OSError as error:
        raise ResourceError(
            f"{folder} cannot be written to ({error.strerror}). Set PROSPR_DATA to a folder you "
            "can write to."
        ) from None
    try:
        if not present():
            _fetch_all(spec, remotes, on_event)
            _unpack(spec, remotes, unpack)
    finally:
        lock.release()


def _fetch_all(spec: DatasetSpec, remotes: Sequence[Remote], on_event: OnEvent) -> None:
    ticker = Ticker(on_event, spec.download_mb or 1, "MB", f"Downloading {spec.label}")
    before = 0

    def advance(here: int) -> None:
        # Only the last line reports the end: sizes in the table are rounded.
        ticker.at(min((before + here) // 1_000_000, ticker.total - 1))

    for remote in remotes:
        fetch(remote, advance)
        before += remote.path.stat().st_size
    ticker.at(ticker.total)


def _unpack(spec: DatasetSpec, remotes: Sequence[Remote], unpack: Callable[[], None]) -> None:
    try:
        unpack()
    except DAMAGE as error:
        raise _damaged(remotes[0].path.parent, error) from None


def _source(folder: Path, read: Callable[[], tuple[Any, Any, Any]]) -> Source:
    try:
        classes, train, test = read()
    except DAMAGE as error:
        raise _damaged(folder, error) from None
    return array_source(classes, {"train": train, "test": test})


def _all_intact(remotes: Sequence[Remote]) -> bool:
    return all(intact(remote.path, remote.md5) for remote in remotes)


def _checked(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if len(images) != len(labels) or images.ndim != 4:
        raise ValueError(f"{tuple(images.shape)} images, but {len(labels)} labels")
    return images, labels.to(torch.int64)


def _damaged(folder: Path, error: BaseException) -> DataError:
    return DataError(
        f"The files in {folder} are damaged ({error or type(error).__name__}). Delete them and run "
        "again to download them again."
    )
