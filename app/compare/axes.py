"""The horizontal axes of a comparison: the figures that ``metrics`` marks as axes.

Sparser is always further right. Compression ratios matter, so the axes are logarithmic (as in
Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020); file size only where
sizes differ several times over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.services import metrics
from app.ui.format import SPACE
from prospr_engine.report.charts.expressions import SIZE, percent

PERCENT_REMOVED = percent(6, "(1 - datum.value)")
COUNT = "format(datum.value, '.3~s')"
BYTES = SIZE
ROUND = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
MOST_TICKS, LEAST_TICKS = 8, 3
MOST_LINEAR = 5.0  # largest over smallest; beyond it small files would overlap


LABELS = {
    "share": percent(),
    "difference": "format(100 * datum.value, '+.3~g')",
    "count": COUNT,
    "bytes": BYTES,
    "seconds": "format(datum.value, '.3~s') + 's'",
    "ms": f"format(datum.value, '.3~r') + '{SPACE}ms'",
    "nats": "format(datum.value, '.3~g')",
}
"""Vega expressions for the tick labels, by unit."""


@dataclass(frozen=True)
class Axis:
    """The ``column`` of the table to draw, with its ``title`` and the Vega expression of its tick
    ``labels``. For the other settings see ``metrics.Axis``."""

    name: str
    label: str
    title: str
    column: str
    labels: str
    log: bool | None
    descending: bool
    complement: bool
    varies: bool


def known() -> dict[str, Axis]:
    """All axes by name."""
    return {
        name: Axis(
            name=name,
            label=axis.label,
            title=axis.title,
            column=metric.name,
            labels=PERCENT_REMOVED if axis.complement else LABELS[metric.unit],
            log=axis.log,
            descending=axis.descending,
            complement=axis.complement,
            varies=axis.varies,
        )
        for name, (metric, axis) in metrics.axes().items()
    }


def offered(frame: pd.DataFrame) -> dict[str, Axis]:
    """Those with a figure that some runs have, and in which they differ where that is not said
    anyway."""
    return {
        name: axis
        for name, axis in known().items()
        if frame[axis.column].nunique() > (1 if axis.varies else 0)
    }


@dataclass(frozen=True)
class Ends:
    """Where an axis starts and ends, in drawn values; ``ticks`` is empty where Vega may choose."""

    low: float
    high: float
    log: bool = True
    ticks: tuple[float, ...] = ()


def places(frame: pd.DataFrame, axis: Axis) -> pd.Series:
    """The position on ``axis`` of each row of ``frame`` (finished runs); NaN if unknown."""
    values = frame[axis.column].astype(float)
    if not axis.complement:
        return values if axis.log is False else values.where(values > 0)
    # A network without weights has no place on a logarithmic axis: it is drawn where one with half
    # a weight would be.
    least = 0.5 / frame["total_weights"].astype(float)
    return (1 - values).clip(lower=least.fillna(1e-6))


def ends(axis: Axis, drawn: Iterable[float], targets: Iterable[float] = ()) -> Ends:
    """The ends of ``axis`` for the values ``drawn``; ticks are at the target sparsities if these
    are few."""
    values = sorted(set(drawn))
    low, high = (values[0], values[-1]) if values else (0.5, 1.0)
    if axis.complement:
        levels = sorted(set(targets))
        if not 0 < len(levels) <= MOST_TICKS:
            levels = [level for level in ROUND if low / 1.2 <= 1 - level <= high * 1.2]
        ticks = tuple(round(1 - level, 9) for level in levels)
        return Ends(*_separate(min([low, *ticks]), min(1.0, max([high, *ticks]))), ticks=ticks)
    log = axis.log if axis.log is not None else high > MOST_LINEAR * low
    if log:
        low, high = _separate(low, high)
        return Ends(low, high, ticks=_round(low, high))
    margin = 0.05 * (high - low) or 0.05 * high
    return Ends(low - margin, high + margin, log=False)


def encoding(axis: Axis, span: Ends) -> alt.X:
    """The channel of the column ``x``."""
    return alt.X(
        "x:Q",
        title=axis.title,
        scale=alt.Scale(
            type="log" if span.log else "linear",
            domain=[span.low, span.high],
            reverse=axis.descending,
            nice=False,
            zero=False,
            padding=22,
        ),
        axis=alt.Axis(
            labelExpr=axis.labels,
            labelOverlap="greedy",
            labelSeparation=4,
            labelFlush=False,
            grid=False,
            # On a logarithmic axis, tickCount would drop labels of given ticks.
            **({"values": list(span.ticks)} if span.ticks else {"tickCount": 5}),
        ),
    )


def _round(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten between the ends; 1, 2 and 5 times these, or every digit, where that would be
    too few; none where even these are."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5), range(1, 10)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        ticks = tuple(tick for tick in found if low <= tick <= high)
        if len(ticks) >= LEAST_TICKS:
            return ticks
    return ()


def _separate(low: float, high: float) -> tuple[float, float]:
    """The ends, moved outwards if they coincide."""
    return (low, high) if high > low * 1.0001 else (low / 1.2, high * 1.2)
