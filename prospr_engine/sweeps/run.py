"""A sweep from start to end: one run after another, with what they share computed once. An
interrupted sweep continues where it stopped."""

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
    ``sweep.json``, ``cells.csv`` (the table, rewritten after each cell), a folder in ``cells`` with
    the files of each run, and ``shared``: scores and dense networks, which are computed once for
    all cells that need them. An interrupted sweep continues there; a larger one computes only the
    new cells. Finished cells are computed again only if the data have changed, or for a method or
    network that was registered (see ``Registry.register``).

    A cell that fails, also for lack of memory, is a row with the state "failed" and a sentence in
    ``error``. The sweep continues, and the next start tries the cell again. If the engine itself
    is at fault, the traceback is in the log. What would make every cell fail ends the sweep: an
    unknown network or device, data that cannot be read, a full disk. The table so far is kept, and
    the next start continues from there.

    ``on_event`` receives ``CellStarted`` and ``CellEnded``, and between them the events of the run.
    ``should_stop`` is called between steps and ends the sweep with ``Stopped``. Cells are computed
    in this process, one after another, or by an ``executor``, which is closed at the end. Raises
    ``EngineError``; ``ConfigError`` if ``out`` contains something else or another process uses it.
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
