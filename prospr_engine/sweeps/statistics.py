"""How sure a mean over seeds is, and which differences are no more than luck of the seed.

Student, The Probable Error of a Mean, Biometrika 1908; Fisher, The Design of Experiments, 1935
(least significant difference, randomised blocks).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from prospr_engine.metrics import averaged

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
TWO_SIDED = 1.96  # standard deviations of a normal distribution, for 95 %


@dataclass(frozen=True)
class Interval:
    """The mean of ``count`` values and the interval in which the true mean lies with the chance
    asked for. ``low`` and ``high`` are None for a single value, all are None for no value."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


def interval(values: Iterable[float | None], level: float = LEVEL) -> Interval:
    """Student's t interval of the mean. Values that are missing (None, NaN) do not count."""
    known = np.array([math.nan if v is None else v for v in values], dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(None, None, None, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, None, None, 1)
    half = float(_half(known.std(ddof=1), len(known), level))
    return Interval(mean, mean - half, mean + half, len(known))


def difference_limit(shares: Sequence[float], images: Sequence[float]) -> float:
    """How large a difference of two accuracies (fractions) the draw of the test images explains:
    two standard errors, as of independent samples, which is an upper estimate where both networks
    saw the same images; and never less than one image. ``images`` are those that test each."""
    variance = sum(p * (1 - p) / n for p, n in zip(shares, images, strict=True))
    return max(TWO_SIDED * math.sqrt(variance), 1 / min(images))


def guessing_limit(guess: float, images: float) -> float:
    """The accuracy that a network which names classes at random, ``guess`` of them correctly,
    reaches at most on so many test images: two standard errors more."""
    return guess + TWO_SIDED * math.sqrt(guess * (1 - guess) / images)


def mean_error(first: Sequence[float], second: Sequence[float]) -> float:
    """Two standard errors of the difference of the means of two samples of at least two values."""
    return 2 * math.sqrt(sum(float(np.var(v, ddof=1)) / len(v) for v in (first, second)))


def summarise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> pd.DataFrame:
    """A row per group of ``by``, in the order in which they first come: ``count`` finished and
    ``failed`` cells, and of the finished ones ``accuracy_mean``, ``accuracy_low`` and
    ``accuracy_high`` (so for each figure with an interval) and ``kept_weights_mean`` (so for each
    that has a mean alone). Low and high are NaN for a single cell, all are NaN for none."""
    spread, alone = averaged("interval"), averaged("mean")
    known = [name for name in (*spread, *alone) if name in frame]
    values = frame[known].astype("Float64").astype(float).where(frame["state"] == "done")
    values = values.assign(**{name: frame[name] for name in by})
    values["count"] = frame["state"] == "done"
    values["failed"] = frame["state"] == "failed"
    groups = values.groupby(list(by), sort=False, dropna=False)
    told: pd.DataFrame = groups[["count", "failed"]].sum()
    means, deviations, counts = (
        getattr(groups[known], name)() for name in ("mean", "std", "count")
    )
    for name in known:
        told[f"{name}_mean"] = means[name]
        if name in spread:
            half = _half(deviations[name], counts[name], level)
            told[f"{name}_low"], told[f"{name}_high"] = means[name] - half, means[name] + half
    return told.reset_index()


def noise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> float | None:
    """Fisher's least significant difference: how far apart the mean accuracies of two groups of
    ``by`` have to be before it is more than luck of the seed, as a fraction.

    The seed decides the images that test and the initial weights, the same for all groups: what
    it does to all cells of one sparsity alike makes no difference between them and does not
    count (randomised blocks; for two groups it is the paired t-test). What is left is pooled
    over all groups, which tells more than two or three seeds of one could. Where seeds have no
    cells to compare, their whole spread counts. None where no group has two finished cells:
    then nothing is known of luck. For groups with unlike many cells their harmonic mean counts.
    """
    done = frame[frame["state"] == "done"].dropna(subset=["accuracy"])
    groups = done.groupby(list(by), sort=False, dropna=False).ngroup().to_numpy()
    counts = np.bincount(groups) if len(done) else np.zeros(0, dtype=int)
    if not (counts > 1).any():
        return None
    accuracy = done["accuracy"].to_numpy(dtype=float)
    means = _indicators(groups)
    known = [name for name in ("sparsity", "seed") if name in done]
    seeds = done.groupby(known, sort=False, dropna=False).ngroup() if "seed" in known else groups
    spread, freedom = _spread(accuracy, np.hstack([means, _indicators(np.asarray(seeds))]))
    if not freedom:
        spread, freedom = _spread(accuracy, means)
    alike = (counts > 1).sum() / (1 / counts[counts > 1]).sum()
    return float(stdtrit(freedom, (1 + level) / 2) * spread * math.sqrt(2 / alike))


def _indicators(groups: np.ndarray) -> np.ndarray:
    """A column per group, 1 for its members."""
    return (groups[:, None] == np.unique(groups)).astype(float)


def _spread(values: np.ndarray, design: np.ndarray) -> tuple[float, int]:
    """The standard deviation of what the columns of ``design`` do not explain (least squares),
    and its degrees of freedom; zero of them leave nothing to tell it from."""
    fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    freedom = len(values) - int(rank)
    left = values - design @ fitted
    left[np.abs(left) < 1e-12] = 0.0  # rounding
    return math.sqrt(float(left @ left) / freedom) if freedom else 0.0, freedom


def _half(deviation: Any, count: Any, level: float) -> Any:
    """Half of the interval, from the standard deviation of ``count`` values."""
    with np.errstate(all="ignore"):
        return stdtrit(np.asarray(count) - 1, (1 + level) / 2) * deviation / np.sqrt(count)
