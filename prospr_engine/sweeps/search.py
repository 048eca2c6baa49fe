"""A search from start to end: runs at one sparsity after the other, until the budget is met as
closely as is worth telling."""

from __future__ import annotations

import csv
import dataclasses
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine.errors import ConfigError
from prospr_engine.events import Event, OnEvent, ignore
from prospr_engine.io.files import write_atomically
from prospr_engine.models.measures import known, measure
from prospr_engine.pipeline.images import images_of
from prospr_engine.sweeps.bisection import guess_of
from prospr_engine.sweeps.cells import Cells
from prospr_engine.sweeps.claim import claimed
from prospr_engine.sweeps.executor import Executor
from prospr_engine.sweeps.in_process import in_process
from prospr_engine.sweeps.reach import reachable
from prospr_engine.sweeps.report import Outcome, outcome, probe_line
from prospr_engine.sweeps.runner import drive
from prospr_engine.sweeps.search_config import Probe, SearchConfig
from prospr_engine.sweeps.sources import SearchSource

TRAIL = "trail.csv"


@dataclass(frozen=True)
class Probed(Event):
    """One sparsity was tried, the ``number``-th of ``most`` at most; ``probe`` holds what
    ``Probe`` does, ``text`` says it in a line."""

    number: int
    most: int
    probe: dict[str, Any]
    text: str


@dataclass(frozen=True)
class SearchResult:
    """What was tried, in this order, and what came of it. ``runs`` of a probe are folders, or,
    where the store did it and ``out`` is None, ids. ``seconds`` is wall time."""

    config: SearchConfig
    trail: tuple[Probe, ...]
    outcome: Outcome
    out: Path | None
    seconds: float

    @property
    def found(self) -> float | None:
        """The sparsity that was looked for; None if no network that was tried met the goal."""
        return self.outcome.found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: what ``--json`` prints."""
        return {
            "out": str(self.out) if self.out else None,
            **self.outcome.to_dict(),
            "trail": [dataclasses.asdict(probe) for probe in self.trail],
            "config": self.config.to_dict(),
            "seconds": self.seconds,
        }


def search(
    config: SearchConfig | None = None,
    *,
    out: str | Path | None = None,
    on_event: OnEvent = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
    **settings: Any,
) -> SearchResult:
    """Find the sparsest network that loses no more accuracy than allowed, or the least sparse one
    that takes no more space (its zipped ONNX file), multiply-adds or time than allowed.

        pe.search(model="resnet20", data="cifar10", most_lost=0.01, seeds=range(3), epochs=20)

    The settings are a ``SearchConfig``, or its settings and those of ``RunConfig`` as keywords.
    Every try is a complete run per seed. Its accuracy is that on the validation images, against
    the dense network of the same seed, which is trained once; the test images do not decide
    anything, so the accuracy on them (``Probe.tested``) is a fair report of what was found.

    The folder ``out`` (a new temporary one by default) receives ``search.json``, ``trail.csv``
    (the tries, rewritten after each), a folder in ``cells`` with the files of each run, and
    ``shared``, what the runs share. An interrupted search continues there, and a search with
    another goal uses what is there. A run that fails counts as a try that missed the goal.

    ``on_event`` receives ``Probed`` after each try, the events of ``sweep`` and those of the runs.
    ``should_stop`` is called between steps and ends the search with ``Stopped``. ``executor`` is as
    in ``sweep``. Raises ``EngineError``; ``ConfigError`` if ``out`` contains something else or
    another process uses it.
    """
    started = time.perf_counter()
    if config is not None and settings:
        raise ConfigError("Give either a SearchConfig or its settings as keywords, not both.")
    if config is None:
        config = SearchConfig.of(**settings)
    elif not isinstance(config, SearchConfig):
        raise ConfigError(f"config is a {type(config).__name__}; give a SearchConfig, or keywords.")
    config = reachable(config)
    folder = Path(tempfile.mkdtemp(prefix="prospr-search-") if out is None else out)
    with claimed(folder, config):
        cells = Cells(folder, on_event)

        def on_probe(probe: Probe) -> None:
            _write(config, source.trail, folder)
            values, text = dataclasses.asdict(probe), probe_line(config, probe)
            on_event(Probed(len(source.trail), config.most_probes, values, text))

        source = SearchSource(config, first_guess(config), cells, on_event, on_probe)
        _write(config, source.trail, folder)
        drive(source, executor or in_process(cells, source, should_stop), should_stop)
    seconds = time.perf_counter() - started
    return SearchResult(config, tuple(source.trail), outcome(config, source.trail), folder, seconds)


def first_guess(config: SearchConfig) -> float | None:
    """Where the search begins; None if that cannot be foretold. Raises ``EngineError``
    if the data cannot be read or the network does not fit them."""
    run = config.run
    images = images_of(run.data, run.loading.image_size) if config.goal.predictable else None
    if images is None:
        return None
    shape = (images.channels, images.size, images.classes)
    return guess_of(config, known(run.model, *shape) or measure(run.model, *shape))


def _write(config: SearchConfig, trail: Sequence[Probe], folder: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    tested = ["tested_lost"] if config.about_accuracy else []
    writer.writerow(["sparsity", "met", config.goal.column, "error", "runs", *tested])
    for probe in trail:
        found = "" if probe.value is None else probe.value
        runs = ";".join(Path(run).name for run in probe.runs)
        on_test = ["" if probe.tested is None else probe.tested] if tested else []
        writer.writerow([probe.sparsity, probe.met, found, probe.error, runs, *on_test])
    write_atomically(folder / TRAIL, text.getvalue())
