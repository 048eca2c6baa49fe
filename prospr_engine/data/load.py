"""From a name or a path to image data that are split, measured and ready for a run."""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data import DATASETS, DatasetSpec
from prospr_engine.data.archive import zip_tree
from prospr_engine.data.decode import UnreadableError, is_image, read_header
from prospr_engine.data.folders import folder_tree
from prospr_engine.data.images import ImageData, Split
from prospr_engine.data.layout import Layout, arrange
from prospr_engine.data.reading import choose_size, tree_source
from prospr_engine.data.source import Source
from prospr_engine.data.splits import plan
from prospr_engine.data.tree import Tree
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.events import OnEvent, ignore

PROBED = 32  # headers that ``describe`` looks at


@dataclass(frozen=True)
class Facts:
    """What can be told of data without reading their pixels; ``None`` where that is not enough.

    ``classes`` and ``per_class`` (training images before validation and test are held out) are
    empty for a table's row, whose files may not be here yet.
    """

    name: str
    class_count: int
    classes: tuple[str, ...]
    per_class: tuple[int, ...]
    train: int
    validation: int | None
    test: int | None
    channels: int | None
    image_size: int | None
    notes: tuple[str, ...]


def load(
    name_or_path: str, config: LoadingConfig, seed: int, on_event: OnEvent = ignore
) -> ImageData:
    """Read a data set of ``DATASETS``, or a folder or zip of class folders.

    The splits depend on ``config`` and ``seed`` alone; global random states stay untouched.
    Emits ``Progress`` of the stage ``"data"``. Raises ``ConfigError`` for an unknown name,
    ``DataError`` for data that are missing, broken or do not fit, ``ResourceError`` if memory
    or disk space run out.
    """
    try:
        with _opened(name_or_path, on_event) as (name, source):
            splits = plan(source.labels, source.parts, source.classes, config, seed)
            parts = (splits.train, splits.validation, splits.test)
            chosen = np.concatenate(parts)
            pixels = source.read(chosen, config, on_event)
        labels = torch.from_numpy(source.labels[chosen[pixels.kept]])
        ends = np.cumsum([len(part) for part in parts])[:-1]
        counts = [int(kept.sum()) for kept in np.split(pixels.kept, ends)]
        train, validation, test = (
            Split(images, own)
            for images, own in zip(pixels.images.split(counts), labels.split(counts), strict=True)
        )
        return ImageData.build(
            name,
            source.classes,
            train,
            validation,
            test,
            _augmentation(name_or_path, pixels.images.shape[1]),
            (*source.notes, *splits.notes, *pixels.notes),
        )
    except MemoryError:
        raise ResourceError(
            "There is not enough memory for the images. Set a smaller image_size, or read fewer "
            "with train_limit and test_limit."
        ) from None


def describe(name_or_path: str) -> Facts:
    """Quick facts for a preview. Raises as ``load`` does, but never fetches anything."""
    if name_or_path in DATASETS:
        return _facts_of_row(DATASETS[name_or_path])
    with open_tree(_path(name_or_path)) as tree:
        layout = arrange(tree, is_image)
        channels, image_size = _probe(tree, layout)
    train = layout.parts["train"]
    sizes = {part: len(numbers) for part, numbers in layout.parts.items()}
    return Facts(
        name=tree.name,
        class_count=len(layout.classes),
        classes=layout.classes,
        per_class=tuple(np.bincount(layout.labels[train]).tolist()),
        train=len(train),
        validation=sizes.get("validation"),
        test=sizes.get("test"),
        channels=channels,
        image_size=image_size,
        notes=layout.notes,
    )


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files of a folder or zip; raises ``DataError`` if ``path`` is neither."""
    if not _exists(path):
        raise DataError(f"There is no file or folder {str(path)!r}. Check the path.")
    if path.is_dir():
        yield folder_tree(path)
    elif not path.is_file() or (path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path)):
        raise DataError(f"{path} is neither a folder nor a zip. Give one of class folders.")
    else:
        with zip_tree(path) as tree:
            yield tree


@contextmanager
def _opened(name_or_path: str, on_event: OnEvent) -> Iterator[tuple[str, Source]]:
    if name_or_path in DATASETS:
        row = DATASETS[name_or_path]
        yield row.name, row.load()(row, on_event)
    else:
        with open_tree(_path(name_or_path)) as tree:
            yield tree.name, tree_source(tree)


def _path(name_or_path: str) -> Path:
    """``name_or_path`` as a path; raises ``ConfigError`` if it looks like a misspelt name."""
    path = Path(name_or_path)
    with contextlib.suppress(RuntimeError):  # nobody of that name has a home here
        path = path.expanduser()
    looks_like_path = name_or_path.lower().endswith(".zip") or {"/", os.sep} & {*name_or_path}
    if not name_or_path.strip() or not (looks_like_path or _exists(path)):
        DATASETS.find(name_or_path)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for this file system, or a folder one may not look into
        return False


def _augmentation(name_or_path: str, channels: int) -> str:
    """What a table says; else what is usual: grey images are often writing, colour photographs."""
    if name_or_path in DATASETS:
        return DATASETS[name_or_path].augmentation
    return "shift" if channels == 1 else "shift+flip"


def _facts_of_row(row: DatasetSpec) -> Facts:
    notes = [f"The first use fetches {row.download_mb} MB."] if row.download_mb else []
    if row.licence:
        notes.append(f"Licence: {row.licence}.")
    return Facts(
        name=row.name,
        class_count=row.classes,
        classes=(),
        per_class=(),
        train=row.train,
        validation=None,
        test=row.test,
        channels=row.channels,
        image_size=row.image_size,
        notes=tuple(notes),
    )


def _probe(tree: Tree, layout: Layout) -> tuple[int | None, int | None]:
    """Channels and image size judged by a few headers, as far as these agree."""
    headers = []
    for file in layout.files[:: math.ceil(len(layout.files) / PROBED)]:
        with contextlib.suppress(UnreadableError, OSError), tree.open(file) as stream:
            headers.append(read_header(stream))
    if not headers:
        return None, None
    alike = len({(header.width, header.height) for header in headers}) == 1
    channels = 1 if all(header.grey for header in headers) else 3
    return channels, choose_size(headers, None)[0] if alike else None
