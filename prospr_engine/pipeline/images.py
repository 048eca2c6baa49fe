"""The images of a run, as far as they are known before any is read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prospr_engine.config import LoadingConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.memory import room

if TYPE_CHECKING:
    from prospr_engine.data.inspect import Facts


@dataclass(frozen=True)
class Images:
    """The images of a data set: ``channels`` × ``size`` × ``size``, in ``classes``; ``train`` of
    them for training before any are held out. ``validation`` and ``test`` are None if the data
    have no such part. ``files``: each is decoded from its own file. ``room``: the bytes of
    memory that they may take, or else are decoded again in every pass; None for enough."""

    channels: int
    size: int
    classes: int
    train: int
    test: int | None
    validation: int | None = None
    files: bool = False
    room: int | None = dataclasses.field(default=None, compare=False)


def catalogue(data: str, image_size: int | None = None) -> Images:
    """The images of a data set of ``DATASETS``, scaled to ``image_size`` if given."""
    row = DATASETS[data]
    size = image_size or row.image_size
    return Images(row.channels, size, row.classes, row.train, row.test, room=room())


def images_of(data: str, image_size: int | None = None) -> Images | None:
    """The images of a data set, upload or path, scaled to ``image_size``, without reading pixels;
    None if they differ in size. Raises ``EngineError`` if they cannot be read."""
    if data in DATASETS:
        return catalogue(data, image_size)
    from prospr_engine.data.inspect import describe

    return images_in(describe(data), image_size)


def images_in(facts: Facts, image_size: int | None) -> Images | None:
    """The images of a user's own data; None if their size or colour is not known before they are
    read."""
    size = image_size or facts.image_size
    if not size or not facts.channels:
        return None
    return Images(
        channels=facts.channels,
        size=size,
        classes=facts.class_count,
        train=facts.train,
        test=facts.test,
        validation=facts.validation,
        files=True,
        room=room(),
    )


def split(images: Images, loading: LoadingConfig) -> tuple[int, int, int]:
    """The number of images for training, validation and test, as ``data.splits`` decides up to
    rounding within classes."""
    train, validation, test = images.train, images.validation, images.test
    if test is None:
        test = round(train * loading.test_fraction)
        train -= test
    train = min(train, loading.train_limit or train)
    if validation is None:
        validation = round(train * loading.validation_fraction)
        train -= validation
    else:
        validation = min(validation, loading.test_limit or validation)
    return train, validation, min(test, loading.test_limit or test)
