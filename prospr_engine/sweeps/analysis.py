"""What the table of a comparison says, as figures: every statement is a record, without words.

``frame`` is the table of a sweep (``sweeps.table``) with three columns more: ``run``, the unique
name ``series`` of the line that a cell belongs to, and ``order``, the place of that line.
Accuracies, differences and limits are fractions. ``classes`` is how many the data have, None where
that is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from prospr_engine.config import NO_CONTROL
from prospr_engine.data import DATASETS
from prospr_engine.format import points_between
from prospr_engine.sweeps.statistics import (
    difference_limit,
    guessing_limit,
    interval,
    noise,
    summarise,
)
from prospr_engine.sweeps.table import records

LINE = ["series", "sparsity"]
SAME = ("model", "data", "method", "steps", "options", "epochs")
"""What a series has in common with its controls."""
UNCONTROLLED = (NO_CONTROL, "")
NEAR = 0.1
"""Of what the dense network knows beyond guessing: who has kept less is near guessing."""


@dataclass(frozen=True)
class Measurement:
    """An ``accuracy``, measured on so many test ``images``."""

    accuracy: float
    images: int


@dataclass(frozen=True)
class Difference:
    """How much better the second of two networks is (negative: worse), in the percentage
    ``points`` of the accuracies as they are shown and exactly (``value``), and up to which
    ``limit`` the draw of the test images explains a difference."""

    points: float
    value: float
    limit: float

    @property
    def explained(self) -> bool:
        """Is the difference, as it is shown, no larger than chance explains?"""
        return abs(self.points) <= 100 * self.limit


@dataclass(frozen=True)
class AgainstGuessing:
    """The accuracy ``guess`` of naming classes at random, and whether a network is ``guessing``:
    no better than that by more than the draw of the test images explains."""

    guess: float
    guessing: bool


@dataclass(frozen=True)
class Noise:
    """Up to which ``limit`` a difference of two means is noise: that of the seeds if ``seeded``,
    else that of the test images alone."""

    limit: float
    seeded: bool


@dataclass(frozen=True)
class Level:
    """Of one sparsity, the mean accuracy of each series, in order, and the noise."""

    sparsity: float
    means: dict[str, float]
    noise: Noise


@dataclass(frozen=True)
class Controlled:
    """A control and what it controls: the mean ``difference`` of their accuracies (control less
    original) over ``levels`` sparsities, and the ``limit`` of noise."""

    control: str
    original: str
    difference: float
    limit: float
    levels: int

    @property
    def verdict(self) -> Literal["worse", "better", "no different"]:
        """How the control does, as far as noise allows a verdict."""
        if abs(self.difference) <= self.limit:
            return "no different"
        return "worse" if self.difference < 0 else "better"


@dataclass(frozen=True)
class Sparsest:
    """Of one series, its highest sparsity, and the mean accuracies there."""

    series: str
    sparsity: float
    accuracy: float
    dense: float
    points: float


def difference(first: Measurement, second: Measurement) -> Difference:
    """Of the second from the first."""
    return Difference(
        points_between(first.accuracy, second.accuracy),
        second.accuracy - first.accuracy,
        difference_limit([first.accuracy, second.accuracy], [first.images, second.images]),
    )


def against_guessing(tested: Measurement, classes: int) -> AgainstGuessing:
    """Whether a network knows more than how many classes there are."""
    chance = 1 / classes
    return AgainstGuessing(chance, tested.accuracy <= guessing_limit(chance, tested.images))


def done(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells that have a result."""
    return frame[(frame["state"] == "done") & frame["accuracy"].notna()]


def originals(frame: pd.DataFrame) -> list[str]:
    """The series that are no controls, in order."""
    plain = frame[frame["control"].isin(UNCONTROLLED)].sort_values("order", kind="stable")
    return list(plain["series"].unique())


def guess(frame: pd.DataFrame, classes: int | None) -> float | None:
    """The accuracy of naming classes at random; None if nobody knows how many there are."""
    known = {DATASETS[name].classes if name in DATASETS else None for name in frame["data"]}
    count = classes or (known.pop() if len(known) == 1 else None)
    return 1 / count if count else None


def level(frame: pd.DataFrame, sparsity: float, series: Sequence[str]) -> Level:
    """How ``series`` stand at ``sparsity``, in those runs of a seed that all of them have (in all
    runs, if they have none in common). The noise is that of all that is there, controls too: the
    more runs, the better it is known, and under the chart it is the same."""
    there = done(frame)
    there = there[there["sparsity"] == sparsity]
    cells = there[there["series"].isin(series)]
    shared = cells.groupby("seed")["series"].nunique() == cells["series"].nunique()
    if shared.any():
        cells, there = (c[c["seed"].isin(shared.index[shared])] for c in (cells, there))
    means = cells.groupby("series", sort=False)["accuracy"].mean().to_dict()
    return Level(sparsity, {name: means[name] for name in series if name in means}, spread(there))


def spread(frame: pd.DataFrame) -> Noise:
    """How large a difference of two means noise alone makes: with several seeds, the least
    significant difference; with one, what the test images leave open. Never less than one of
    them."""
    found = done(frame)
    images = found["test_images"].dropna()
    fewest = min(images, default=math.inf)
    seeds = noise(found, LINE) if len(found) else None
    if seeds is not None:
        counts = found.groupby(LINE)["accuracy"].count()
        return Noise(max(seeds, 1 / fewest / counts.max()), True)
    return Noise(image_noise(found["accuracy"], images), False)


def image_noise(accuracies: Iterable[float], images: Iterable[float]) -> float:
    """How large a difference of any two of these accuracies the draw of the test images explains:
    that of two as uncertain as the most uncertain one, measured on the fewest images. 0 for none.
    """
    shares, fewest = list(accuracies), min(images, default=math.inf)
    if not shares:
        return 0.0
    share = min(shares, key=lambda accuracy: abs(accuracy - 0.5))
    return difference_limit([share, share], [fewest, fewest])


def spread_by_sparsity(frame: pd.DataFrame) -> dict[float, float]:
    """The noise of the seeds at every sparsity where it is known."""
    cells = done(frame)
    found = {float(s): spread(cells[cells["sparsity"] == s]) for s in cells["sparsity"].unique()}
    return {sparsity: one.limit for sparsity, one in found.items() if one.seeded}


def common(frame: pd.DataFrame, series: Sequence[str]) -> list[float]:
    """The sparsities at which all of ``series`` have a result, from the lowest to the highest."""
    cells = done(frame)
    cells = cells[cells["series"].isin(series)]
    reached = cells.groupby("sparsity")["series"].nunique()
    return sorted(float(sparsity) for sparsity in reached.index[reached == len(set(series))])


def sparsest(frame: pd.DataFrame, series: str) -> Sparsest:
    """Where the line ends."""
    cells = done(frame)
    cells = cells[cells["series"] == series]
    last = cells[cells["sparsity"] == cells["sparsity"].max()]
    pruned, dense = float(last["accuracy"].mean()), float(last["dense_accuracy"].mean())
    return Sparsest(
        series, float(last["sparsity"].iloc[0]), pruned, dense, points_between(dense, pruned)
    )


def guessing(frame: pd.DataFrame, classes: int | None) -> dict[str, list[float]]:
    """By series, the sparsities from which on all its results are near guessing: no better than
    chance allows, or with less than ``NEAR`` left of what the dense network knows."""
    chance = guess(frame, classes)
    if chance is None:
        return {}
    found: dict[str, list[float]] = {}
    for line in _lines(frame):
        images = max(1.0, line["test_images"] * line["count"])
        near = max(guessing_limit(chance, images), chance + NEAR * (line["dense"] - chance))
        levels = found.setdefault(line["series"], [])
        if line["accuracy"] <= near:
            levels.append(line["sparsity"])
        else:
            levels.clear()  # it recovers: what came before was luck
    return {series: levels for series, levels in found.items() if levels}


def controlled(frame: pd.DataFrame, classes: int | None) -> list[Controlled]:
    """Every control beside what it controls, over the sparsities and seeds that both have and at
    which not both are near guessing."""
    cells = done(frame)
    broken = guessing(frame, classes)
    firsts = records(cells.sort_values("order", kind="stable").drop_duplicates("series"))
    bases: dict[tuple[Any, ...], list[str]] = {}
    for row in firsts:
        if row["control"] in UNCONTROLLED:
            bases.setdefault(_key(row), []).append(row["series"])
    found = []
    for row in firsts:
        base = bases.get(_key(row), [])
        if row["control"] in UNCONTROLLED or len(base) != 1:
            continue
        compared = _beside(cells, row["series"], base[0], broken)
        if compared is not None:
            found.append(Controlled(row["control"], base[0], *compared))
    return found


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per series and sparsity, of cells that are done and lie at ``x`` on some axis: means of
    ``x``, ``kept_weights``, ``zipped_bytes`` and ``accuracy``, the interval of this from ``low`` to
    ``high`` (NaN for a single run), the ``seeds``, and the ``run`` if there is one alone."""
    rows = []
    for _, group in frame.groupby(LINE, sort=False):
        over = interval(group["accuracy"])
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
                "zipped_bytes": group["zipped_bytes"].astype(float).mean(),
                "seeds": sorted(set(group["seed"])),
                "run": str(group["run"].iloc[0]) if len(group) == 1 else "",
            }
        )
    columns = ["series", "sparsity", "order", "x", "accuracy", "low", "high"]
    columns += ["kept_weights", "zipped_bytes", "seeds", "run"]
    return pd.DataFrame(rows, columns=columns)


def dense(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for every dense network: of one model, data set and number of epochs, as far as these
    differ (the others are None). ``accuracy`` is its mean, from ``low`` to ``high`` its interval;
    cells of one seed have it in common, so that each seed counts once."""
    various = [name for name in ("model", "data", "epochs") if frame[name].nunique() > 1]
    known = frame.dropna(subset=["dense_accuracy"])
    rows = []
    for key, group in known.groupby(various or ["model"], sort=False):
        over = interval(group.groupby("seed")["dense_accuracy"].mean())
        names = dict(zip(various, key, strict=False))
        ends = {"low": _clipped(over.low), "high": _clipped(over.high)}
        rows.append({**dict.fromkeys(("model", "data", "epochs")), **names,
                     "accuracy": over.mean, **ends})  # fmt: skip
    columns = ["model", "data", "epochs", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """The means of every series at every sparsity, see ``statistics.summarise``."""
    return summarise(frame, LINE)


def _beside(
    cells: pd.DataFrame, control: str, base: str, broken: dict[str, list[float]]
) -> tuple[float, float, int] | None:
    """The mean difference, what noise explains of it, and over how many sparsities."""
    both = cells[cells["series"].isin([control, base])]
    gone = set(broken.get(control, [])) & set(broken.get(base, []))
    both = both[~both["sparsity"].isin(gone)]
    pairs = both.groupby(["sparsity", "seed"])["series"].transform("nunique") == 2
    both = both[pairs]
    if both.empty:
        return None
    found = both.groupby(["sparsity", "series"])["accuracy"].mean().unstack()
    # Over several sparsities noise may cancel or not, for they share their seeds: it is taken to
    # be as large as at one of them.
    return float((found[control] - found[base]).mean()), spread(both).limit, len(found)


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per series and sparsity, series in their order, the least sparse first."""
    groups = done(frame).groupby(["order", *LINE], sort=True)
    lines = groups.agg(
        accuracy=("accuracy", "mean"),
        dense=("dense_accuracy", "mean"),
        count=("accuracy", "count"),
        test_images=("test_images", "min"),
    )
    return records(lines.fillna({"test_images": 1, "dense": 1}).reset_index())


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in SAME)


def _clipped(share: float | None) -> float | None:
    """No accuracy lies outside, whatever a wide interval says."""
    return None if share is None else min(max(share, 0.0), 1.0)
