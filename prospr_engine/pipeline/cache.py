"""What runs share: scores, which serve many sparsities, and the dense network, which serves all
runs of one seed.

A file's name is a digest of everything that determines its content (data, network, seed, settings,
versions, device and threads), so reusing the file gives the same result as computing it again.
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
    """A trained dense network: ``state`` is its ``state_dict``."""

    state: Mapping[str, Tensor]
    history: tuple[EpochEnded, ...]
    tested: Evaluation


class Shared:
    """The folder of shared files, created on first use.

    A file that is missing, damaged or from another version counts as absent. The last images
    loaded are kept, in memory if they fit. Not thread-safe; several processes may share one folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._images: tuple[tuple[Any, ...], ImageData] | None = None

    def images(self, config: RunConfig) -> ImageData | None:
        """The images of these settings, if they were the last ones kept and have not changed."""
        if self._images and self._images[0] == _images_key(config):
            data = self._images[1]
            if not data.changed:
                return data
        self._images = None  # before others are loaded: both may not fit in memory
        return None

    def keep_images(self, config: RunConfig, data: ImageData) -> None:
        """Keep these images in place of the last ones."""
        self._images = (_images_key(config), data)

    def scores(self, key: str) -> Scores | None:
        """The scores kept under that key, or None."""
        with _absent_if_damaged():
            return Scores.load(_used(self._scores(key)))
        return None

    def keep_scores(self, key: str, file: Path) -> None:
        """Keep a file written by ``Scores.save``."""
        _link(file, self._scores(key))

    def give_scores(self, key: str, file: Path) -> bool:
        """Place the file of scores at ``file``; False if it no longer exists."""
        return _link(self._scores(key), file)

    def dense(self, key: str) -> Dense | None:
        """The dense network kept under that key, or None."""
        with _absent_if_damaged():
            values = json.loads(_used(self._dense(key, ".json")).read_text("utf-8"))
            state, _ = load_tensors(_used(self._dense(key, ".safetensors")))
            tested = Evaluation(
                values["loss"], values["accuracy"], torch.tensor(values["predictions"]).long()
            )
            return Dense(state, tuple(EpochEnded(**epoch) for epoch in values["history"]), tested)
        return None

    def keep_dense(
        self, key: str, file: Path, history: tuple[EpochEnded, ...], tested: Evaluation
    ) -> None:
        """Keep the file of the trained network, its history and its predictions."""
        if _link(file, self._dense(key, ".safetensors")):
            values = {
                "loss": tested.loss,
                "accuracy": tested.accuracy,
                "predictions": tested.predictions.tolist(),
                "history": [dataclasses.asdict(epoch) for epoch in history],
            }
            write_atomically(self._dense(key, ".json"), json.dumps(values))

    def give_dense(self, key: str, file: Path) -> bool:
        """Place the network's file at ``file``; False if it no longer exists."""
        return _link(self._dense(key, ".safetensors"), file)

    def _scores(self, key: str) -> Path:
        return self.folder / f"scores-{key}.safetensors"

    def _dense(self, key: str, suffix: str) -> Path:
        return self.folder / f"dense-{key}{suffix}"


def _images_key(config: RunConfig) -> tuple[Any, ...]:
    return (config.data, _changed(config.data), config.loading, config.seed)


def _changed(data: str) -> tuple[int, ...]:
    """When the files of ``data`` last changed, if it is a path: a zip, or a folder with its parts
    and classes."""
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
    """``path``, marked as used now, so that clean-up keeps it."""
    os.utime(path)
    return path


def _link(source: Path, target: Path) -> bool:
    """Hard-link ``target`` to ``source``, which is safe because neither is modified. False if that
    is impossible; the caller then writes the file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            between = Path(folder, target.name)
            os.link(source, between)
            between.replace(target)
    except OSError:
        return False
    return True
