"""Will it be faster? The files of a run, timed in ONNX Runtime on this machine.

They are timed in a process of their own (``timing.py``), which they cannot disturb and which cannot
disturb training. The files take turns, with the file of the network before pruning among them, so
that whatever else the machine does slows all of them down: the ratio within a turn is what counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prospr_engine.io.processes import with_package

REFERENCE = "unpruned"
"""The name of the dense network's own file among the encodings of the pruned one."""
BATCHES = (1, 32)
THREADS = 1
SWITCH = "PROSPR_TIMING"
"""The environment variable that switches it off, if it is 0."""
PATIENCE = 90.0  # seconds until the other process is ended
POLL = 0.5
SAME = 0.05
"""A ratio so close to 1 is called none."""
COMMAND = (sys.executable, "-m", "prospr_engine.export.timing")


@dataclass(frozen=True)
class Timing:
    """How long a file takes for ``batch`` images: the median and the quartiles (``low``, ``high``)
    over so many ``turns``, in milliseconds. ``speedup`` is how many times faster than the dense
    network's file it is: the median of the ratios within each turn, and its 95 % interval."""

    file: str
    batch: int
    turns: int
    median_ms: float
    low_ms: float
    high_ms: float
    speedup: float
    low_speedup: float
    high_speedup: float

    @property
    def same(self) -> bool:
        """Whether noise explains that it is faster or slower."""
        within = self.low_speedup <= 1 <= self.high_speedup
        return within or abs(self.speedup - 1) < SAME


@dataclass(frozen=True)
class Latency:
    """All ``timings`` with so many ``threads``, and by encoding a verdict in words. ``reason`` says
    why timings are missing."""

    threads: int = THREADS
    timings: tuple[Timing, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def milliseconds(self, encoding: str, batch: int = 1) -> float | None:
        """The median for a batch; None if it was not timed."""
        found = (t.median_ms for t in self.timings if (t.file, t.batch) == (encoding, batch))
        return next(found, None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            **dataclasses.asdict(self),
            "timings": [dataclasses.asdict(timing) for timing in self.timings],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Latency:
        """What ``to_dict`` gave. Raises ``KeyError`` or ``TypeError`` if it is none."""
        return cls(
            threads=int(values["threads"]),
            timings=tuple(Timing(**timing) for timing in values["timings"]),
            verdicts=dict(values["verdicts"]),
            reason=str(values["reason"]),
        )


def measure(
    files: Mapping[str, Path],
    shape: Sequence[int],
    waiting: Callable[[], None] = lambda: None,
    batches: Sequence[int] = BATCHES,
) -> Latency:
    """Time ``files``, by encoding and ``REFERENCE``, on ``batches`` of inputs of ``shape``. What
    cannot be timed is missing, with a reason, and never an error. ``waiting`` is called now and
    then, and may raise to stop."""
    if os.environ.get(SWITCH) == "0":
        return Latency(reason=f"Timing is switched off ({SWITCH} is 0).")
    request = {
        "files": {name: str(Path(path).absolute()) for name, path in files.items()},
        "shape": list(shape),
        "batches": list(batches),
        "threads": THREADS,
    }
    try:
        answer = json.loads(_ask(json.dumps(request), waiting))
        seconds = {int(batch): times for batch, times in answer["seconds"].items()}
        return of_seconds(seconds, str(answer["reason"]))
    except subprocess.TimeoutExpired:
        return Latency(reason="Timing the files took too long.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Latency(reason="The process that times the files ended early.")


def of_seconds(seconds: Mapping[int, Mapping[str, Sequence[float]]], reason: str = "") -> Latency:
    """The figures of what was timed: ``seconds`` of each turn, by batch and file."""
    timings = []
    for batch, times in seconds.items():
        dense = times[REFERENCE]
        for name, own in times.items():
            low, median, high = _quartiles([1000 * each for each in own])
            slow, ratio, fast = _interval([a / b for a, b in zip(dense, own, strict=True)])
            timings.append(Timing(name, batch, len(own), median, low, high, ratio, slow, fast))
    names = dict.fromkeys(timing.file for timing in timings if timing.file != REFERENCE)
    verdicts = {name: verdict([t for t in timings if t.file == name]) for name in names}
    return Latency(timings=tuple(timings), verdicts=verdicts, reason=reason)


def verdict(timings: Sequence[Timing]) -> str:
    """``1.9 times faster at batch 1, no faster at batch 32 (within the noise)``"""
    if all(timing.same for timing in timings):
        return "no faster: within the noise"
    parts = []
    for timing in timings:
        if timing.same:
            parts.append(f"no faster at batch {timing.batch} (within the noise)")
        else:
            faster = timing.speedup > 1
            ratio = timing.speedup if faster else 1 / timing.speedup
            words = "faster" if faster else "slower"
            parts.append(f"{max(ratio, 1.1):.1f} times {words} at batch {timing.batch}")
    return ", ".join(parts)


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median between the limits of its 95 % interval, which are two of the ``values``: with too
    few of them, the least and the largest."""
    ordered, count = sorted(values), len(values)
    out, below = 0, 1  # how many are outside at either end; sum of the binomial coefficients
    while 2 * (below + math.comb(count, out + 1)) <= 0.05 * 2**count:
        out += 1
        below += math.comb(count, out)
    return ordered[out], statistics.median(values), ordered[count - 1 - out]


def _ask(request: str, waiting: Callable[[], None]) -> str:
    """What the process answers."""
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=with_package(),
    )
    ends = time.monotonic() + PATIENCE
    given: str | None = request
    try:
        while True:
            try:
                return process.communicate(given, timeout=POLL)[0]
            except subprocess.TimeoutExpired:
                given = None
                if time.monotonic() > ends:
                    raise
            waiting()
    finally:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()
