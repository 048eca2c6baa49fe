"""What a search can be for: the table ``GOALS``, and its words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from prospr_engine.format import KILO, MEGA, SPACE, Unit, exact_kilobytes, plural, to_percent


@dataclass(frozen=True)
class Goal:
    """A figure of the pruned network that a search keeps within a limit.

    ``setting`` is the setting of ``SearchConfig`` with the limit, ``figure`` the row of
    ``metrics.METRICS`` that is compared with it; ``column`` is its name in ``trail.csv``, ``title``
    that of a chart's axis. ``limit(value)`` and ``show(value, limit)`` put a limit and a figure
    into words, ``met`` and ``missed`` whether one meets the other. A figure stands in ``tried``
    where a try is listed, in ``found`` where it is the answer; ``noun`` is what has it, and
    ``remedy`` what helps if nothing was found.

    ``of_accuracy``: it is lost accuracy, and the search is for the sparsest network; otherwise for
    the least sparse one. ``needs_channels``: zeros among the weights do not change the figure.
    ``predictable``: it can be predicted from the sparsity.
    """

    setting: str
    figure: str
    column: str
    title: str
    unit: Unit
    limit: Callable[[float], str]
    show: Callable[[float, float], str]
    met: str
    missed: str
    tried: str
    found: str
    noun: str
    remedy: str
    of_accuracy: bool = False
    needs_channels: bool = False
    predictable: bool = False


def lost(value: float, shown: str) -> str:
    """``value``, a fraction, in words, with its points as they are ``shown``."""
    if not float(shown):
        return "no accuracy lost"
    number = shown.removeprefix("-")
    return f"{number} {plural(float(number), 'point')} {'lost' if value > 0 else 'gained'}"


def beside(number: float, limit: float, digits: int) -> str:
    """``number``, rounded with enough digits to stay on its side of the limit: 100.2 kB must not
    appear as 100 kB if the limit is 100 kB."""
    for more in range(digits, digits + 4):
        text = f"{number:,.{more}f}"
        if (float(text.replace(",", "")) <= limit) == (number <= limit):
            break
    return text


def _significant(number: float, limit: float, unit: str) -> str:
    """``number`` with as many digits as three of the ``limit`` have."""
    digits = 2 - math.floor(math.log10(limit))
    return f"{beside(number, limit, min(max(digits, 0), 6))}{unit}"


def _points(value: float, limit: float) -> str:
    return lost(value, beside(to_percent(value), to_percent(limit), 1))


def _at_most_points(limit: float) -> str:
    points = to_percent(limit)
    return f"at most {points:.4g} {plural(points, 'point')} of accuracy lost"


GOALS = (
    Goal(
        setting="most_lost",
        figure="accuracy",
        column="accuracy_lost",
        title="Accuracy lost (points)",
        unit="difference",
        limit=_at_most_points,
        show=_points,
        met="good enough",
        missed="too much",
        tried="{}",
        found="{}",
        noun="pruned network",
        remedy="allow more loss, or train longer",
        of_accuracy=True,
    ),
    Goal(
        setting="most_bytes",
        figure="zipped_bytes",
        column="zipped_bytes",
        title="ONNX file, zipped",
        unit="bytes",
        limit=lambda limit: f"at most {exact_kilobytes(limit)} zipped",
        show=lambda value, limit: f"{beside(value / KILO, limit / KILO, 0)}{SPACE}kB",
        met="it fits",
        missed="too big",
        tried="{} zipped",
        found="the zipped file takes {}",
        noun="file",
        remedy="allow a bigger file, choose a smaller network, or search higher sparsities",
        predictable=True,
    ),
    Goal(
        setting="most_operations",
        figure="operations",
        column="operations",
        title="Multiply-adds for one image",
        unit="count",
        limit=lambda limit: f"at most {limit / MEGA:,.10g} million multiply-adds",
        show=lambda value, limit: _significant(
            value / MEGA, limit / MEGA, " million multiply-adds"
        ),
        met="few enough",
        missed="too many",
        tried="{}",
        found="the network needs {}",
        noun="network",
        remedy="allow more multiply-adds, choose a smaller network, or search higher sparsities",
        needs_channels=True,
        predictable=True,
    ),
    Goal(
        setting="most_ms",
        figure="latency_ms",
        column="latency_ms",
        title="Latency of the ONNX file, one image",
        unit="ms",
        limit=lambda limit: f"at most {limit:.6g}{SPACE}ms per image",
        show=lambda value, limit: _significant(value, limit, f"{SPACE}ms"),
        met="fast enough",
        missed="too slow",
        tried="{} per image",
        found="the file takes {} per image",
        noun="file",
        remedy="allow more time, choose a smaller network, or search higher sparsities",
        needs_channels=True,
    ),
)
"""In the order in which they are offered."""
