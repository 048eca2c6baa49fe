"""What runs leave for others: scores, which many sparsities share, and the dense network, which
all runs of one seed share.

A file's name is a digest of all that decides its content (data, network, seed, settings, versions,
device and threads), so whoever finds it gets what computing it anew would give.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prospr_engine.config import RunConfig
from prospr_engine.data.images import ImageData
from prospr_engine.errors import DataError
from prospr_engine.events import EpochEnded
from prospr_engine.io.files import write_atomically
from prospr_engine.io.tensors import load_tensors
from prospr_engine.saliency.base import Scores
from prospr_engine.training.evaluate import Evaluation


@dataclass(frozen=True)
class Dense:
    """A dense network after its training: ``state`` as ``state_dict`` gives it."""

    state: Mapping[str, Tensor]
    history: tuple[EpochEnded, ...]
    tested: Evaluation


class Shared:
    """The folder in which runs leave things; made when something is left.

    A file that is missing, damaged or of another version counts as absent. The images that were
    loaded last are kept in memory. Not for several threads; processes may share one folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._images: tuple[tuple[Any, ...], ImageData] | None = None

    def images(self, config: RunConfig) -> ImageData | None:
        """The images of these settings, if they were the last that were kept."""
        if self._images and self._images[0] == _images_key(config):
            return self._images[1]
        self._images = None  # before others are loaded: both need not fit into the memory
        return None

    def keep_images(self, config: RunConfig, data: ImageData) -> None:
        """Keep these, and let go of those before."""
        self._images = (_images_key(config), data)

    def scores(self, key: str) -> Scores | None:
        """What ``keep_scores`` kept under that key."""
        with _absent_if_damaged():
            return Scores.load(_used(self._scores(key)))
        return None

    def keep_scores(self, key: str, file: Path) -> None:
        """Keep the file that ``Scores.save`` wrote."""
        _link(file, self._scores(key))

    def give_scores(self, key: str, file: Path) -> bool:
        """Put the file of scores at ``file``; False if it is not there any more."""
        return _link(self._scores(key), file)

    def dense(self, key: str) -> Dense | None:
        """What ``keep_dense`` kept under that key."""
        with _absent_if_damaged():
            told = json.loads(_used(self._dense(key, ".json")).read_text("utf-8"))
            state, _ = load_tensors(_used(self._dense(key, ".safetensors")))
            tested = Evaluation(
                told["loss"], told["accuracy"], torch.tensor(told["predictions"]).long()
            )
            return Dense(state, tuple(EpochEnded(**epoch) for epoch in told["history"]), tested)
        return None

    def keep_dense(
        self, key: str, file: Path, history: tuple[EpochEnded, ...], tested: Evaluation
    ) -> None:
        """Keep the file of the trained network, how it learned and what it answers."""
        if _link(file, self._dense(key, ".safetensors")):
            told = {
                "loss": tested.loss,
                "accuracy": tested.accuracy,
                "predictions": tested.predictions.tolist(),
                "history": [dataclasses.asdict(epoch) for epoch in history],
            }
            write_atomically(self._dense(key, ".json"), json.dumps(told))

    def give_dense(self, key: str, file: Path) -> bool:
        """Put the network's file at ``file``; False if it is not there any more."""
        return _link(self._dense(key, ".safetensors"), file)

    def _scores(self, key: str) -> Path:
        return self.folder / f"scores-{key}.safetensors"

    def _dense(self, key: str, suffix: str) -> Path:
        return self.folder / f"dense-{key}{suffix}"


def _images_key(config: RunConfig) -> tuple[Any, ...]:
    return (config.data, _changed(config.data), config.loading, config.seed)


def _changed(data: str) -> tuple[int, ...]:
    """When the files of ``data`` changed, if it is a path: that of a zip, or of a folder, its
    classes and what is above them."""
    path = Path(data).expanduser()
    with contextlib.suppress(OSError):
        if path.is_dir():
            folders = [path, *path.glob("*/"), *path.glob("*/*/")]
            return tuple(folder.stat().st_mtime_ns for folder in sorted(folders))
        return (path.stat().st_mtime_ns, path.stat().st_size)
    return ()


@contextlib.contextmanager
def _absent_if_damaged() -> Iterator[None]:
    with contextlib.suppress(DataError, OSError, ValueError, KeyError, TypeError):
        yield


def _used(path: Path) -> Path:
    """``path``, which whoever clears the folder now knows to be of use."""
    os.utime(path)
    return path


def _link(source: Path, target: Path) -> bool:
    """Let ``target`` be the file that ``source`` is: no copy, as nobody writes into either. False
    where that cannot be; whoever needs the file writes it then."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            between = Path(folder, target.name)
            os.link(source, between)
            between.replace(target)
    except OSError:
        return False
    return True
