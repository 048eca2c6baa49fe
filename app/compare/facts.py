"""What the table of a comparison says, as figures: levels that all have reached, what luck allows.

``frame`` is a row per cell, see ``charts.compare_accuracy``. Accuracies and limits are fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.charts.rows import done, records
from app.services import DATASETS, is_control
from app.services.comparison import noise

LINE = ["series", "sparsity"]
SAME = ("model", "data", "method", "steps", "options", "epochs")
"""What a series has in common with its controls."""
NEAR = 0.1
"""Of what the dense network knows beyond guessing: who has kept less is near guessing."""


@dataclass(frozen=True)
class Level:
    """Of one sparsity, the mean accuracy of each series, in order, and how far two of them must
    be apart to be told apart: by luck of the seed if ``seeded``, else by luck of the test."""

    sparsity: float
    means: dict[str, float]
    limit: float
    seeded: bool


@dataclass(frozen=True)
class Controlled:
    """A control and what it controls: the mean difference of their accuracies (control less
    original) over ``levels`` sparsities, and how large luck alone makes it."""

    control: str
    original: str
    apart: float
    limit: float
    levels: int

    @property
    def verdict(self) -> str:
        """``"worse"``, ``"better"`` or ``"alike"``, as far as can be told."""
        if abs(self.apart) <= self.limit:
            return "alike"
        return "worse" if self.apart < 0 else "better"


def originals(frame: pd.DataFrame) -> list[str]:
    """The series that are no controls, in order."""
    plain = frame[~frame["control"].map(is_control)].sort_values("order", kind="stable")
    return list(plain["series"].unique())


def classes_of(frame: pd.DataFrame) -> int | None:
    """How many classes the data have, where the catalogue knows."""
    rows = {DATASETS[name].classes if name in DATASETS else None for name in frame["data"]}
    return rows.pop() if len(rows) == 1 else None


def guess(frame: pd.DataFrame, classes: int | None) -> float | None:
    """The accuracy of naming classes at random; None if nobody knows how many there are."""
    known = classes or classes_of(frame)
    return 1 / known if known else None


def level(frame: pd.DataFrame, sparsity: float, series: Sequence[str]) -> Level:
    """How ``series`` stand at ``sparsity``, in those runs of a seed that all of them have (in all
    runs, if they have none in common). Luck is that of all that is there, controls too: the more
    runs tell of it, the better, and under the chart it is the same."""
    there = done(frame)
    there = there[there["sparsity"] == sparsity]
    cells = there[there["series"].isin(series)]
    shared = cells.groupby("seed")["series"].nunique() == cells["series"].nunique()
    if shared.any():
        cells, there = (c[c["seed"].isin(shared.index[shared])] for c in (cells, there))
    means = cells.groupby("series", sort=False)["accuracy"].mean().to_dict()
    limit, seeded = luck(there)
    return Level(sparsity, {name: means[name] for name in series if name in means}, limit, seeded)


def luck_of_test(accuracies: Iterable[float], images: Iterable[float]) -> float:
    """How large a difference of two accuracies the draw of the test images alone makes: two
    standard errors of the difference, as of independent samples of as many ``images`` (an upper
    estimate, for all saw the same images). Never less than one image."""
    image = 1 / min(images, default=math.inf)
    spread = max((p * (1 - p) for p in accuracies), default=0.0)
    return max(1.96 * math.sqrt(2 * spread * image), image)


def luck(cells: pd.DataFrame) -> tuple[float, bool]:
    """How large a difference of two means luck alone makes, and whether that of the seed is in it.

    With several seeds, the least significant difference; with one, nothing is known but what the
    test leaves. Never less than one test image.
    """
    found = done(cells)
    images = found["test_images"].dropna()
    image = 1 / images.min() if len(images) else 0.0
    seeds = noise(found, LINE) if len(found) else None
    if seeds is not None:
        counts = found.groupby(LINE)["accuracy"].count()
        return max(seeds, image / counts.max()), True
    return luck_of_test(found["accuracy"], images), False


def common(frame: pd.DataFrame, series: Sequence[str]) -> list[float]:
    """The sparsities at which all of ``series`` have a result, from the lowest to the highest."""
    cells = done(frame)
    cells = cells[cells["series"].isin(series)]
    reached = cells.groupby("sparsity")["series"].nunique()
    return sorted(float(sparsity) for sparsity in reached.index[reached == len(set(series))])


def guessing(frame: pd.DataFrame, classes: int | None) -> dict[str, list[float]]:
    """By series, the sparsities from which on all its results are near guessing: no better than
    chance allows, or with less than ``NEAR`` left of what the dense network knows."""
    chance = guess(frame, classes)
    if chance is None:
        return {}
    found: dict[str, list[float]] = {}
    for line in _lines(frame):
        images = max(1.0, line["test_images"] * line["count"])
        error = 1.96 * math.sqrt(chance * (1 - chance) / images)
        near = chance + max(error, NEAR * (line["dense"] - chance))
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
        if not is_control(row["control"]):
            bases.setdefault(_key(row), []).append(row["series"])
    found = []
    for row in firsts:
        base = bases.get(_key(row), [])
        if not is_control(row["control"]) or len(base) != 1:
            continue
        compared = _beside(cells, row["series"], base[0], broken)
        if compared is not None:
            found.append(Controlled(row["control"], base[0], *compared))
    return found


def _beside(
    cells: pd.DataFrame, control: str, base: str, broken: dict[str, list[float]]
) -> tuple[float, float, int] | None:
    """The mean difference, what luck allows of it, and over how many sparsities."""
    both = cells[cells["series"].isin([control, base])]
    gone = set(broken.get(control, [])) & set(broken.get(base, []))
    both = both[~both["sparsity"].isin(gone)]
    pairs = both.groupby(["sparsity", "seed"])["series"].transform("nunique") == 2
    both = both[pairs]
    if both.empty:
        return None
    means = both.groupby(["sparsity", "series"])["accuracy"].mean().unstack()
    # Over several sparsities luck may cancel or not, for they share their seeds: it is taken to
    # be as large as at one of them.
    return float((means[control] - means[base]).mean()), luck(both)[0], len(means)


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
    return tuple(None if pd.isna(row[name]) else row[name] for name in SAME)
