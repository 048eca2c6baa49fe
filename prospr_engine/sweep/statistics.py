"""How sure a mean over seeds is, and which differences are no more than luck of the seed.

Student, The Probable Error of a Mean, Biometrika 1908; Fisher, The Design of Experiments, 1935
(least significant difference).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95

SPREAD = ("accuracy", "dense_accuracy", "change", "loss")
"""Columns that get an interval beside their mean."""
MEANS = ("achieved_sparsity", "effective_sparsity", "kept_weights", "file_bytes", "zipped_bytes")
"""Columns that get their mean only."""


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


def summarise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> pd.DataFrame:
    """A row per group of ``by``, in the order in which they first come: ``count`` finished and
    ``failed`` cells, and of the finished ones ``accuracy_mean``, ``accuracy_low`` and
    ``accuracy_high`` (so for each of ``SPREAD``) and ``kept_weights_mean`` (so for each of
    ``MEANS``). Low and high are NaN for a single cell, all are NaN for none."""
    known = [name for name in (*SPREAD, *MEANS) if name in frame]
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
        if name in SPREAD:
            half = _half(deviations[name], counts[name], level)
            told[f"{name}_low"], told[f"{name}_high"] = means[name] - half, means[name] + half
    return told.reset_index()


def noise(frame: pd.DataFrame, by: Sequence[str], level: float = LEVEL) -> float | None:
    """Fisher's least significant difference: how far apart the mean accuracies of two groups of
    ``by`` have to be before it is more than luck of the seed, as a fraction.

    The spread over seeds is pooled over all groups, which tells more than two or three seeds of
    one group could. None where no group has two finished cells: then nothing is known of luck.
    The difference of groups with unlike many cells is that of their harmonic mean.
    """
    done = frame.loc[frame["state"] == "done", [*by, "accuracy"]].dropna(subset=["accuracy"])
    groups = done.groupby(list(by), sort=False, dropna=False)["accuracy"]
    counts = groups.count().to_numpy()
    deviations = groups.std(ddof=1).to_numpy(dtype=float)
    several = counts > 1
    if not several.any():
        return None
    freedom = int((counts[several] - 1).sum())
    pooled = math.sqrt((deviations[several] ** 2 @ (counts[several] - 1)) / freedom)
    alike = several.sum() / (1 / counts[several]).sum()
    return float(stdtrit(freedom, (1 + level) / 2) * pooled * math.sqrt(2 / alike))


def _half(deviation: Any, count: Any, level: float) -> Any:
    """Half of the interval, from the standard deviation of ``count`` values."""
    with np.errstate(all="ignore"):
        return stdtrit(np.asarray(count) - 1, (1 + level) / 2) * deviation / np.sqrt(count)
