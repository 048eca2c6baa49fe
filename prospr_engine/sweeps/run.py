"""A sweep from start to end: one run after the other, what they share computed once, and going on
where it was broken off."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from prospr_engine.errors import ConfigError
from prospr_engine.events import OnEvent, ignore
from prospr_engine.sweeps import table
from prospr_engine.sweeps.cells import Cells
from prospr_engine.sweeps.claim import claimed
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.executor import Executor
from prospr_engine.sweeps.in_process import in_process
from prospr_engine.sweeps.runner import drive
from prospr_engine.sweeps.sources import SweepSource

TABLE = "cells.csv"


def sweep(
    config: SweepConfig | None = None,
    *,
    out: str | Path | None = None,
    on_event: OnEvent = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Run every cell of the sweep and return its tidy table: a row per cell, in the order of
    ``SweepConfig.cells``, with the columns of ``sweeps.table``.

        pe.sweep(methods=["prospr", "snip"], sparsities=[0.8, 0.9], seeds=range(3), epochs=5)

    The settings are a ``SweepConfig``, or its lists and the settings of ``RunConfig`` as keywords.

    The folder ``out`` (a new temporary one by default; ``table.attrs["out"]`` names it) receives
    ``sweep.json``, ``cells.csv`` (the table, written anew after each cell), a folder in ``cells``
    with the files of each run, and ``shared``: scores and dense networks, which are computed once
    for all cells that need them. A sweep that was broken off, in whatever way, goes on there; a
    larger one computes what is new. What is known is not computed again unless the data have
    changed.

    A cell that cannot be done is a row with the state "failed" and a sentence in ``error``; the
    rest goes on, and the next start tries it again. So it is with too little memory: another
    criterion may need less. A fault of the engine is such a cell, too; its traceback is in the
    log. What no cell could do without ends the sweep: an unknown network or device, data that
    cannot be read, a full disk. The table so far stays, and the next start goes on from there.

    ``on_event`` receives ``CellStarted`` and ``CellEnded``, and between them the events of the run.
    ``should_stop`` is asked between steps and ends the sweep with ``Stopped``. Cells are computed
    in this process, one after another, or by an ``executor``, which is closed at the end. Raises
    ``EngineError``; ``ConfigError`` if ``out`` holds something else or another process works
    there.
    """
    started = time.perf_counter()
    if config is not None and settings:
        raise ConfigError("Give either a SweepConfig or its settings as keywords, not both.")
    if config is None:
        config = SweepConfig.of(**settings)
    elif not isinstance(config, SweepConfig):
        raise ConfigError(f"config is a {type(config).__name__}; give a SweepConfig, or keywords.")
    folder = Path(tempfile.mkdtemp(prefix="prospr-sweep-") if out is None else out)
    with claimed(folder, config):
        cells = Cells(folder, on_event)

        def write() -> None:
            table.write(table.frame(source.rows), folder / TABLE)

        source = SweepSource(config.cells(), cells, on_event, write)
        write()
        drive(source, executor or in_process(cells, source, should_stop), should_stop)
        done = table.frame(source.rows)
    done.attrs.update(out=str(folder), seconds=time.perf_counter() - started)
    return done
