"""What a person sees of a sweep in a terminal: what it will take, how far it is, what it found."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from prospr_engine import metrics
from prospr_engine.config import NO_CONTROL
from prospr_engine.events import CellEnded, CellStarted, Event, OnEvent, StageStarted, ignore
from prospr_engine.format import (
    SPACE,
    accuracy,
    counted,
    exact_percent,
    plural,
    rough_duration,
    to_percent,
)
from prospr_engine.metrics import Metric, Unit
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import CONTROLS
from prospr_engine.sweeps.config import SweepConfig

Row = Mapping[str, Any]


def print_plan(config: SweepConfig, plan: Mapping[str, Any]) -> None:
    """What the sweep will take, before it starts."""
    cells, waiting = len(plan["cells"]), len(plan["cells"]) - plan["known"]
    kinds = [
        counted(len(config.methods), "method"),
        counted(len(config.sparsities), "sparsity", "sparsities"),
        counted(len(config.seeds), "seed"),
    ]
    if config.steps:
        kinds.append(f"M of {', '.join(map(str, config.steps))}")
    if config.controls != (NO_CONTROL,):
        kinds.append(counted(len(config.controls), "control"))
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"{counted(cells, 'cell')}: {', '.join(kinds)}.")
    if plan["known"]:
        are = plural(plan["known"], "is", "are")
        console.print(f"{plan['known']} of them {are} known already.")
    if not waiting:
        return
    needed = f"{counted(plan['dense'], 'dense network')} to train"
    needed += f", {counted(plan['scorings'], 'scoring')}"
    told = "how long it takes is not known, as the images have several sizes"
    if plan["estimate"] is not None:
        told = f"about {rough_duration(plan['estimate'])} on this machine's processor"
    console.print(f"{needed}; {told}.")


@contextlib.contextmanager
def progress(each: Sequence[float] | None, quiet: bool = False) -> Iterator[OnEvent]:
    """A listener that tells cell by cell how a sweep goes on, with a bar on a terminal. ``each``
    is the seconds that the cells are expected to take."""
    if quiet:
        yield ignore
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    left = Left(each)
    if not console.is_terminal:
        yield _Lines(console, left).hear
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _Lines(console, left, bars).hear


class Left:
    """How long it still takes, by what was expected and by how long the first cells took."""

    def __init__(self, each: Sequence[float] | None):
        self._each = each
        self._began: dict[int, float] = {}
        self._over: set[int] = set()
        self._took = self._expected = 0.0

    def began(self, number: int, now: float) -> None:
        """The cell ``number`` begins at ``now`` seconds."""
        self._began[number] = now

    def ended(self, number: int, now: float, failed: bool = False) -> None:
        """The cell ``number`` is over, or was so from the beginning. One that ``failed`` tells
        nothing of the pace."""
        self._over.add(number)
        if number in self._began and not failed:
            self._took += now - self._began[number]
            self._expected += self._of(number)

    def seconds(self, cells: int) -> float | None:
        """Seconds until all ``cells`` are over; None before the first one tells."""
        rest = sum(self._of(n) for n in range(1, cells + 1) if n not in self._over)
        return self._took / self._expected * rest if self._expected else None

    def _of(self, number: int) -> float:
        return self._each[number - 1] if self._each and number <= len(self._each) else 1.0


class _Lines:
    """A line for each cell; with ``bars`` what goes on moves below them."""

    def __init__(self, console: Console, left: Left, bars: Progress | None = None):
        self._console = console
        self._left = left
        self._bars = bars
        self._cells: TaskID | None = None
        self._stage = ""

    def hear(self, event: Event) -> None:
        if isinstance(event, CellStarted):
            self._left.began(event.number, time.monotonic())
        elif isinstance(event, CellEnded):
            self._left.ended(event.number, time.monotonic(), event.row["state"] != "done")
            if not event.known:
                self._console.print(escape(line(event, self._left.seconds(event.cells))))
        elif isinstance(event, StageStarted):
            self._stage = event.text
            if event.stage == "queue" and not self._bars:
                self._console.print(escape(event.text))
        if self._bars:
            self._move(self._bars, event)

    def _move(self, bars: Progress, event: Event) -> None:
        if isinstance(event, CellStarted | CellEnded):
            if self._cells is None:
                self._cells = bars.add_task("", total=event.cells)
            done = event.number - isinstance(event, CellStarted)
            bars.update(self._cells, completed=done)
        if self._cells is not None:
            bars.update(self._cells, description=escape(self._stage))


def line(event: CellEnded, left: float | None) -> str:
    """How a cell ended: "[3 of 36] SNIP at 95 %, seed 0: 93.1 %, dense 96.4 %; 4 min left"."""
    row = event.row
    told = f"[{event.number} of {event.cells}] {name(row)}: "
    if row["state"] == "done":
        told += f"{accuracy(row['accuracy'])}, dense {accuracy(row['dense_accuracy'])}"
    else:
        told += f"{row['state']}. {row['error']}".strip()
    if left is not None and event.number < event.cells:
        told += f"; about {rough_duration(left)} left" if left >= 1 else ""
    return told


def print_sweep(told: Mapping[str, Any]) -> None:
    """The means, what of them is noise, and which cells failed."""
    console = Console(soft_wrap=True, highlight=False)
    rows = told["cells"]
    for metric in metrics.columns():
        if metric.terminal_means:
            table = _means(rows, metric)
            width = Console(width=10_000).measure(table).maximum
            console.print()
            Console(width=max(width, 1), highlight=False).print(table)
    console.print(f"\n{noise_sentence(rows, told['noise'])}")
    failed = [row for row in rows if row["state"] != "done"]
    if failed:
        console.print(f"\n[bold]{counted(len(failed), 'cell')} of {len(rows)} failed:[/bold]")
    for row in failed:
        console.print(f"[red]✗[/red] {name(row)}: {escape(row['error'] or row['state'])}")
    if failed:
        console.print("The same command tries them again.")
    if told["out"]:
        console.print(f"\n{escape(told['out'])}/cells.csv holds the table.")
    console.print(f"{rough_duration(told['seconds'])} in all")


def noise_sentence(rows: Sequence[Row], noise: float | None) -> str:
    """Which differences of means say nothing. ``noise`` is a fraction."""
    seeds = len({row["seed"] for row in rows})
    if noise is None:
        if seeds == 1:
            return "1 seed: which differences are noise is not known; give more seeds."
        return "Too few cells are done to tell which differences are noise."
    images = max((row["test_images"] or 0 for row in rows), default=0)
    points = to_percent(max(noise, 1 / images if images else 0.0))
    return (
        f"{seeds} seeds: differences under {_ceil(points):.1f} points are noise "
        f"(of two means, with 95{SPACE}% confidence)."
    )


def name(row: Row) -> str:
    """What a cell is: "ProsPr (M = 1), mask shuffled, at 95 %, seed 0"."""
    return f"{series(row)} at {exact_percent(row['sparsity'])}, seed {row['seed']}"


def series(row: Row, steps: bool = True) -> str:
    """What the cells of one line have in common."""
    spec, control = METHODS.get(row["method"]), CONTROLS.get(row["control"])
    told = spec.label if spec else str(row["method"])
    if steps and row["steps"] is not None:
        told += f" (M = {row['steps']})"
    return f"{told}, {control.label[0].lower()}{control.label[1:]}" if control else told


def _means(rows: Sequence[Row], metric: Metric) -> Table:
    """A row per line, a column per sparsity: means of the figure and half of their intervals."""
    table = Table(box=None, pad_edge=False)
    sparsities = list(dict.fromkeys(row["sparsity"] for row in rows))
    table.add_column(metric.label, no_wrap=True)
    for sparsity in sparsities:
        table.add_column(f"{exact_percent(sparsity)} removed", justify="right", no_wrap=True)
    several = len({(row["method"], row["steps"]) for row in rows}) > len(
        {row["method"] for row in rows}
    )
    for label in dict.fromkeys(series(row, several) for row in rows):
        own = [row for row in rows if series(row, several) == label]
        values = [[r[metric.name] for r in own if r["sparsity"] == s] for s in sparsities]
        table.add_row(label, *(_mean(several, metric.unit) for several in values))
    if metric.reference:
        dense = {row["seed"]: row[metric.reference] for row in rows if row["state"] == "done"}
        mean = _mean(list(dense.values()), metric.unit)
        table.add_row("none: the dense network", *[mean] * len(sparsities))
    return table


def _mean(values: Sequence[float | None], unit: Unit) -> str:
    from prospr_engine.sweeps.statistics import interval  # brings SciPy: not for every command

    found = interval(values)
    if found.mean is None:
        return "failed"
    half = None if found.high is None else found.high - found.mean
    return metrics.written(unit, found.mean, half)


def _ceil(points: float) -> float:
    """Upwards to a tenth: what is under it is under the limit."""
    return math.ceil(10 * points - 1e-9) / 10
