"""Terminal output about the runs of a store."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prospr_engine import metrics
from prospr_engine.cli.render import lines
from prospr_engine.format import DAY, HOUR, MINUTE, exact_percent, quantity
from prospr_engine.io.tokens import display_name


def print_runs(listed: dict[str, Any]) -> None:
    """A row per run of the store."""
    runs = listed["runs"]
    if not runs:
        lines().print("No runs yet. `run --store` starts one, and so does the dashboard.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "name", "state", "model", "data"):
        table.add_column(heading, no_wrap=True)
    shown = metrics.listed()
    for heading in ("sparsity", *(metric.terminal for metric in shown), "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        settings, found = run["settings"], metrics.figures(run["summary"] or {})
        table.add_row(
            run["id"][:8],
            escape(run["name"]),
            _state(run),
            escape(settings["model"]),
            escape(display_name(settings["data"])),
            exact_percent(settings["sparsity"]),
            *(_figure(metric, found[metric.name]) for metric in shown),
            _age(time.time() - run["created"]),
        )
    # As wide as needed: lines that scripts read must not be cut.
    width = Console(width=10_000).measure(table).maximum
    Console(width=width, highlight=False).print(table)


def _figure(metric: metrics.Metric, value: float | None) -> str:
    return "" if value is None else quantity(metric.unit, value)


def print_state(run: dict[str, Any]) -> None:
    """The state of one run."""
    lines().print(f"Run {run['id'][:8]}: {_state(run)}.")


def print_deleted(run: dict[str, Any]) -> None:
    """Confirmation that a run was deleted."""
    lines().print(f"Run {run['id'][:8]} and its files are deleted.")


def print_rebuilt(rebuilt: dict[str, Any]) -> None:
    """The runs that were added, and the files that were not."""
    console = lines()
    if rebuilt["aside"]:
        console.print(f"The earlier record is now called {rebuilt['aside']}.")
    console.print(f"{len(rebuilt['runs']):,} finished runs were added to the record.")
    for run in rebuilt["runs"]:
        settings, missing = run["settings"], ", ".join(run["missing"])
        line = f"{run['id'][:8]}  {settings['model']}, {settings['method']}"
        console.print(escape(f"{line} (not found: {missing})" if missing else line))
    for name, what in (("unplaced", "belong to no run"), ("damaged", "are damaged")):
        if rebuilt[name]:
            console.print(f"{len(rebuilt[name]):,} files in artifacts {what} and were left there:")
            for digest in rebuilt[name]:
                console.print(f"  {digest}")


def _state(run: dict[str, Any]) -> str:
    if run["state"] == "queued":
        return f"queued, {run['ahead']} ahead"
    return "stopping" if run["state"] == "running" and run["stopping"] else str(run["state"])


def _age(seconds: float) -> str:
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
