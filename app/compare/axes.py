"""What a comparison can be drawn against: the figures that the table of figures calls axes.

All of them read the same way, the sparser the further right. Compression is compared in factors,
so the axes are logarithmic (as in Blalock et al., What is the State of Neural Network Pruning?,
MLSys 2020); that of the file's size only where sizes differ several times over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts.expressions import SIZE, percent
from app.services import metrics

PERCENT_REMOVED = percent(6, "(1 - datum.value)")
COUNT = "format(datum.value, '.3~s')"
BYTES = SIZE
ROUND = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
MOST_TICKS, LEAST_TICKS = 8, 3
MOST_LINEAR = 5.0  # times the least; beyond it small files would lie on top of each other


LABELS = {
    "share": percent(),
    "difference": "format(100 * datum.value, '+.3~g')",
    "count": COUNT,
    "bytes": BYTES,
    "seconds": "format(datum.value, '.3~s') + 's'",
    "nats": "format(datum.value, '.3~g')",
}
"""How Vega writes the numbers of a unit along the axis."""


@dataclass(frozen=True)
class Axis:
    """The ``column`` of the table that is drawn under ``title``, its ``labels`` written by Vega.
    The other settings are those of ``metrics.Axis``."""

    name: str
    label: str
    title: str
    column: str
    labels: str
    log: bool | None
    descending: bool
    complement: bool


def known() -> dict[str, Axis]:
    """All axes by name, as the table of figures has them."""
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
        )
        for name, (metric, axis) in metrics.axes().items()
    }


@dataclass(frozen=True)
class Ends:
    """What an axis goes from and to, in what is drawn; ``ticks`` is empty where Vega may choose."""

    low: float
    high: float
    log: bool = True
    ticks: tuple[float, ...] = ()


def places(frame: pd.DataFrame, axis: Axis) -> pd.Series:
    """Where each row of ``frame`` (of cells that are done) lies on ``axis``, NaN where that is
    not known."""
    values = frame[axis.column].astype(float)
    if not axis.complement:
        return values if axis.log is False else values.where(values > 0)
    # A network that does nothing any more has no place on a logarithmic axis: it stands where one
    # with half a weight would.
    least = 0.5 / frame["total_weights"].astype(float)
    return (1 - values).clip(lower=least.fillna(1e-6))


def ends(axis: Axis, drawn: Iterable[float], asked: Iterable[float] = ()) -> Ends:
    """The ends of ``axis`` for what is ``drawn``; ticks stand at the sparsities ``asked`` for as
    long as they are few."""
    values = sorted(set(drawn))
    low, high = (values[0], values[-1]) if values else (0.5, 1.0)
    if axis.complement:
        levels = sorted(set(asked))
        if not 0 < len(levels) <= MOST_TICKS:
            levels = [level for level in ROUND if low / 1.2 <= 1 - level <= high * 1.2]
        ticks = tuple(round(1 - level, 9) for level in levels)
        return Ends(*_apart(min([low, *ticks]), min(1.0, max([high, *ticks]))), ticks=ticks)
    log = axis.log if axis.log is not None else high > MOST_LINEAR * low
    if log:
        low, high = _apart(low, high)
        return Ends(low, high, ticks=_round(low, high))
    margin = 0.05 * (high - low) or 0.05 * high
    return Ends(low - margin, high + margin, log=False)


def encoding(axis: Axis, span: Ends) -> alt.X:
    """The channel of a column ``x``."""
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
            # On a logarithmic axis a number of ticks would take labels away from given ones.
            **({"values": list(span.ticks)} if span.ticks else {"tickCount": 5}),
        ),
    )


def _round(low: float, high: float) -> tuple[float, ...]:
    """The numbers 1, 2 and 5, ten times as much and so on between the ends; every number with
    one digit where that would be too few, none where even these are."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5), range(1, 10)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        ticks = tuple(tick for tick in found if low <= tick <= high)
        if len(ticks) >= LEAST_TICKS:
            return ticks
    return ()


def _apart(low: float, high: float) -> tuple[float, float]:
    """The ends themselves, but never one and the same."""
    return (low, high) if high > low * 1.0001 else (low / 1.2, high * 1.2)
