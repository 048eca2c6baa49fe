"""Controls beside their originals: whether what a criterion chose beats chance.

``frame`` is as in ``sweeps.analysis``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from prospr_engine.sweeps.analysis import UNCONTROLLED, done, guessing, most_uncertain
from prospr_engine.sweeps.statistics import Estimate, holm_limits, paired, resolution
from prospr_engine.sweeps.table import records

SAME = ("model", "data", "method", "steps", "kind", "options", "epochs")
"""What a series has in common with its controls."""


@dataclass(frozen=True)
class Controlled:
    """A control and its original: the mean ``difference`` of their accuracies (control − original)
    over ``levels`` sparsities and ``seeds`` seeds, and the ``limit`` of the noise: of the seeds if
    there are two or more, else of the test images alone. The limit grows with the number of
    controls, which are judged together."""

    control: str
    original: str
    difference: float
    limit: float
    levels: int
    seeds: int

    @property
    def verdict(self) -> Literal["worse", "better", "no different"]:
        """How the control compares; "no different" within the noise."""
        if abs(self.difference) <= self.limit:
            return "no different"
        return "worse" if self.difference < 0 else "better"


def controlled(frame: pd.DataFrame, classes: int | None) -> list[Controlled]:
    """Every control with its original, over the sparsities and seeds that both have and at which
    they are not both near guessing. Of controls without an effect, *any* is found to have one in at
    most 5 % of comparisons (Holm's method)."""
    cells = done(frame)
    broken = guessing(frame, classes)
    firsts = records(cells.sort_values("order", kind="stable").drop_duplicates("series"))
    bases: dict[tuple[Any, ...], list[str]] = {}
    for row in firsts:
        if row["control"] in UNCONTROLLED:
            bases.setdefault(_key(row), []).append(row["series"])
    pairs: list[tuple[str, str]] = []
    measured: list[tuple[Estimate, int, int]] = []
    for row in firsts:
        base = bases.get(_key(row), [])
        if row["control"] in UNCONTROLLED or len(base) != 1:
            continue
        compared = _beside(cells, row["series"], base[0], broken)
        if compared is not None:
            pairs.append((row["control"], base[0]))
            measured.append(compared)
    limits = holm_limits([estimate for estimate, _, _ in measured])
    return [
        Controlled(*pair, estimate.value, limit, levels, seeds)
        for pair, (estimate, levels, seeds), limit in zip(pairs, measured, limits, strict=True)
    ]


def _beside(
    cells: pd.DataFrame, control: str, base: str, broken: dict[str, list[float]]
) -> tuple[Estimate, int, int] | None:
    """The mean difference, and the numbers of sparsities and seeds."""
    both = cells[cells["series"].isin([control, base])]
    gone = set(broken.get(control, [])) & set(broken.get(base, []))
    both = both[~both["sparsity"].isin(gone)]
    values = both.groupby(["seed", "sparsity", "series"])["accuracy"].mean().unstack()
    if not {control, base} <= {*values}:
        return None
    # A row per seed, a column per sparsity.
    differences = (values[control] - values[base]).dropna().unstack()
    if differences.empty:
        return None
    whole = differences.dropna()
    if whole.empty:  # no seed has every sparsity: the sparsities of the seed that has the most
        most = differences.loc[[differences.notna().sum(axis=1).idxmax()]]
        whole = differences[most.dropna(axis=1).columns].dropna()
    # Sparsities share their seeds, so each seed is one independent value: its mean over them.
    by_seed = list(whole.mean(axis=1))
    estimate = paired(by_seed, resolution(both))
    if estimate is None:
        estimate = most_uncertain(by_seed[0], both["accuracy"], both["test_images"].dropna())
    return estimate, whole.shape[1], len(by_seed)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in SAME)
