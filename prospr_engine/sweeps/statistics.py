"""How certain a mean over seeds is, and which differences are within the noise of the seeds.

Student, The Probable Error of a Mean, Biometrika 1908; Fisher, The Design of Experiments, 1935
(randomised blocks); Tukey, The Problem of Multiple Comparisons, 1953; McNemar, Psychometrika 1947.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
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


def difference_limit(shares: Sequence[float], images: Sequence[float], compared: int = 2) -> float:
    """How large a difference between two accuracies (fractions) the choice of test images explains:
    two standard errors, as for independent samples, which is an upper estimate if both networks
    were tested on the same images; at least one image. ``images`` are the test images of each. If
    the two are any of ``compared`` networks, Tukey's studentised range takes the place of the
    two."""
    variance = sum(p * (1 - p) / n for p, n in zip(shares, images, strict=True))
    many = studentised_range(compared, math.inf) / math.sqrt(2) if compared > 2 else TWO_SIDED
    return max(many * math.sqrt(variance), 1 / min(images))


def guessing_limit(guess: float, images: float) -> float:
    """The highest accuracy that random guessing with expected accuracy ``guess`` plausibly reaches
    on that many test images: two standard errors above it."""
    return guess + TWO_SIDED * math.sqrt(guess * (1 - guess) / images)


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
    """How large a difference between the mean accuracies of two groups of ``by`` at one sparsity
    noise of the seeds can make, as a fraction: the largest of ``pair_limits`` at any sparsity.

    None if at no sparsity the groups have two finished seeds in common, as the noise is then
    unknown.
    """
    series = [name for name in by if name != "sparsity"]
    found = [pair_limits(values, level) for values in shared_seeds(frame, series)]
    return max((float(limits.max()) for limits in found if limits is not None), default=None)


def shared_seeds(frame: pd.DataFrame, series: Sequence[str]) -> Iterator[pd.DataFrame]:
    """For every sparsity, in ascending order, the accuracies of the finished cells: a column per
    group of ``series``, a row per seed that all groups have there. A seed does something to all
    groups alike, so a seed that one of them lacks must not count for the others."""
    done = frame[frame["state"] == "done"].dropna(subset=["accuracy"])
    for _, cells in done.groupby("sparsity" if "sparsity" in done else "state"):
        groups = cells.groupby(list(series), sort=False, dropna=False).ngroup()
        named = cells.assign(group=groups).groupby(["seed", "group"])["accuracy"].mean()
        yield named.unstack().dropna()


def pair_limits(values: Any, level: float = LEVEL) -> np.ndarray | None:
    """The differences that noise can make between the means of any two columns of ``values``
    (seeds × groups, no value missing): (groups, groups), symmetric; for one group, that between it
    and another of the same spread. None for fewer than two seeds.

    A pair's limit is the larger of two. Tukey's honestly significant difference in randomised
    blocks: the chance that *any* pair exceeds it is 5 %, if all groups have the same spread.
    And the paired t-test of the two alone, at 5 % divided by half the number of groups, which
    holds where spreads differ: the simulation in the tests finds no more than 5 % for up to 11
    groups. For two groups, both are the paired t-test.
    """
    values = np.asarray(values, dtype=float)
    seeds, groups = values.shape
    if seeds < 2 or not groups:
        return None
    centred = values - values.mean(0)
    if groups == 1:
        deviation = math.sqrt(2) * math.sqrt(float((centred**2).sum()) / (seeds - 1) / seeds)
        return np.full((1, 1), stdtrit(seeds - 1, (1 + level) / 2) * deviation)
    residuals = _rounded(centred - centred.mean(1, keepdims=True))
    freedom = (seeds - 1) * (groups - 1)
    pooled = math.sqrt(float((residuals**2).sum()) / freedom / seeds)
    differences = _rounded(centred[:, :, None] - centred[:, None, :])
    own = np.sqrt((differences**2).sum(0) / (seeds - 1) / seeds)
    alone = stdtrit(seeds - 1, 1 - (1 - level) / groups)
    limits = np.maximum(studentised_range(groups, freedom, level) * pooled, alone * own)
    np.fill_diagonal(limits, 0.0)
    return limits


def paired_limit(differences: Sequence[float], level: float = LEVEL) -> float | None:
    """How large the mean of these differences, one per seed, can be by chance: the paired t-test.
    None for fewer than two seeds."""
    count = len(differences)
    if count < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    return float(stdtrit(count - 1, (1 + level) / 2)) * spread / math.sqrt(count)


@functools.lru_cache(maxsize=500)
def studentised_range(groups: int, freedom: float, level: float = LEVEL) -> float:
    """The quantile of the range of ``groups`` standard normal values, divided by an independent
    estimate of their standard deviation with ``freedom`` degrees of freedom (``math.inf``: the true
    one)."""
    from scipy.stats import studentized_range  # slow to import

    return float(studentized_range.ppf(level, groups, freedom))


def exact_mcnemar(first: int, second: int) -> float:
    """The p value, two-sided, of two networks that answered the same images, of which ``first`` are
    right only with the one and ``second`` only with the other."""
    from scipy.stats import binomtest

    return float(binomtest(first, first + second).pvalue) if first + second else 1.0


def _rounded(values: np.ndarray) -> np.ndarray:
    """Without what rounding leaves of a difference of zero."""
    return np.where(np.abs(values) < 1e-12, 0.0, values)


def _half(deviation: Any, count: Any, level: float) -> Any:
    """Half the width of the interval, from the standard deviation of ``count`` values."""
    with np.errstate(all="ignore"):
        return stdtrit(np.asarray(count) - 1, (1 + level) / 2) * deviation / np.sqrt(count)
