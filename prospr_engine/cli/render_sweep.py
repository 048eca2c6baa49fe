"""Terminal output of a sweep: the plan, the progress and the results."""

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
from prospr_engine.config import CHANNELS, NO_CONTROL, WEIGHTS
from prospr_engine.events import CellEnded, CellStarted, Event, OnEvent, StageStarted, ignore
from prospr_engine.format import (
    SPACE,
    Unit,
    accuracy,
    counted,
    exact_percent,
    plural,
    quantity,
    rough_duration,
    to_percent,
)
from prospr_engine.metrics import Metric
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
    if config.kinds != (WEIGHTS,):
        kinds.append(f"{' and '.join(config.kinds)} removed")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"{counted(cells, 'cell')}: {', '.join(kinds)}.")
    if left_out := config.left_out():
        console.print(left_out)
    if plan["known"]:
        are = plural(plan["known"], "is", "are")
        console.print(f"{plan['known']} of them {are} already done.")
    if not waiting:
        return
    needed = f"{counted(plan['dense'], 'dense network')} to train"
    needed += f", {counted(plan['scorings'], 'scoring')}"
    time_needed = "no time estimate, because the images differ in size"
    if plan["estimate"] is not None:
        time_needed = f"about {rough_duration(plan['estimate'])} on this machine's CPU"
    console.print(f"{needed}; {time_needed}.")


@contextlib.contextmanager
def progress(each: Sequence[float] | None, quiet: bool = False) -> Iterator[OnEvent]:
    """A listener that prints a line per cell, with a bar on a terminal. ``each`` is the number of
    seconds that each cell is expected to take."""
    if quiet:
        yield ignore
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    left = Left(each)
    if not console.is_terminal:
        yield _Lines(console, left).on_event
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _Lines(console, left, bars).on_event


class Left:
    """The time left, from the estimates and from how long the finished cells took."""

    def __init__(self, each: Sequence[float] | None):
        self._each = each
        self._began: dict[int, float] = {}
        self._over: set[int] = set()
        self._took = self._expected = 0.0

    def began(self, number: int, now: float) -> None:
        """Cell ``number`` begins at ``now`` seconds."""
        self._began[number] = now

    def ended(self, number: int, now: float, failed: bool = False) -> None:
        """Cell ``number`` is over, or was already done. One that ``failed`` does not count for
        the pace."""
        self._over.add(number)
        if number in self._began and not failed:
            self._took += now - self._began[number]
            self._expected += self._of(number)

    def seconds(self, cells: int) -> float | None:
        """Seconds until all ``cells`` are over; None before the first one ended."""
        rest = sum(self._of(n) for n in range(1, cells + 1) if n not in self._over)
        return self._took / self._expected * rest if self._expected else None

    def _of(self, number: int) -> float:
        return self._each[number - 1] if self._each and number <= len(self._each) else 1.0


class _Lines:
    """A line for each cell; with ``bars``, a bar below them."""

    def __init__(self, console: Console, left: Left, bars: Progress | None = None):
        self._console = console
        self._left = left
        self._bars = bars
        self._cells: TaskID | None = None
        self._stage = ""

    def on_event(self, event: Event) -> None:
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
    text = f"[{event.number} of {event.cells}] {name(row)}: "
    if row["state"] == "done":
        text += f"{accuracy(row['accuracy'])}, dense {accuracy(row['dense_accuracy'])}"
    else:
        text += f"{row['state']}. {row['error']}".strip()
    if left is not None and event.number < event.cells:
        text += f"; about {rough_duration(left)} left" if left >= 1 else ""
    return text


def print_sweep(result: Mapping[str, Any]) -> None:
    """The means, which differences are noise, and which cells failed."""
    console = Console(soft_wrap=True, highlight=False)
    rows = result["cells"]
    for metric in metrics.columns():
        if metric.terminal_means:
            table = _means(rows, metric)
            width = Console(width=10_000).measure(table).maximum
            console.print()
            Console(width=max(width, 1), highlight=False).print(table)
    console.print(f"\n{noise_sentence(rows, result['noise'])}")
    failed = [row for row in rows if row["state"] != "done"]
    if failed:
        console.print(f"\n[bold]{counted(len(failed), 'cell')} of {len(rows)} failed:[/bold]")
    for row in failed:
        console.print(f"[red]✗[/red] {name(row)}: {escape(row['error'] or row['state'])}")
    if failed:
        console.print("Run the same command to try them again.")
    if result["out"]:
        console.print(f"\nThe table is in {escape(result['out'])}/cells.csv.")
    console.print(f"{rough_duration(result['seconds'])} in all")


def noise_sentence(rows: Sequence[Row], noise: float | None) -> str:
    """Which differences between means are noise. ``noise`` is a fraction."""
    seeds = len({row["seed"] for row in rows})
    if noise is None:
        if seeds == 1:
            return "With 1 seed the noise is unknown; give more seeds."
        return "The noise is unknown: no two seeds are done in every row."
    confidence = f"(any two means at one sparsity, 95{SPACE}% confidence for all pairs)"
    if noise >= 1:
        return f"{seeds} seeds are too few: any difference may be noise {confidence}."
    images = max((row["test_images"] or 0 for row in rows), default=0)
    points = to_percent(max(noise, 1 / images if images else 0.0))
    sentence = (
        f"{seeds} seeds: differences above {_ceil(points):.1f} points are more than noise "
        f"{confidence}."
    )
    if any(row["state"] != "done" for row in rows):
        sentence += (
            " That holds for means over the seeds that are done in every row at a sparsity, if "
            "these are two or more; the means above are over all that are done."
        )
    return sentence


def name(row: Row) -> str:
    """The name of a cell: "ProsPr (M = 1), mask shuffled, at 95 %, seed 0"."""
    return f"{series(row)} at {exact_percent(row['sparsity'])}, seed {row['seed']}"


def series(row: Row, steps: bool = True) -> str:
    """What the cells of one row of the table have in common."""
    spec, control = METHODS.get(row["method"]), CONTROLS.get(row["control"])
    label = spec.label if spec else str(row["method"])
    if steps and row["steps"] is not None:
        label += f" (M = {row['steps']})"
    if row["kind"] == CHANNELS:
        label += f", {CHANNELS}"
    return f"{label}, {control.label[0].lower()}{control.label[1:]}" if control else label


def _means(rows: Sequence[Row], metric: Metric) -> Table:
    """A row per series, a column per sparsity: means of the figure and half of their intervals."""
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
        cells = [[r for r in own if r["sparsity"] == s] for s in sparsities]
        table.add_row(label, *(_mean(column, metric.name, metric.unit) for column in cells))
    if metric.reference:
        dense = {row["seed"]: row for row in rows if row["state"] == "done"}
        mean = _mean(list(dense.values()), metric.reference, metric.unit)
        table.add_row("dense network", *[mean] * len(sparsities))
    return table


def _mean(rows: Sequence[Row], figure: str, unit: Unit) -> str:
    # Brings SciPy: not for every command.
    from prospr_engine.sweeps.statistics import ROUNDINGS, interval

    images = [row["test_images"] for row in rows if row["test_images"]]
    step = 1 / min(images, default=math.inf)
    found = interval([row[figure] for row in rows], step=step, roundings=ROUNDINGS.get(unit, 0))
    if found.mean is None:
        return "failed"
    half = None if found.high is None else found.high - found.mean
    return quantity(unit, found.mean, half)


def _ceil(points: float) -> float:
    """Rounded up to a tenth, so that what is below it is below the limit."""
    return math.ceil(10 * points - 1e-9) / 10
