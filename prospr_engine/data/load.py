"""From a name or path to image data that are split, measured and ready for a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data import DATASETS, DatasetSpec
from prospr_engine.data.balance import balance_warnings
from prospr_engine.data.depth import level_notes
from prospr_engine.data.images import ImageData, Split
from prospr_engine.data.progress import Ticker
from prospr_engine.data.readers.opening import open_data
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.reading import tree_source
from prospr_engine.data.source import Source
from prospr_engine.data.splits import plan
from prospr_engine.data.streamed import Images, Streamed
from prospr_engine.data.survey import statistics, survey
from prospr_engine.data.twins import Marked, Marks, twin_notes_of
from prospr_engine.errors import ResourceError
from prospr_engine.events import OnEvent, ignore
from prospr_engine.format import gigabytes

AUGMENTATION = ("shift", "shift+flip")


def load(
    name_or_path: str, config: LoadingConfig, seed: int, on_event: OnEvent = ignore
) -> ImageData:
    """Read a data set of ``DATASETS``, or images in one of ``readers.FORMATS``, given by a
    path or the token of an upload.

    The splits depend on ``config`` and ``seed`` alone; global random states are not touched.
    Emits ``Progress`` events of the stage ``"data"``. Raises ``ConfigError`` for an unknown name,
    ``DataError`` for data that are missing, broken or do not fit, ``ResourceError`` if memory
    or disk space run out.
    """
    try:
        with ExitStack() as stack:
            name, source = stack.enter_context(_opened(name_or_path, on_event))
            data = _read(name, source, config, seed, DATASETS.get(name_or_path), on_event)
            if isinstance(images := data.train.images, Streamed):
                # From now on the source stays open for as long as the images are needed.
                images.decoder.keep_open(stack.pop_all().close)
        return data
    except MemoryError:
        raise ResourceError(
            "There is not enough memory for the images. Set a smaller image_size, or read fewer "
            "with train_limit and test_limit."
        ) from None


def _read(
    name: str,
    source: Source,
    config: LoadingConfig,
    seed: int,
    row: DatasetSpec | None,
    on_event: OnEvent,
) -> ImageData:
    """The images of ``source``; ``row`` is theirs in the table, if they have one."""
    planned = plan(source.labels, source.parts, source.classes, config, seed)
    parts = (planned.train, planned.validation, planned.test)
    chosen = np.concatenate(parts)
    pixels = source.read(chosen, config, on_event)
    labels = torch.from_numpy(source.labels[chosen[pixels.kept]])
    ends = np.cumsum([len(part) for part in parts])[:-1]
    counts = [int(kept.sum()) for kept in np.split(pixels.kept, ends)]
    splits = [
        Split(images, own)
        for images, own in zip(pixels.images.split(counts), labels.split(counts), strict=True)
    ]
    train, validation, test = splits
    streamed = isinstance(pixels.images, Streamed)
    ticker = Ticker(on_event, len(labels), "images", "Reading the images")
    found = survey(
        source.classes,
        [(split.images, split.labels) for split in splits],
        # Those of the table are known, and their copies are part of what others report on them.
        marked=() if row else (0, 2),
        on_images=ticker.at if streamed else lambda done: None,
    )
    uneven, twins, levels = [], [], []
    if not row:
        every = np.bincount(source.labels[source.parts["train"]], minlength=len(source.classes))
        uneven = balance_warnings(source.classes, every.tolist())
        twins = twin_notes_of(_marked(train, found.marks[0]), _marked(test, found.marks[2]))
        levels = level_notes(torch.stack(found.levels).sum((0, 1)).numpy(), pixels.deep)
    mean, std = statistics(found.levels[0])
    return ImageData(
        name=name,
        classes=source.classes,
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
        # Grey images are often writing, colour ones photographs.
        augmentation=row.augmentation if row else AUGMENTATION[len(mean) > 1],
        notes=(
            *(*source.notes, *planned.notes, *uneven, *twins, *pixels.notes, *levels),
            *([_streamed_note(pixels.images)] if streamed else []),
        ),
        warnings=(*uneven, *twins),
        digest=found.digest,
        ranges=pixels.ranges,
    )


def _marked(split: Split, marks: Marks) -> Marked:
    def pixels(positions: np.ndarray) -> np.ndarray:
        return split.images[torch.from_numpy(positions)].numpy()

    return Marked(marks, split.labels.numpy(), pixels)


def _streamed_note(images: Images) -> str:
    N, C, H, W = images.shape
    return (
        f"The {N:,} images would take {gigabytes(N * C * H * W)} of memory, more than is free for "
        "them, so each is decoded again whenever it is needed. That takes longer; a smaller "
        "image_size or a train_limit makes them fit."
    )


@contextmanager
def _opened(name_or_path: str, on_event: OnEvent) -> Iterator[tuple[str, Source]]:
    if name_or_path in DATASETS:
        row = DATASETS[name_or_path]
        yield row.name, row.load()(row, on_event)
    else:
        with open_data(name_or_path) as (name, opened):
            yield name, tree_source(opened) if isinstance(opened, Tree) else opened
