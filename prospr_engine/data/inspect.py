"""What a data set contains, found without reading its pixels, and without torch."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from prospr_engine.config import LoadingConfig
from prospr_engine.data import DATASETS, DatasetSpec
from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import UnreadableError, is_image, read_header
from prospr_engine.data.readers.opening import open_data
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.data.sizes import choose_size
from prospr_engine.events import ignore

if TYPE_CHECKING:
    from prospr_engine.data.source import Source  # which brings torch

PROBED = 32  # headers read


@dataclass(frozen=True)
class Facts:
    """What is known of a data set without reading its pixels; ``None`` where unknown.

    ``classes`` and ``per_class`` (training images before validation and test are held out) are
    empty for a row of ``DATASETS``, whose files may not have been downloaded yet.
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


def describe(name_or_path: str) -> Facts:
    """Quick facts for a preview. Raises as ``load`` does, but never downloads anything."""
    if name_or_path in DATASETS:
        return _facts_of_row(DATASETS[name_or_path])
    with open_data(name_or_path) as (name, opened):
        if isinstance(opened, Tree):
            return facts_of(name, arrange(opened, is_image), opened)
        return facts_of(name, opened, opened)


def facts_of(name: str, layout: Layout | Source, opened: Tree | Source) -> Facts:
    """The facts of images whose classes and parts are known."""
    if isinstance(layout, Layout) and isinstance(opened, Tree):
        channels, image_size = _probe(opened, layout)
    else:
        channels, image_size = _probe_pixels(cast("Source", opened))
    train = layout.parts["train"]
    sizes = {part: len(numbers) for part, numbers in layout.parts.items()}
    return Facts(
        name=name,
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


def _facts_of_row(row: DatasetSpec) -> Facts:
    notes = [f"The first use downloads {row.download_mb} MB."] if row.download_mb else []
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


def _probe_pixels(source: Source) -> tuple[int | None, int | None]:
    """Channels and image size of the first images."""
    first = np.arange(min(PROBED, len(source.labels)))
    shape = source.read(first, LoadingConfig(), ignore).images.shape
    return int(shape[1]), int(shape[2]) if shape[2] == shape[3] else None


def _probe(tree: Tree, layout: Layout) -> tuple[int | None, int | None]:
    """Channels and image size from a few headers, if they agree."""
    headers = []
    for file in layout.files[:: math.ceil(len(layout.files) / PROBED)]:
        with contextlib.suppress(UnreadableError, OSError), tree.open(file) as stream:
            headers.append(read_header(stream, tree.accepted))
    if not headers:
        return None, None
    same_size = len({(header.width, header.height) for header in headers}) == 1
    channels = 1 if all(header.grey for header in headers) else 3
    return channels, choose_size(headers, None)[0] if same_size else None
