"""What the test of single networks shows: accuracies on a number of images, without seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prospr_engine.format import points_between
from prospr_engine.sweeps.statistics import (
    LEVEL,
    Estimate,
    balanced_guessing_limit,
    difference_limit,
    exact_mcnemar,
    guessing_limit,
    holm_limits,
    on_images,
    paired,
)


@dataclass(frozen=True)
class Measurement:
    """An ``accuracy``, measured on that many test ``images``, of which the commonest class has the
    share ``commonest`` (None: unknown). Where classes are unbalanced, the ``balanced`` accuracy and
    the number of images of the ``rarest`` class."""

    accuracy: float
    images: int
    commonest: float | None = None
    balanced: float | None = None
    rarest: int | None = None


@dataclass(frozen=True)
class Difference:
    """How much better the second of two networks is (negative: worse), in percentage ``points`` of
    the accuracies as displayed and exactly (``value``), and the ``limit`` up to which the choice of
    test images explains a difference, an upper estimate. ``p`` is the p value of McNemar's exact
    test, if it is known which images only one of the two gets right."""

    points: float
    value: float
    limit: float
    p: float | None = None

    @property
    def explained(self) -> bool:
        """Whether chance explains the difference: by McNemar's test, or else if it is no larger, as
        displayed, than the limit."""
        if self.p is not None:
            return self.p > 1 - LEVEL
        return abs(self.points) <= 100 * self.limit


@dataclass(frozen=True)
class AgainstGuessing:
    """The accuracy ``guess`` of guessing, and whether a network is ``guessing``: not better
    than that by more than the choice of test images explains."""

    guess: float
    guessing: bool


def difference(first: Measurement, second: Measurement) -> Difference:
    """The difference of the second from the first, whatever images each was tested on."""
    return Difference(
        points_between(first.accuracy, second.accuracy),
        second.accuracy - first.accuracy,
        difference_limit([first.accuracy, second.accuracy], [first.images, second.images]),
    )


def differences(first: Measurement, others: Sequence[Measurement]) -> list[Difference]:
    """The difference of each of the others from the first. Of several without an effect, *any* is
    more than chance explains in at most 5 % of runs (Holm's method)."""
    found = [difference(first, other) for other in others]
    estimates = [
        on_images(one.value, [first.accuracy, other.accuracy], [first.images, other.images])
        for one, other in zip(found, others, strict=True)
    ]
    limits = holm_limits(estimates)
    return [replace(one, limit=limit) for one, limit in zip(found, limits, strict=True)]


def by_pruning(figures: Mapping[str, Any]) -> Difference:
    """The difference of the pruned network from the dense one, which answered the same images, from
    the figures of a run (``metrics.result_figures``). Luck of the seed is not in it."""
    images = figures["test_images"]
    dense, pruned = (Measurement(figures[name], images) for name in ("dense_accuracy", "accuracy"))
    found = difference(dense, pruned)
    counts = [figures.get(f"{name}_right_alone") for name in ("dense", "pruned")]
    known = [int(count) for count in counts if count is not None]
    p = exact_mcnemar(*known) if known[1:] else None
    return Difference(found.points, found.value, found.limit, p)


def measurement(figures: Mapping[str, Any], network: str = "") -> Measurement:
    """Of the pruned network, or of the ``network`` "dense", from the figures of a run."""
    prefix = f"{network}_" if network == "dense" else ""
    return Measurement(
        figures[f"{prefix}accuracy"],
        figures["test_images"],
        figures["commonest_share"],
        figures[f"{prefix}balanced_accuracy"],
        figures["rarest_images"],
    )


def loss_noise(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Half of the 95 % interval of the accuracy lost on the test images, a fraction, from the
    figures of one run per seed: of the mean over the seeds, or, of a single run, of the choice of
    test images. None if the number of test images is unknown."""
    images = [row["test_images"] for row in runs]
    if not all(images):
        return None
    found = paired([row["dense_accuracy"] - row["accuracy"] for row in runs], 1 / min(images))
    if found is not None:
        return found.limit()
    (row,) = runs
    alone = [row["dense_right_alone"], row["pruned_right_alone"]]
    if None in alone:
        return by_pruning(row).limit
    # Each image adds 1, −1 or 0: the variance of a mean of these.
    lost, gained = alone
    variance = (lost + gained - (lost - gained) ** 2 / images[0]) / images[0] ** 2
    return Estimate(0.0, math.sqrt(variance), math.inf, 1 / images[0]).limit()


def guesses(figures: Mapping[str, Any], classes: int | None) -> bool:
    """Whether the pruned network only guesses; False if the number of ``classes`` is unknown."""
    return bool(classes) and against_guessing(measurement(figures), classes or 1).guessing


def against_guessing(tested: Measurement, classes: int) -> AgainstGuessing:
    """Whether a network is better than guessing: always the commonest class, where that is known,
    or any. One that knows the rare classes is, too: then its balanced accuracy shows it."""
    guess = max(1 / classes, tested.commonest or 0.0)
    guessing = tested.accuracy <= guessing_limit(guess, tested.images)
    if guessing and tested.balanced is not None and tested.rarest:
        guessing = tested.balanced <= balanced_guessing_limit(classes, tested.rarest)
    return AgainstGuessing(guess, guessing)
