"""Run a piece of work in a separate process, to measure its time and its peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of the work alone, and the process's peak memory in MB."""

    wall: float
    processor: float
    peak_mb: float
    before_mb: float


def measured(work: Callable[[], object]) -> Cost:
    """Do ``work`` in this process, once, and measure it."""
    before = _peak_mb()
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - processor, _peak_mb(), before)


def in_own_process(module: str, *arguments: object) -> Cost:
    """Run ``python -m module arguments``, which prints a ``Cost`` with ``report``, and read it."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(**json.loads(done.stdout))


def report(cost: Cost) -> None:
    """Print ``cost`` for ``in_own_process``."""
    print(json.dumps(asdict(cost)))


def _peak_mb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)
