"""From a name or path to image data that are split, measured and ready for a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.images import ImageData, Split
from prospr_engine.data.readers.opening import open_data
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.reading import tree_source
from prospr_engine.data.source import Source
from prospr_engine.data.splits import plan
from prospr_engine.data.twins import Labelled, twin_notes
from prospr_engine.errors import ResourceError
from prospr_engine.events import OnEvent, ignore


def load(
    name_or_path: str, config: LoadingConfig, seed: int, on_event: OnEvent = ignore
) -> ImageData:
    """Read a data set of ``DATASETS``, or images in one of ``readers.FORMATS`` (a folder or
    zip of class folders) given by a path or the token of an upload.

    The splits depend on ``config`` and ``seed`` alone; global random states are not touched.
    Emits ``Progress`` events of the stage ``"data"``. Raises ``ConfigError`` for an unknown name,
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
        # Those of the table are known, and their copies are part of what others report on them.
        twins = []
        if name_or_path not in DATASETS:
            twins = twin_notes(_labelled(train), _labelled(test))
        return ImageData.build(
            name,
            source.classes,
            train,
            validation,
            test,
            _augmentation(name_or_path, pixels.images.shape[1]),
            (*source.notes, *splits.notes, *twins, *pixels.notes),
            tuple(twins),
            pixels.ranges,
        )
    except MemoryError:
        raise ResourceError(
            "There is not enough memory for the images. Set a smaller image_size, or read fewer "
            "with train_limit and test_limit."
        ) from None


def _labelled(split: Split) -> Labelled:
    return Labelled(split.images.numpy(), split.labels.numpy())


@contextmanager
def _opened(name_or_path: str, on_event: OnEvent) -> Iterator[tuple[str, Source]]:
    if name_or_path in DATASETS:
        row = DATASETS[name_or_path]
        yield row.name, row.load()(row, on_event)
    else:
        with open_data(name_or_path) as (name, opened):
            yield name, tree_source(opened) if isinstance(opened, Tree) else opened


def _augmentation(name_or_path: str, channels: int) -> str:
    """From the table, or what is usual: grey images are often writing, colour ones photographs."""
    if name_or_path in DATASETS:
        return DATASETS[name_or_path].augmentation
    return "shift" if channels == 1 else "shift+flip"
