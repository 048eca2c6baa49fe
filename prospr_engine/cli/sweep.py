"""The command ``sweep``: its plan, then the sweep itself, here or in the store."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine.cli import render_sweep, store_runs
from prospr_engine.cli.settings import add_settings, add_store, given, number, show
from prospr_engine.config import CHANNELS, WEIGHTS, RunConfig
from prospr_engine.errors import ConfigError
from prospr_engine.identity import dense_group
from prospr_engine.models import MODELS
from prospr_engine.models.measures import known, measure
from prospr_engine.pipeline.estimate import START, cell_seconds, scores_of
from prospr_engine.pipeline.images import images_of
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import control_names
from prospr_engine.store.limits import Limits
from prospr_engine.store.studies import check_size
from prospr_engine.sweeps.config import LISTS, OWN, SweepConfig

BY = ("method", "steps", "control", "kind", "sparsity")
"""Cells that agree in these and differ only in their seed form one mean."""

KINDS = (WEIGHTS, CHANNELS)
LISTED = {
    "methods": f"criteria to compare: all, or some of {', '.join(METHODS)}",
    "sparsities": "fractions of the weights removed, e.g. 0.8,0.95 or 80%%,95%%",
    "seeds": "seeds, e.g. 0,1,2; more seeds make the means more certain",
    "steps": "look-ahead steps (M) to compare, for the criteria that look ahead",
    "controls": f"what to change about the masks: {', '.join(control_names())}; or all",
    "kinds": f"what to remove: {', '.join(KINDS)}; or all. Criteria that rank no channels, and "
    "controls, have no runs that remove channels",
}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("sweep", sweep, "compare criteria, sparsities and seeds on one network and data")
    add_settings(sub, "sweep.json of a sweep", but=OWN)
    default = SweepConfig()
    for name, help in LISTED.items():
        values = ",".join(map(str, getattr(default, name))) or "each method's own"
        sub.add_argument(f"--{name}", metavar="LIST", help=f"{help} (default: {values})")
    sub.add_argument("--out", help="folder for the results; a sweep in it is resumed "
                     "(default: runs/sweep-, then the fingerprint of the settings)")  # fmt: skip
    sub.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    add_store(sub, "sweep")


def sweep(parsed: argparse.Namespace) -> int:
    """Run the sweep; returns 1 if one of the runs failed."""
    config = config_of(parsed)
    if parsed.store is not None and parsed.out:
        raise ConfigError("With --store the files stay in the store; leave out --out.")
    MODELS.find(config.run.model)
    if parsed.store is not None:
        check_size(config, Limits.from_environment())
    out = Path(parsed.out or Path("runs") / f"sweep-{config.fingerprint}")
    plan = plan_of(config, out if parsed.store is None else None)
    if not parsed.quiet:
        render_sweep.print_plan(config, plan.to_dict())
    if parsed.dry_run:
        planned = {"out": str(out) if parsed.store is None else None, **plan.to_dict()}
        show(parsed, planned, lambda _: None)
        return 0
    started = time.perf_counter()
    with render_sweep.progress(plan.each, parsed.quiet) as on_event:
        if parsed.store is None:
            from prospr_engine.sweeps import table
            from prospr_engine.sweeps.run import sweep as do

            rows = table.records(do(config, out=out, on_event=on_event))
        else:
            rows = store_runs.compute_study(config, parsed.store, parsed.name, on_event)
    result = {
        "out": str(out) if parsed.store is None else None,
        "cells": rows,
        **summary_of(rows),
        "failed": sum(row["state"] != "done" for row in rows),
        "seconds": time.perf_counter() - started,
        "estimate": plan.seconds,
    }
    show(parsed, result, render_sweep.print_sweep)
    return 1 if result["failed"] else 0


def config_of(parsed: argparse.Namespace) -> SweepConfig:
    """The settings of ``--config`` or the defaults, overridden by the flags given."""
    config = SweepConfig.read(parsed.config) if parsed.config else SweepConfig()
    values = config.to_dict()
    given(parsed, values["run"])
    everything = {"methods": tuple(METHODS), "controls": control_names(), "kinds": KINDS}
    for name in LISTS:
        text = getattr(parsed, name)
        if text is not None:
            entries = [number(entry.strip()) for entry in text.split(",")] if text.strip() else []
            values[name] = everything.get(name, entries) if entries == ["all"] else entries
    return SweepConfig.from_dict(values)


@dataclass(frozen=True)
class Plan:
    """The work of a sweep: a row per cell, and the number of ``dense`` networks to train and of
    ``scorings`` to compute. ``each`` is the expected seconds of each cell, 0 if it is done, the
    first including the start of Python; None where the images differ in size."""

    rows: Sequence[dict[str, Any]]
    dense: int
    scorings: int
    each: Sequence[float] | None

    @property
    def seconds(self) -> float | None:
        """Expected seconds in total."""
        return None if self.each is None else sum(self.each)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "cells": list(self.rows),
            "known": sum(row["state"] == "done" for row in self.rows),
            "dense": self.dense,
            "scorings": self.scorings,
            "estimate": self.seconds,
        }


def plan_of(config: SweepConfig, out: Path | None) -> Plan:
    """What is left to do of the sweep in ``out`` (None: in the store), and how long that takes on
    this machine's CPU. Raises ``EngineError`` if the folder contains something else, the data
    cannot be read or the network does not fit them."""
    cells = config.cells()
    if out is None:
        from prospr_engine.sweeps.table import row

        rows = [row(cell, None, "waiting") for cell in cells]
    else:
        from prospr_engine.sweeps.cells import Cells
        from prospr_engine.sweeps.claim import check_folder

        check_folder(out, config)
        rows = [Cells(out).row(cell) for cell in cells]
    waiting = [row["state"] != "done" for row in rows]

    def shared(key: Callable[[RunConfig], object]) -> int:
        """How many different ones are needed that no finished cell has produced."""
        needed = {key(cell) for cell, waits in zip(cells, waiting, strict=True) if waits}
        return len(needed - {key(c) for c, waits in zip(cells, waiting, strict=True) if not waits})

    return Plan(
        rows,
        dense=shared(dense_group),
        scorings=shared(scores_of),
        each=_seconds(config, cells, waiting) if any(waiting) else [0.0] * len(cells),
    )


def summary_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means over seeds, and the difference below which they are noise."""
    from prospr_engine.sweeps import statistics, table

    frame = table.frame(rows)
    return {
        "summary": table.records(statistics.summarise(frame, BY)),
        "noise": statistics.noise(frame, BY),
    }


def _seconds(
    config: SweepConfig, cells: Sequence[RunConfig], waiting: list[bool]
) -> list[float] | None:
    images = images_of(config.run.data, config.run.loading.image_size)
    if images is None:
        return None
    shape = (images.channels, images.size, images.classes)
    size = known(config.run.model, *shape) or measure(config.run.model, *shape)
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    each = cell_seconds(cells, images, size, threads=threads)
    left = [seconds if waits else 0.0 for seconds, waits in zip(each, waiting, strict=True)]
    left[waiting.index(True)] += START
    return left
