"""The statistics of a comparison, as records without words.

``frame`` is the table of a sweep (``sweeps.table``) with three more columns: ``run``, the unique
name ``series`` of the series that a cell belongs to, and ``order``, the position of that series.
Accuracies, differences and limits are fractions. ``classes`` is the number of classes of the data,
None if unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from prospr_engine.config import NO_CONTROL, RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.format import points_between
from prospr_engine.registry import settings_of
from prospr_engine.sweeps.statistics import (
    Estimate,
    Interval,
    balanced_guessing_limit,
    difference_limit,
    guessing_limit,
    interval,
    lead_limits,
    on_images,
    pair_limits,
    resolution,
    shared_seeds,
    summarise,
)
from prospr_engine.sweeps.table import records
from prospr_engine.sweeps.tested import by_pruning

LINE = ["series", "sparsity"]
BUDGETS = next(o.choices for o in settings_of(RunConfig) if o.name == "channel_budget")
UNCONTROLLED = (NO_CONTROL, "")
NEAR = 0.1
"""Share of the dense network's advantage over guessing below which a network is near guessing."""
EQUAL = 1e-9  # so that a mean does not exceed a limit by rounding


@dataclass(frozen=True)
class Noise:
    """The differences between two means that noise can make: from ``least`` to ``limit``, depending
    on the two. It is noise of the ``seeds`` that all series share if there are two or more
    (``seeded``), else of the test images alone."""

    least: float
    limit: float
    seeds: int

    @property
    def seeded(self) -> bool:
        """Whether the noise between seeds is known."""
        return self.seeds > 1


@dataclass(frozen=True)
class Level:
    """The mean accuracy of each series at one sparsity, in order, over the ``seeds`` that all of
    them share; and by series the ``limits`` up to which a difference from the best can be noise, of
    the seeds if there are two or more, else of the test images alone. These hold for all series at
    once; that the best leads *all* others is one claim, which needs only ``lead_limits``."""

    sparsity: float
    means: dict[str, float]
    limits: dict[str, float]
    lead_limits: dict[str, float]
    seeds: int

    @property
    def best(self) -> str:
        """The series with the highest mean."""
        return max(self.means, key=self.means.__getitem__)

    @property
    def leads(self) -> bool:
        """Whether the best leads every other series by more than noise."""
        high = self.means[self.best]
        return all(
            high - mean > self.lead_limits[name]
            for name, mean in self.means.items()
            if name != self.best
        )


@dataclass(frozen=True)
class Sparsest:
    """The highest sparsity of one series, the mean accuracies there, and their difference in
    percentage ``points`` as displayed. ``change`` is the interval of the difference over the seeds;
    with one seed, ``explained`` says whether the choice of test images explains it."""

    series: str
    sparsity: float
    accuracy: float
    dense: float
    points: float
    change: Interval
    explained: bool | None


def done(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells that have a result."""
    return frame[(frame["state"] == "done") & frame["accuracy"].notna()]


def originals(frame: pd.DataFrame) -> list[str]:
    """The series that are not controls, in order."""
    plain = frame[frame["control"].isin(UNCONTROLLED)].sort_values("order", kind="stable")
    return list(plain["series"].unique())


def budgets(frame: pd.DataFrame) -> list[str]:
    """What the sparsities of the cells are shares of, as values of ``RunConfig.channel_budget``:
    of the weights ("parameters") where single weights are removed. If there are several, equal
    sparsities are not equally much, and series must not be compared at one sparsity."""
    found = set(frame["channel_budget"].replace("", BUDGETS[0]))
    return [name for name in BUDGETS if name in found]


def guess(frame: pd.DataFrame, classes: int | None) -> float | None:
    """The accuracy of guessing: always the commonest class of the test images, or any class where
    their numbers are unknown; None if that of classes is, too."""
    known = {DATASETS[name].classes if name in DATASETS else None for name in frame["data"]}
    count = classes or (known.pop() if len(known) == 1 else None)
    candidates = [1 / count] if count else []
    if "commonest_share" in frame:
        candidates += frame["commonest_share"].dropna().tolist()
    return max(candidates, default=None)


def level(frame: pd.DataFrame, sparsity: float, series: Sequence[str]) -> Level:
    """The means of ``series`` at ``sparsity``, over the seeds that all of them have (over all runs,
    and 0 seeds, if they have none in common). The noise is estimated from all series that have
    these seeds, controls included: more runs give a better estimate, which is also that below the
    chart."""
    there = done(frame)
    there = there[there["sparsity"] == sparsity]
    cells = there[there["series"].isin(series)]
    held = cells.groupby("seed")["series"].nunique() == cells["series"].nunique()
    seeds = list(held.index[held])
    if seeds:
        cells = cells[cells["seed"].isin(seeds)]
    found = cells.groupby("series", sort=False)["accuracy"].mean().to_dict()
    means = {name: found[name] for name in series if name in found}
    return Level(sparsity, means, *_limits_to_best(there, means, seeds), len(seeds))


def _limits_to_best(
    there: pd.DataFrame, means: dict[str, float], seeds: Sequence[int]
) -> tuple[dict[str, float], dict[str, float]]:
    """Those for all series at once, and those for the one claim that the best leads them all."""
    best = max(means, key=means.__getitem__)
    values = there[there["seed"].isin(seeds)].groupby(["seed", "series"])["accuracy"].mean()
    table = values.unstack().dropna(axis=1)
    step = resolution(there)
    found = pair_limits(table, step=step)
    if found is None:
        chance = image_noise(there["accuracy"], there["test_images"].dropna(), len(means))
        limits = dict.fromkeys(means, chance)
        return limits, limits
    place = list(table.columns).index(best)
    rows = found[place], lead_limits(table, place, step=step)
    at_once, leading = (dict(zip(table.columns, map(float, row), strict=True)) for row in rows)
    return {name: at_once[name] for name in means}, {name: leading[name] for name in means}


def spread(frame: pd.DataFrame) -> Noise:
    """The differences between the means of two series at one sparsity that noise alone can make,
    over all sparsities: with several shared seeds by ``statistics.pair_limits``; else the
    uncertainty from the test images."""
    found = done(frame)
    step = resolution(found)
    levels = [
        (len(values), pair_limits(values, step=step)) for values in shared_seeds(found, ["series"])
    ]
    known = [(seeds, limits) for seeds, limits in levels if limits is not None]
    if not known:
        largest = int(found.groupby("sparsity")["series"].nunique().max()) if len(found) else 0
        chance = image_noise(found["accuracy"], found["test_images"].dropna(), largest)
        return Noise(chance, chance, min(1, len(found)))
    count = max(seeds for seeds, _ in known)
    pairs = np.concatenate([limits[_pairs(len(limits))] for _, limits in known])
    return Noise(float(pairs.min()), float(pairs.max()), count)


def _pairs(groups: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(groups, min(1, groups - 1))


def image_noise(accuracies: Iterable[float], images: Iterable[float], compared: int = 2) -> float:
    """How large a difference between any two of ``compared`` of these accuracies the choice of test
    images explains: that of two as uncertain as the most uncertain one, measured on the fewest
    images. 0 without accuracies."""
    shares, fewest = list(accuracies), min(images, default=math.inf)
    if not shares:
        return 0.0
    share = _most_uncertain(shares)
    return difference_limit([share, share], [fewest, fewest], compared)


def most_uncertain(value: float, accuracies: Iterable[float], images: Iterable[float]) -> Estimate:
    """The difference ``value`` between two of these accuracies, with the noise of the test images
    alone: as ``image_noise``."""
    share, fewest = _most_uncertain(accuracies), min(images, default=math.inf)
    return on_images(value, [share, share], [fewest, fewest])


def _most_uncertain(accuracies: Iterable[float]) -> float:
    return min(accuracies, key=lambda accuracy: abs(accuracy - 0.5))


def spread_by_sparsity(frame: pd.DataFrame) -> dict[float, Noise]:
    """The noise of the seeds at every sparsity where it can be estimated."""
    cells = done(frame)
    found = {float(s): spread(cells[cells["sparsity"] == s]) for s in cells["sparsity"].unique()}
    return {sparsity: one for sparsity, one in found.items() if one.seeded}


def common(frame: pd.DataFrame, series: Sequence[str]) -> list[float]:
    """The sparsities at which all of ``series`` have a result, in ascending order."""
    cells = done(frame)
    cells = cells[cells["series"].isin(series)]
    reached = cells.groupby("sparsity")["series"].nunique()
    return sorted(float(sparsity) for sparsity in reached.index[reached == len(set(series))])


def sparsest(frame: pd.DataFrame, series: str) -> Sparsest:
    """The sparsest point of a series."""
    cells = done(frame)
    cells = cells[cells["series"] == series]
    last = cells[cells["sparsity"] == cells["sparsity"].max()]
    pruned, dense = float(last["accuracy"].mean()), float(last["dense_accuracy"].mean())
    by_seed = (last["accuracy"] - last["dense_accuracy"]).groupby(last["seed"]).mean()
    change = interval(by_seed, roundings=2, step=resolution(last))
    explained = None
    if change.count == 1 and last["test_images"].notna().all():
        explained = by_pruning(records(last)[0]).explained
    return Sparsest(
        series,
        float(last["sparsity"].iloc[0]),
        pruned,
        dense,
        points_between(dense, pruned),
        change,
        explained,
    )


def guessing(frame: pd.DataFrame, classes: int | None) -> dict[str, list[float]]:
    """By series, the sparsities from which on all its results are near guessing: within chance, or
    with less than ``NEAR`` of the dense network's advantage over guessing. Where classes are
    unbalanced, the balanced accuracy has to be near guessing as well: a network that knows the rare
    classes may be no more often right than one that always answers the commonest."""
    chance = guess(frame, classes)
    if chance is None:
        return {}
    lines = _lines(frame)
    compared = len({line["series"] for line in lines})
    found: dict[str, list[float]] = {}
    for line in lines:
        images = max(1.0, line["test_images"] * line["count"])
        advantage = NEAR * (line["dense"] - chance)
        near = max(guessing_limit(chance, images, compared), chance + advantage)
        levels = found.setdefault(line["series"], [])
        if line["accuracy"] <= near + EQUAL and not _knows_classes(line, classes, compared):
            levels.append(line["sparsity"])
        else:
            levels.clear()  # it recovers: the lower sparsities were chance
    return {series: levels for series, levels in found.items() if levels}


def _knows_classes(line: dict[str, Any], classes: int | None, compared: int) -> bool:
    """Whether the balanced accuracy, where it is known, is well above that of guessing."""
    balanced, rarest = line["balanced"], line["rarest"]
    if not classes or balanced is None or rarest is None:
        return False
    limit = balanced_guessing_limit(classes, rarest * line["count"], compared)
    return bool(balanced > max(limit, 1 / classes + NEAR * (1 - 1 / classes)))


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per series and sparsity, of finished cells with a value ``x`` on some axis: means of
    ``x``, ``kept_weights``, ``operations``, ``zipped_bytes`` and ``accuracy``, whose interval is
    ``low`` to ``high`` (NaN for a single run), the ``seeds``, and the ``run`` if there is only
    one."""
    rows = []
    for _, group in frame.groupby(LINE, sort=False):
        over = interval(group["accuracy"], step=resolution(group))
        rows.append(
            {
                "series": group["series"].iloc[0],
                "sparsity": float(group["sparsity"].iloc[0]),
                "order": int(group["order"].iloc[0]),
                "x": float(group["x"].mean()),
                "accuracy": over.mean,
                "low": _clipped(over.low),
                "high": _clipped(over.high),
                "kept_weights": group["kept_weights"].astype(float).mean(),
                "operations": group["operations"].astype(float).mean(),
                "zipped_bytes": group["zipped_bytes"].astype(float).mean(),
                "seeds": sorted(set(group["seed"])),
                "run": str(group["run"].iloc[0]) if len(group) == 1 else "",
            }
        )
    columns = ["series", "sparsity", "order", "x", "accuracy", "low", "high"]
    columns += ["kept_weights", "operations", "zipped_bytes", "seeds", "run"]
    return pd.DataFrame(rows, columns=columns)


def dense(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for every dense network: of one model, data set and number of epochs, if these differ
    (None otherwise). ``accuracy`` is its mean, ``low`` to ``high`` its interval; cells of one seed
    share it, so each seed counts once."""
    various = [name for name in ("model", "data", "epochs") if frame[name].nunique() > 1]
    known = frame.dropna(subset=["dense_accuracy"])
    rows = []
    for key, group in known.groupby(various or ["model"], sort=False):
        over = interval(group.groupby("seed")["dense_accuracy"].mean(), step=resolution(group))
        names = dict(zip(various, key, strict=False))
        ends = {"low": _clipped(over.low), "high": _clipped(over.high)}
        rows.append({**dict.fromkeys(("model", "data", "epochs")), **names,
                     "accuracy": over.mean, **ends})  # fmt: skip
    columns = ["model", "data", "epochs", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """The means of every series at every sparsity, see ``statistics.summarise``."""
    return summarise(frame, LINE)


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per series and sparsity, in order of series and ascending sparsity."""
    unknown = dict.fromkeys({"balanced_accuracy", "rarest_images"} - {*frame.columns})
    groups = done(frame).assign(**unknown).groupby(["order", *LINE], sort=True)
    lines = groups.agg(
        accuracy=("accuracy", "mean"),
        dense=("dense_accuracy", "mean"),
        count=("accuracy", "count"),
        test_images=("test_images", "min"),
        balanced=("balanced_accuracy", "mean"),
        rarest=("rarest_images", "min"),
    )
    return records(lines.fillna({"test_images": 1, "dense": 1}).reset_index())


def _clipped(share: float | None) -> float | None:
    """``share`` limited to [0, 1], which a wide interval may exceed."""
    return None if share is None else min(max(share, 0.0), 1.0)
