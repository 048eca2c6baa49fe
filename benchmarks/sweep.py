"""What a sweep saves, and what it costs besides training.

    python -m benchmarks.sweep

Three tables. Five sparsities of a one-shot criterion and one sparsity: how often scores were
computed, and how long it took (a ResNet without training). A longer sweep: where its time goes (a
small network on images of 32×32 pixels; an epoch of CIFAR-10 would be thirty times as long as one
of these 1,400 images). The same cells as a sweep and as separate runs, alternating. All in one
process, on the CPU; the time of imports is printed but not counted.

Exits with 1 if five sparsities took more than one scoring, or if the overhead (everything but
training and scoring) was 5 % or more of the training.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

SPARSITIES = (0.8, 0.9, 0.95, 0.98, 0.99)
SCORED: dict[str, Any] = {"model": "resnet20", "data": "digits", "device": "cpu", "epochs": 0}
TRAINED: dict[str, Any] = {
    "model": "small_cnn",
    "data": "digits",
    "device": "cpu",
    "loading": {"image_size": 32},
}
ROUNDS = 3
LONG = 30
SHORT = 4
LIMIT = 0.05


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of a sweep; the wall seconds that its runs report; and how many of these
    were scoring and training."""

    wall: float
    processor: float
    runs: float
    scoring: float
    training: float
    scorings: int


class Clock:
    """Wall and CPU seconds since it was created; other load on the machine adds only to the
    former."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._processor


def swept(sparsities: Sequence[float], **settings: Any) -> Cost:
    """Run a sweep of ProsPr at these sparsities with one seed, and see where the time went."""
    import prospr_engine as pe
    from prospr_engine.pipeline import prune

    with (
        tempfile.TemporaryDirectory() as out,
        mock.patch.object(prune, "score", wraps=prune.score) as scored,
    ):
        clock = Clock()
        table = pe.sweep(**settings, sparsities=sparsities, out=out)
        wall, processor = clock.seconds()
        assert (table["state"] == "done").all(), table["error"].tolist()
        results = [json.loads(Path(run, "result.json").read_text()) for run in table["out"]]
    parts = [result["seconds_of"] for result in results]
    return Cost(
        wall=wall,
        processor=processor,
        runs=sum(result["seconds"] for result in results),
        scoring=sum(part["scoring"] for part in parts),
        training=sum(part["training_dense"] + part["training_pruned"] for part in parts),
        scorings=scored.call_count,
    )


def separate(sparsities: Sequence[float], **settings: Any) -> tuple[float, float]:
    """Wall and CPU seconds of the same runs, one by one."""
    import prospr_engine as pe

    config = pe.SweepConfig.of(**settings, sparsities=sparsities)
    clock = Clock()
    for cell in config.cells():
        with tempfile.TemporaryDirectory() as out:
            pe.run(cell, out=out)
    return clock.seconds()


def one_scoring() -> bool:
    """Check that five sparsities cost one scoring."""
    ones, fives = [], []
    for _ in range(ROUNDS):
        ones.append(swept(SPARSITIES[:1], **SCORED))
        fives.append(swept(SPARSITIES, **SCORED))
    one, five = (statistics.median(cost.scoring for cost in costs) for costs in (ones, fives))
    count = max(cost.scorings for cost in fives)
    print(f"\nScoring, median of {ROUNDS}{'times':>15}{'seconds':>10}{'ratio':>8}")
    print(f"  1 sparsity{max(cost.scorings for cost in ones):>24}{one:10.2f}")
    print(f"  5 sparsities{count:>22}{five:10.2f}{five / one:8.2f}", flush=True)
    return count == 1


def little_overhead() -> bool:
    """Check that everything but training and scoring is small, including the sweep's own part."""
    cost = swept(SPARSITIES[:2], **TRAINED, epochs=LONG)
    work = cost.scoring + cost.training
    print(f"\nA sweep of 2 sparsities, {LONG} epochs{'seconds':>16}{'of the training':>18}")
    for name, seconds in (
        ("training (dense once, pruned twice)", cost.training),
        ("scoring (once)", cost.scoring),
        ("the rest of its runs: data, test, export, verification", cost.runs - work),
        ("the sweep around them: table, reuse, events", cost.wall - cost.runs),
        ("everything but training and scoring", cost.wall - work),
    ):
        print(f"  {name:50}{seconds:8.1f}{seconds / cost.training:12.1%}")
    sys.stdout.flush()
    return cost.wall - work < LIMIT * cost.training


def time_saved() -> None:
    """Sweep and separate runs alternating, the second round in reverse order."""
    together, alone = [], []

    def sweep() -> None:
        cost = swept(SPARSITIES, **TRAINED, epochs=SHORT)
        together.append((cost.wall, cost.processor))

    def runs() -> None:
        alone.append(separate(SPARSITIES, **TRAINED, epochs=SHORT))

    for work in (sweep, runs, runs, sweep):
        work()
    print(f"\n5 sparsities, {SHORT} epochs, twice{'seconds':>12}{'CPU seconds':>20}")
    sums = [[sum(column) for column in zip(*costs, strict=True)] for costs in (together, alone)]
    for name, (wall, processor) in zip(("as a sweep", "as separate runs"), sums, strict=True):
        print(f"  {name:20}{wall:19.1f}{processor:20.1f}")
    wall, processor = (separately / swept for swept, separately in zip(*sums, strict=True))
    print(f"Separate runs take {wall:.2f} times as long and {processor:.2f} times the CPU time.")


def main() -> int:
    """Print the tables; returns 1 if a claim does not hold."""
    started = time.perf_counter()
    import torch

    import prospr_engine.pipeline.run
    import prospr_engine.sweeps.run  # noqa: F401

    threads = max(1, (os.cpu_count() or 2) - 1)
    torch.set_num_threads(threads)
    print(f"ProsPr on digits, {threads} threads; imports took", end=" ")
    print(f"{time.perf_counter() - started:.1f} s")
    swept(SPARSITIES[:1], **SCORED)  # so that no table includes the imports of the first run
    claims = {"one scoring": one_scoring(), "little overhead": little_overhead()}
    time_saved()
    for claim, holds in claims.items():
        print(f"{claim}: {'holds' if holds else 'DOES NOT HOLD'}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
