"""How certain a mean over seeds is, and which differences are within the noise of the seeds.

Student, The Probable Error of a Mean, Biometrika 1908; Fisher, The Design of Experiments, 1935
(randomised blocks); Tukey, The Problem of Multiple Comparisons, 1953; McNemar, Psychometrika 1947;
Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 1982
(intersection–union tests).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import bdtrik, ndtri, stdtr, stdtrit

from prospr_engine.metrics import averaged

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
ROUNDINGS = {"share": 1, "difference": 2}
"""By unit, how many of the accuracies in a figure are multiples of one test image."""


@dataclass(frozen=True)
class Interval:
    """The mean of ``count`` values and its confidence interval. ``low`` and ``high`` are None for
    a single value; all are None for no value."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


def interval(
    values: Iterable[float | None], level: float = LEVEL, step: float = 0.0, roundings: int = 1
) -> Interval:
    """Student's t interval of the mean. Missing values (None, NaN) are ignored. ``step`` is as in
    ``pair_limits``, of values that are differences of two with ``roundings`` 2."""
    known = np.array([math.nan if v is None else v for v in values], dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(None, None, None, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, None, None, 1)
    variance = known.var(ddof=1) + roundings * _rounding(step)
    half = float(_half(math.sqrt(variance), len(known), level))
    return Interval(mean, mean - half, mean + half, len(known))


def on_images(value: float, shares: Sequence[float], images: Sequence[float]) -> Estimate:
    """The difference ``value`` between two accuracies with the noise of the test images alone: two
    independent samples, which is an upper estimate if both networks were tested on the same images,
    and Yates's correction for continuity."""
    variance = sum(p * (1 - p) / n for p, n in zip(shares, images, strict=True))
    return Estimate(value, math.sqrt(variance), math.inf, sum(1 / n for n in images) / 2)


def difference_limit(shares: Sequence[float], images: Sequence[float], compared: int = 2) -> float:
    """How large a difference between two accuracies (fractions) the choice of test images explains:
    two standard errors of ``on_images``. ``images`` are the test images of each. If the two are any
    of ``compared`` networks, Tukey's studentised range takes the place of the two."""
    found = on_images(0.0, shares, images)
    if compared <= 2:
        return found.limit()
    return studentised_range(compared, math.inf) / math.sqrt(2) * found.error + found.slack


def guessing_limit(guess: float, images: float, compared: int = 1) -> float:
    """The highest accuracy that random guessing with expected accuracy ``guess`` plausibly reaches
    on that many test images: that of ``compared`` guessing networks any exceeds it in at most
    2.5 % of tests, by the binomial distribution."""
    if guess >= 1:
        return 1.0
    right = math.ceil(float(bdtrik(1 - (1 - LEVEL) / 2 / compared, images, guess)) - 1e-9)
    return max(0, right) / images


def balanced_guessing_limit(classes: int, rarest: float, compared: int = 1) -> float:
    """The same for the mean of the accuracies in each of the ``classes``, of which the rarest has
    so many test images: an upper estimate by the normal distribution, whatever a guessing network
    answers how often."""
    error = math.sqrt((1 - 1 / classes) / rarest) / classes
    return 1 / classes + float(ndtri(1 - (1 - LEVEL) / 2 / compared)) * error


def summarise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> pd.DataFrame:
    """A row per group of ``by``, in order of appearance: the number of finished (``count``) and
    ``failed`` cells, and for the finished ones ``accuracy_mean``, ``accuracy_low`` and
    ``accuracy_high`` (likewise for every figure with an interval) and ``kept_weights_mean``
    (likewise for every figure with only a mean). Low and high are NaN for a single cell, all are
    NaN for none."""
    spread = {metric.name: ROUNDINGS.get(metric.unit, 0) for metric in averaged("interval")}
    alone = [metric.name for metric in averaged("mean")]
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
    step = resolution(frame)
    for name in known:
        summary[f"{name}_mean"] = means[name]
        if name in spread:
            hidden = spread[name] * _rounding(step)
            half = _half((deviations[name] ** 2 + hidden) ** 0.5, counts[name], level)
            summary[f"{name}_low"] = means[name] - half
            summary[f"{name}_high"] = means[name] + half
    return summary.reset_index()


def noise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> float | None:
    """How large a difference between the mean accuracies of two groups of ``by`` at one sparsity,
    over the seeds that all groups share there, noise of the seeds can make, as a fraction: the
    largest of ``pair_limits`` at any sparsity.

    None if at no sparsity the groups have two finished seeds in common, as the noise is then
    unknown.
    """
    series = [name for name in by if name != "sparsity"]
    step = resolution(frame)
    found = [pair_limits(values, level, step) for values in shared_seeds(frame, series)]
    return max((float(limits.max()) for limits in found if limits is not None), default=None)


def resolution(frame: pd.DataFrame) -> float:
    """The share of one test image, the smallest difference that an accuracy can show; 0 if their
    number is unknown."""
    images = frame["test_images"].dropna() if "test_images" in frame else ()
    return 1 / min(images, default=math.inf)


def shared_seeds(frame: pd.DataFrame, series: Sequence[str]) -> Iterator[pd.DataFrame]:
    """For every sparsity, in ascending order, the accuracies of the finished cells: a column per
    group of ``series``, a row per seed that all groups have there. A seed does something to all
    groups alike, so a seed that one of them lacks must not count for the others."""
    done = frame[frame["state"] == "done"].dropna(subset=["accuracy"])
    for _, cells in done.groupby("sparsity" if "sparsity" in done else "state"):
        groups = cells.groupby(list(series), sort=False, dropna=False).ngroup()
        named = cells.assign(group=groups).groupby(["seed", "group"])["accuracy"].mean()
        yield named.unstack().dropna()


def pair_limits(values: Any, level: float = LEVEL, step: float = 0.0) -> np.ndarray | None:
    """The differences that noise can make between the means of any two columns of ``values``
    (seeds × groups, no value missing): (groups, groups), symmetric; for one group, that between it
    and another of the same spread. None for fewer than two seeds.

    A pair's limit is the larger of two. Tukey's honestly significant difference in randomised
    blocks: the chance that *any* pair exceeds it is 5 %, if all groups have the same spread.
    And the paired t-test of the two alone, at 5 % divided by half the number of groups, which
    holds where spreads differ: the simulation in the tests finds no more than 5 % for up to 11
    groups. For two groups, both are the paired t-test.

    Values that are multiples of ``step`` hide the variance of rounding: on few test images, two
    seeds often agree by chance, and do not mean that there is no noise.
    """
    values = np.asarray(values, dtype=float)
    seeds, groups = values.shape
    if seeds < 2 or not groups:
        return None
    centred = values - values.mean(0)
    if groups == 1:
        variance = float((centred**2).sum()) / (seeds - 1) + _rounding(step)
        limit = stdtrit(seeds - 1, (1 + level) / 2) * math.sqrt(2 * variance / seeds)
        return np.full((1, 1), limit)
    residuals = _rounded(centred - centred.mean(1, keepdims=True))
    freedom = (seeds - 1) * (groups - 1)
    pooled = math.sqrt((float((residuals**2).sum()) / freedom + _rounding(step)) / seeds)
    alone = stdtrit(seeds - 1, 1 - (1 - level) / groups) * _pair_errors(centred, step)
    limits = np.maximum(studentised_range(groups, freedom, level) * pooled, alone)
    np.fill_diagonal(limits, 0.0)
    return limits


def lead_limits(values: Any, best: int, level: float = LEVEL, step: float = 0.0) -> Any:
    """The differences that noise can make between the mean of the column ``best`` and each of the
    others, (groups,), for the one claim that it leads *all* of them: paired t-tests, each at 5 %.
    None for fewer than two seeds.

    A claim that needs every one of several tests is no more often wrong than each of them (the
    intersection–union test), whatever the spreads, so no correction for their number is needed.
    Who is second is not claimed.
    """
    values = np.asarray(values, dtype=float)
    seeds = len(values)
    if seeds < 2:
        return None
    errors = _pair_errors(values - values.mean(0), step)[best]
    limits = stdtrit(seeds - 1, (1 + level) / 2) * errors
    limits[best] = 0.0
    return limits


def _pair_errors(centred: np.ndarray, step: float) -> np.ndarray:
    """The standard errors of the mean differences of any two columns."""
    seeds = len(centred)
    differences = _rounded(centred[:, :, None] - centred[:, None, :])
    errors: np.ndarray = np.sqrt(
        ((differences**2).sum(0) / (seeds - 1) + 2 * _rounding(step)) / seeds
    )
    return errors


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its standard ``error``, and the degrees of ``freedom`` of that error
    (``math.inf``: known); differences up to ``slack`` are never more than noise."""

    value: float
    error: float
    freedom: float
    slack: float = 0.0

    def limit(self, level: float = LEVEL) -> float:
        """How large it can be by chance."""
        quantile = stdtrit(self.freedom, (1 + level) / 2)
        return float(quantile) * self.error + self.slack

    @property
    def p(self) -> float:
        """The p value, two-sided."""
        beyond = abs(self.value) - self.slack
        if beyond <= 0 or not self.error:
            return float(beyond <= 0)
        return 2 * float(stdtr(self.freedom, -beyond / self.error))


def paired(differences: Sequence[float], step: float = 0.0) -> Estimate | None:
    """The mean of these differences, one per seed, as in the paired t-test. Each is a mean of
    differences between multiples of ``step`` (see ``pair_limits``). None for fewer than two."""
    count = len(differences)
    if count < 2:
        return None
    variance = float(np.var(differences, ddof=1)) + 2 * _rounding(step)
    return Estimate(float(np.mean(differences)), math.sqrt(variance / count), count - 1)


def paired_limit(differences: Sequence[float], level: float = LEVEL) -> float | None:
    """How large the mean of these differences, one per seed, can be by chance: the paired t-test.
    None for fewer than two seeds."""
    found = paired(differences)
    return found.limit(level) if found else None


def holm_limits(estimates: Sequence[Estimate], level: float = LEVEL) -> list[float]:
    """How large each can be by chance if all are judged together: the chance that *any* without an
    effect exceeds its limit is 5 %. Holm, A Simple Sequentially Rejective Multiple Test Procedure,
    Scandinavian Journal of Statistics 1979."""
    limits = [0.0] * len(estimates)
    alone = len(estimates)  # judged in order of their p values, until one is not significant
    stopped = False
    for index in sorted(range(len(estimates)), key=lambda i: estimates[i].p):
        limits[index] = estimates[index].limit(1 - (1 - level) / alone)
        stopped = stopped or abs(estimates[index].value) <= limits[index]
        alone -= not stopped
    return limits


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


def _rounding(step: float) -> float:
    """The variance of what rounding to multiples of ``step`` takes away (Sheppard's correction)."""
    return step**2 / 12


def _rounded(values: np.ndarray) -> np.ndarray:
    """Without what rounding leaves of a difference of zero."""
    return np.where(np.abs(values) < 1e-12, 0.0, values)


def _half(deviation: Any, count: Any, level: float) -> Any:
    """Half the width of the interval, from the standard deviation of ``count`` values."""
    with np.errstate(all="ignore"):
        return stdtrit(np.asarray(count) - 1, (1 + level) / 2) * deviation / np.sqrt(count)
