"""What a row of the table of figures says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prospr_engine.format import Unit

Source = str | Callable[[Mapping[str, Any]], Any]
"""A path in ``result.json`` ("onnx.zipped"), or a function of all of it."""

TYPES: Mapping[Unit, str] = {
    "share": "float64",
    "difference": "float64",
    "count": "Int64",
    "bytes": "Int64",
    "seconds": "float64",
    "ms": "float64",
    "nats": "float64",
    "flag": "boolean",
    "text": "str",
}
"""The pandas type of a column. Text is never missing ("" where there is none)."""


@dataclass(frozen=True)
class Axis:
    """How Compare draws accuracy against a figure. ``name`` stands in addresses, ``label`` on the
    switch, ``title`` along the axis. A ``complement`` is a share of which the rest is drawn. Every
    axis reads from dense to sparse, left to right: ``descending`` says that what is drawn falls on
    the way. ``log`` None: only if the largest value is several times the smallest. ``varies``: it
    is offered only where runs differ in it."""

    name: str
    label: str
    title: str
    log: bool | None = None
    descending: bool = True
    complement: bool = False
    varies: bool = False

    def of(self, encoding: str, label: str) -> Axis:
        """The axis of the same figure of the file in another encoding, which has this label."""
        own, (start, bracket, end) = label.lower(), self.title.partition(" (")
        return dataclasses.replace(
            self,
            name=f"{self.name}-{encoding}",
            label=f"{self.label} ({own})",
            title=f"{start}, {own}{bracket}{end}",
            varies=True,
        )


@dataclass(frozen=True)
class Column:
    """How the figure's mean is shown in Compare's table: its heading, the help of the heading and
    the number of ``digits`` after the point (None: as many as ``SCALES`` says). A ``leading``
    column stands before those that are not; ``spread`` adds half of the interval."""

    heading: str
    help: str = ""
    digits: int | None = None
    leading: bool = False
    spread: bool = False


@dataclass(frozen=True)
class Pair:
    """The figure's line in Compare's table of two runs, and its ``name`` there. ``leading`` lines
    stand before those that are not. A figure of the ``task`` is not compared between two tasks, and
    its shares always have one digit."""

    name: str
    leading: bool = False
    task: bool = False


@dataclass(frozen=True)
class Metric:
    """A figure of a result, and a column of the table of a sweep under the same ``name``.

    ``source`` is where ``result.json`` holds it, ``key`` the path under which the summary keeps it
    (``name`` by default). A figure that ``derive`` computes from the others of its row stands in
    neither. The result of every version has what is ``required``; anything else may be missing.
    ``seeds`` says what is known of it over several seeds: the mean with its interval, the mean
    alone, or nothing. ``reference`` names the same figure of the dense network. ``terminal`` is its
    name where the command line lists runs, and ``terminal_means`` gives it a table of means after a
    sweep. A figure ``of_file`` is that entry of the ONNX file that every run writes; the files in
    other encodings, which the settings choose, have columns of their own.
    """

    name: str
    label: str
    unit: Unit
    source: Source = ""
    key: str = ""
    derive: Callable[[Mapping[str, Any]], Any] | None = None
    required: bool = False
    column: bool = True
    """False: a setting of the run has that column already, or no table shows it."""
    seeds: Literal["interval", "mean"] | None = None
    axis: Axis | None = None
    compare: Column | None = None
    pair: Pair | None = None
    reference: str = ""
    partial: bool = False
    """Only some runs have it; tables in which no run has it leave it out."""
    terminal: str = ""
    terminal_means: bool = False
    of_file: str = ""

    @property
    def type(self) -> str:
        """The pandas type of the column."""
        return TYPES[self.unit]

    @property
    def path(self) -> str:
        """Where the summary keeps it; "" if it does not."""
        return "" if self.derive else self.key or self.name


@dataclass(frozen=True)
class Fact:
    """What else the summary keeps of a run, under ``key``."""

    key: str
    source: Source
    required: bool = True
