"""The split into training, validation and test images: seeded and stratified by label.

Each draw has a NumPy generator of its own, seeded with the seed and the purpose of the draw. Global
random states are neither used nor changed, and the test images do not depend on the number of
training images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prospr_engine.config import LoadingConfig
from prospr_engine.errors import ConfigError, DataError

TEST, TRAIN_LIMIT, TEST_LIMIT, VALIDATION, ORDER = range(5)  # purposes of a draw


@dataclass(frozen=True, eq=False)
class Plan:
    """Indices of the images of each split, in random order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]


def plan(
    labels: np.ndarray,
    parts: Mapping[str, np.ndarray],
    classes: Sequence[str],
    config: LoadingConfig,
    seed: int,
) -> Plan:
    """Split images with ``labels`` (N,), given the ``parts`` of the data.

    If there is no test part, it is held out from the training images first. Then the limits apply.
    If there is no validation part, it is held out from the rest. ``test_limit`` also limits a
    validation part of the data. Raises ``DataError`` if a class has too few images, and
    ``ConfigError`` if a limit leaves a class without images.
    """

    def random(purpose: int) -> np.random.Generator:
        return np.random.default_rng([seed, purpose])

    notes = []
    train, validation, test = (parts.get(part) for part in ("train", "validation", "test"))
    if train is None:
        raise DataError("There are no training images; put them into a part named train.")
    counts = np.bincount(labels[train], minlength=len(classes))
    if test is None:
        _check_counts(counts, classes)
        rest, held_out = hold_out(labels[train], config.test_fraction, random(TEST))
        train, test = train[rest], train[held_out]
        notes.append(
            f"The data have no test part: {len(test):,} of {len(labels[rest]) + len(test):,} "
            "images, chosen by the seed, are held out for testing."
        )
    if config.train_limit is not None and config.train_limit < len(train):
        if config.train_limit < len(classes):
            raise ConfigError(
                f"train_limit is {config.train_limit}, but there are {len(classes)} classes; "
                f"give at least {2 * len(classes)}."
            )
        chosen = limit(labels[train], config.train_limit, random(TRAIN_LIMIT))
        notes.append(f"{len(chosen):,} of {len(train):,} training images are used (train_limit).")
        train = train[chosen]
    if validation is None:
        rest, held_out = hold_out(labels[train], config.validation_fraction, random(VALIDATION))
        if not len(held_out):
            raise _nothing_to_validate(config, len(train), len(classes))
        train, validation = train[rest], train[held_out]
    else:
        validation = _limited(validation, labels, config, random(TEST_LIMIT), "validation", notes)
    test = _limited(test, labels, config, random(TEST_LIMIT), "test", notes)
    order = random(ORDER)
    train, validation, test = (order.permutation(part) for part in (train, validation, test))
    return Plan(train, validation, test, tuple(notes))


def hold_out(
    labels: np.ndarray, fraction: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in ``labels`` (N,) of the rest and of the held-out ``fraction`` of every class.

    The total is as close to ``round(N * fraction)`` as the classes allow: a class with two or more
    images has at least one on each side; a single image stays in the rest.
    """
    classes, counts = np.unique(labels, return_counts=True)
    share = counts * fraction
    lowest, highest = np.minimum(1, counts - 1), counts - 1
    quota = np.clip(np.floor(share).astype(np.int64), lowest, highest)
    missing = round(len(labels) * fraction) - int(quota.sum())
    for index in np.argsort(quota - share, kind="stable"):  # largest remainders first
        if missing > 0 and quota[index] < highest[index]:
            quota[index] += 1
            missing -= 1
    held_out = _first_of_each(labels, classes, quota, random)
    rest = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
    return rest, held_out


def limit(labels: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """At most ``most`` positions in ``labels`` (N,), with the classes as balanced as possible.

    With the same generator, a smaller limit chooses a subset of what a larger one chooses.
    """
    classes, counts = np.unique(labels, return_counts=True)
    first = random.permutation(len(classes))  # which classes get the remainder
    quota = np.zeros_like(counts)
    left = min(most, len(labels))
    while left:
        open_ = np.array([index for index in first if quota[index] < counts[index]])
        level = min(left // len(open_), int((counts - quota)[open_].min()))
        if level:
            quota[open_] += level
            left -= level * len(open_)
        else:
            quota[open_[:left]] += 1
            left = 0
    return _first_of_each(labels, classes, quota, random)


def _first_of_each(
    labels: np.ndarray, classes: np.ndarray, quota: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    members = np.split(
        np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels)[classes])[:-1]
    )
    chosen = [random.permutation(own)[:count] for own, count in zip(members, quota, strict=True)]
    return np.sort(np.concatenate(chosen))


def _limited(
    part: np.ndarray,
    labels: np.ndarray,
    config: LoadingConfig,
    random: np.random.Generator,
    name: str,
    notes: list[str],
) -> np.ndarray:
    if config.test_limit is None or config.test_limit >= len(part):
        return part
    notes.append(f"{config.test_limit:,} of {len(part):,} {name} images are used (test_limit).")
    return part[limit(labels[part], config.test_limit, random)]


def _check_counts(counts: np.ndarray, classes: Sequence[str]) -> None:
    few = [f"{name!r}" for name, count in zip(classes, counts, strict=True) if count < 2]
    if few:
        raise DataError(
            f"Too few images of {', '.join(few[:5])}: without a test part, every class needs at "
            "least 2, one to train and one to test. Add images, or leave the class out."
        )


def _nothing_to_validate(config: LoadingConfig, images: int, classes: int) -> Exception:
    if config.train_limit is not None and config.train_limit <= images:
        return ConfigError(
            f"train_limit is {config.train_limit}, which leaves no image of {classes} classes for "
            f"validation; give at least {2 * classes}."
        )
    return DataError(
        "There is one training image of each class, and none left for validation; add images or "
        "a part named validation."
    )
