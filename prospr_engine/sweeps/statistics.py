"""How certain a mean over seeds is, and which differences are within the noise of the seeds.

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
    """The mean of ``count`` values and its confidence interval. ``low`` and ``high`` are None for
    a single value; all are None for no value."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


def interval(values: Iterable[float | None], level: float = LEVEL) -> Interval:
    """Student's t interval of the mean. Missing values (None, NaN) are ignored."""
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
    """How large a difference between two accuracies (fractions) the choice of test images explains:
    two standard errors, as for independent samples, which is an upper estimate if both networks
    were tested on the same images; at least one image. ``images`` are the test images of each."""
    variance = sum(p * (1 - p) / n for p, n in zip(shares, images, strict=True))
    return max(TWO_SIDED * math.sqrt(variance), 1 / min(images))


def guessing_limit(guess: float, images: float) -> float:
    """The highest accuracy that random guessing with expected accuracy ``guess`` plausibly reaches
    on that many test images: two standard errors above it."""
    return guess + TWO_SIDED * math.sqrt(guess * (1 - guess) / images)


def mean_error(first: Sequence[float], second: Sequence[float]) -> float:
    """Two standard errors of the difference between the means of two samples of two or more
    values."""
    return 2 * math.sqrt(sum(float(np.var(v, ddof=1)) / len(v) for v in (first, second)))


def summarise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> pd.DataFrame:
    """A row per group of ``by``, in order of appearance: the number of finished (``count``) and
    ``failed`` cells, and for the finished ones ``accuracy_mean``, ``accuracy_low`` and
    ``accuracy_high`` (likewise for every figure with an interval) and ``kept_weights_mean``
    (likewise for every figure with only a mean). Low and high are NaN for a single cell, all are
    NaN for none."""
    spread, alone = averaged("interval"), averaged("mean")
    known = [name for name in (*spread, *alone) if name in frame]
    values = frame[known].astype("Float64").astype(float).where(frame["state"] == "done")
    values = values.assign(**{name: frame[name] for name in by})
    values["count"] = frame["state"] == "done"
    values["failed"] = frame["state"] == "failed"
    groups = values.groupby(list(by), sort=False, dropna=False)
    summary: pd.DataFrame = groups[["count", "failed"]].sum()
    means, deviations, counts = (
        getattr(groups[known], name)() for name in ("mean", "std", "count")
    )
    for name in known:
        summary[f"{name}_mean"] = means[name]
        if name in spread:
            half = _half(deviations[name], counts[name], level)
            summary[f"{name}_low"] = means[name] - half
            summary[f"{name}_high"] = means[name] + half
    return summary.reset_index()


def noise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> float | None:
    """Fisher's least significant difference, as a fraction: the difference between the mean
    accuracies of two groups of ``by`` above which it is more than noise of the seeds.

    The seed determines the test images and the initial weights, which all groups share: an effect
    common to all cells of one sparsity makes no difference between groups and is removed
    (randomised blocks; for two groups, the paired t-test). The rest is pooled over all groups,
    which gives a better estimate than the two or three seeds of one. If seeds have no cells in
    common, their whole spread counts. None if no group has two finished cells, as the noise is
    then unknown. For groups of different sizes the harmonic mean of the sizes is used.
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
    size = (counts > 1).sum() / (1 / counts[counts > 1]).sum()
    return float(stdtrit(freedom, (1 + level) / 2) * spread * math.sqrt(2 / size))


def _indicators(groups: np.ndarray) -> np.ndarray:
    """A column per group, 1 for its members."""
    return (groups[:, None] == np.unique(groups)).astype(float)


def _spread(values: np.ndarray, design: np.ndarray) -> tuple[float, int]:
    """The residual standard deviation of a least-squares fit of ``design``, and its degrees of
    freedom; with zero of them the deviation is unknown."""
    fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    freedom = len(values) - int(rank)
    residuals = values - design @ fitted
    residuals[np.abs(residuals) < 1e-12] = 0.0  # rounding
    return math.sqrt(float(residuals @ residuals) / freedom) if freedom else 0.0, freedom


def _half(deviation: Any, count: Any, level: float) -> Any:
    """Half the width of the interval, from the standard deviation of ``count`` values."""
    with np.errstate(all="ignore"):
        return stdtrit(np.asarray(count) - 1, (1 + level) / 2) * deviation / np.sqrt(count)
