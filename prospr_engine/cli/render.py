"""Terminal output: progress bars on standard error, results as tables."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from prospr_engine import events, metrics
from prospr_engine.events import Event, OnEvent
from prospr_engine.format import (
    accuracy,
    counted,
    figure,
    fixed_percent,
    percent,
)
from prospr_engine.overrides import setting_words
from prospr_engine.pipeline.course import course
from prospr_engine.pipeline.pruning_record import PruningRecord
from prospr_engine.pipeline.record import ExportRecord, RunRecord

BAR = 20  # characters of a layer's bar


@contextlib.contextmanager
def progress(quiet: bool = False) -> Iterator[OnEvent]:
    """A listener that draws a bar per stage on a terminal, and plain lines into a file."""
    if quiet:
        yield events.ignore
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda event: _print_line(console, event)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars).on_event


class _Bars:
    """One bar per stage: the last one moves, the earlier ones are full."""

    def __init__(self, bars: Progress):
        self._bars = bars
        self._stage: TaskID | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, events.StageStarted):
            self._finish()
            self._stage = self._bars.add_task(event.text, total=None, note="")
        elif isinstance(event, events.Progress) and self._stage is not None:
            note = event.text or f"{event.done:,} of {event.total:,} {event.unit}"
            self._bars.update(self._stage, completed=event.done, total=event.total, note=note)
        elif isinstance(event, events.EpochEnded):
            self._bars.console.print("  " + _epoch(event), highlight=False)
        elif isinstance(event, events.Finished):
            self._finish()

    def _finish(self) -> None:
        if self._stage is not None:
            task = next(task for task in self._bars.tasks if task.id == self._stage)
            total = task.total or 1
            self._bars.update(self._stage, total=total, completed=total, note="")


def _print_line(console: Console, event: Event) -> None:
    if isinstance(event, events.StageStarted):
        console.print(event.text, highlight=False)
    elif isinstance(event, events.EpochEnded):
        console.print("  " + _epoch(event), highlight=False)


def _epoch(event: events.EpochEnded) -> str:
    return (
        f"{event.network:6} epoch {event.epoch} of {event.epochs}: "
        f"loss {event.train_loss:.3f}, validation accuracy {accuracy(event.validation_accuracy)}"
    )


def print_result(result: dict[str, Any]) -> None:
    """The figures, then layers, findings, checks and files."""
    console, record = lines(), RunRecord.from_dict(result)
    _print_removed(console, record.pruning)
    figures = Table(box=None, pad_edge=False, show_header=False)
    for name, metric, pair in metrics.of_run():
        if (value := record.figures[metric.name]) is not None:
            figures.add_row(name, figure(metric.unit, value, fixed=bool(pair and pair.task)))
    console.print(figures)
    console.print(f"\n{course(record)}", soft_wrap=True)
    console.print(_chance(record), soft_wrap=True)
    for note in (*record.notes, *record.data.notes):
        mark = "[yellow]![/yellow]" if note in record.data.warnings else "·"
        console.print(f"{mark} {escape(note)}", soft_wrap=True)
    console.print()
    _print_layers(console, record.pruning)
    for encoding, export in record.exports.items():
        _print_checks(console, ((check.ok, check.text) for check in export.checks))
        zeros = "" if export.zeros is None else f" ({export.zeros:,} zeros)"
        console.print(f"\n{export.path}{zeros}{_measured(encoding, export, record)}")
    if record.graph and not record.graph.own:
        console.print(
            "\n[yellow]![/yellow] The files have a new graph, not that of the network's own file: "
            f"{escape(record.graph.reason)}",
            soft_wrap=True,
        )
    for encoding, reason in record.not_exported.items():
        console.print(f"\n[yellow]![/yellow] No file in {encoding}: {escape(reason)}")


def _measured(encoding: str, export: ExportRecord, record: RunRecord) -> str:
    """What was measured with a file: ": accuracy 93.1 %, 1.2 ms for an image, no faster: …"."""
    parts = []
    if export.accuracy is not None:
        parts.append(f"accuracy {accuracy(export.accuracy)}")
    if export.latency_ms is not None and record.latency:
        threads = counted(record.latency.threads, "thread")
        parts.append(f"{export.latency_ms:.3g} ms for an image on {threads}")
        parts.append(record.latency.verdicts[encoding])
    return f": {'; '.join(parts)}" if parts else ""


def _chance(record: RunRecord) -> str:
    """Whether the network only guesses, or chance explains what pruning changed."""
    from prospr_engine.sweeps import tested  # brings SciPy: not for every command

    if not record.config.epochs:
        return "Neither network was trained."
    pruned = tested.measurement(record.figures)
    against = tested.against_guessing(pruned, len(record.data.classes))
    on = counted(record.data.split.test, "test image")
    if against.guessing:
        return (
            f"On {on} the pruned network is not clearly better than guessing "
            f"({percent(against.guess)})."
        )
    dense = tested.measurement(record.figures, "dense")
    if tested.against_guessing(dense, len(record.data.classes)).guessing:
        return (
            f"On {on} the dense network is not clearly better than guessing "
            f"({percent(against.guess)}), so this does not say what pruning costs."
        )
    change = tested.by_pruning(record.figures)
    p = "" if change.p is None else f" (McNemar's test, p = {change.p:.2g})"
    verdict = "chance explains the change" if change.explained else "the change is more than chance"
    return f"On {on} {verdict}{p}. Luck of the seed is not included."


def print_pruning(pruning: dict[str, Any]) -> None:
    """The result of scoring and pruning without training."""
    console, record = lines(), PruningRecord.from_dict(pruning)
    _print_removed(console, record)
    _print_layers(console, record)
    console.print(f"\nScores and masks are in {pruning['out']}")


def print_proof(proof: dict[str, Any]) -> None:
    """The verdict on a file, check by check."""
    console = lines()
    _print_checks(console, ((check["ok"], check["text"]) for check in proof["checks"]))
    verdict = "matches its record" if proof["ok"] else "does NOT match its record"
    console.print(f"\n[bold]{proof['path']} {verdict}.[/bold]")


def print_tables(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Rows of a registry, one after another."""
    console = lines()
    for rows in tables.values():
        for row in rows:
            text = row.get("description", "")
            console.print(f"[bold]{row['name']}[/bold]" + (f"  {text}" if text else ""))
            if facts := _facts(row):
                console.print(f"    {facts}")
            for option in row.get("options", []):
                console.print(f"    {option['name']} = {option['default']}: {option['help']}")


def _facts(row: dict[str, Any]) -> str:
    """The figures of a model's or a data set's row."""
    if row.get("parameters"):
        return f"{row['parameters']:,} parameters (3×32×32 images, 10 classes)"
    if row.get("image_size"):
        size, colour = row["image_size"], "grey" if row["channels"] == 1 else "colour"
        fetched = f"{row['download_mb']} MB to download" if row["download_mb"] else "built in"
        return (
            f"{row['train'] + row['test']:,} {colour} images of {size}×{size} pixels, "
            f"{row['classes']} classes, {fetched}"
        )
    return ""


def print_doctor(report: dict[str, Any]) -> None:
    """The machine's report."""
    console = lines()
    for key, value in {**report["environment"], **report}.items():
        if key not in {"ok", "checks", "environment"}:
            console.print(f"{key.replace('_', ' '):22} {value}")
    _print_checks(console, ((check["ok"], check["text"]) for check in report["checks"]))


def lines() -> Console:
    """A console for lines of text."""
    # Paths and names are not markup, and lines that scripts read must not be folded.
    return Console(soft_wrap=True, highlight=False)


def _print_removed(console: Console, pruning: PruningRecord) -> None:
    removed = percent(pruning.sparsity.achieved)
    channels = ""
    if structure := pruning.structure:
        left, before = structure.channels.after, structure.channels.before
        channels = f" with their channels: {left:,} of {before:,} are left"
    console.print(f"\n[bold]{removed} of the weights removed{channels}[/bold]")


def _print_layers(console: Console, pruning: PruningRecord) -> None:
    table = Table(box=None, pad_edge=False)
    widths = {} if pruning.structure is None else pruning.structure.width_of
    for heading, justify in (
        ("layer", "left"),
        *([("channels", "right")] if widths else []),
        ("weights", "right"),
        ("kept", "right"),
        ("density", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for layer in pruning.layers:
        own = "" if layer.setting is None else f" set: {setting_words(layer.setting)}"
        width = widths.get(layer.name.removesuffix(".weight"))
        table.add_row(
            layer.name,
            *([f"{width.after:,} of {width.before:,}" if width else ""] if widths else []),
            f"{layer.total:,}",
            f"{layer.kept:,}",
            fixed_percent(layer.density, 2),
            "█" * math.ceil(BAR * layer.density) + own,
        )
    console.print(table)
    marks = {"fine": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "danger": "[red]✗[/red]"}
    for finding in pruning.findings:
        console.print(f"{marks[finding.level]} {finding.text}")


def _print_checks(console: Console, checks: Iterable[tuple[bool, str]]) -> None:
    """Checks as (passed, sentence)."""
    for ok, text in checks:
        mark = "[green]✓[/green]" if ok else "[red]✗[/red]"
        console.print(f"{mark} {text}")
