"""One loop for many runs, whoever computes them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import prospr_engine as pe
from prospr_engine.errors import Stopped
from prospr_engine.events import CellEnded, CellStarted, Event
from prospr_engine.jobs.local import LocalExecutor
from prospr_engine.sweeps.executor import UNEXPECTED, Ended, Message, Reported
from prospr_engine.sweeps.runner import Job, Runner, drive
from prospr_engine.sweeps.workspace import Workspace

GRID: dict[str, Any] = {
    "model": "mlp",
    "methods": ("snip", "random"),
    "sparsities": (0.5, 0.9),
    "seeds": (0, 1),
    "epochs": 1,
    "loading": pe.LoadingConfig(train_limit=100, test_limit=50),
}
OWN = ["seconds", "out"]
"""Columns that depend on the clock and the folder."""


class Backwards:
    """Computes nothing: every run takes its files from ``folder``, those started last first."""

    def __init__(self, folder: Path, slots: int):
        self.slots, self.folder = slots, folder
        self.busy: dict[str, Path] = {}
        self.most = 0
        self.closed = False
        self.failing: set[str] = set()

    def free(self) -> int:
        return self.slots - len(self.busy)

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        self.busy[id] = out
        self.most = max(self.most, len(self.busy))

    def cancel(self, id: str) -> None:
        raise AssertionError("nobody asked for it")

    def poll(self, timeout: float = 0.0) -> list[Message]:
        if not self.busy or (self.free() and self.most < self.slots):
            return []
        id, out = self.busy.popitem()
        if id in self.failing:
            return [Ended(id, "failed", "It broke.")]
        shutil.copytree(self.folder / out.name, out)
        event = {"event": "StageStarted", "stage": "data", "text": id}
        return [Reported(id, event), Ended(id, "done")]

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The sweep as this process computes it, and its folder."""
    out = tmp_path_factory.mktemp("runner") / "sweep"
    return pe.sweep(out=out, **GRID), out


def test_runs_that_end_out_of_order_give_the_same_table(computed, tmp_path):
    table, out = computed
    executor = Backwards(out / "cells", slots=3)
    events: list[Event] = []
    found = pe.sweep(out=tmp_path / "again", executor=executor, on_event=events.append, **GRID)
    assert executor.most == 3
    assert executor.closed
    assert found.drop(columns=OWN).equals(table.drop(columns=OWN))
    ended = [event.number for event in events if isinstance(event, CellEnded)]
    assert sorted(ended) == [*range(1, 9)]
    assert ended != sorted(ended)
    started = [event.number for event in events if isinstance(event, CellStarted)]
    assert started == sorted(started)


def test_a_run_that_fails_elsewhere_is_a_row_and_the_rest_goes_on(computed, tmp_path):
    _, out = computed
    executor = Backwards(out / "cells", slots=2)
    cell = pe.SweepConfig.of(**GRID).cells()[2]
    executor.failing = {cell.fingerprint}
    found = pe.sweep(out=tmp_path / "again", executor=executor, **GRID)
    failed = found[found["state"] == "failed"]
    assert [*failed["fingerprint"]] == [cell.fingerprint]
    assert [*failed["error"]] == ["It broke."]
    assert (found["state"] == "done").sum() == 7


def test_a_search_takes_all_seeds_of_a_sparsity_at_once(tmp_path):
    settings = {"model": "mlp", "most_bytes": 10_000_000, "seeds": (0, 1, 2), "epochs": 1,
                "most_probes": 2, "loading": GRID["loading"]}  # fmt: skip
    here = pe.search(out=tmp_path / "here", **settings)
    executor = Backwards(tmp_path / "here" / "cells", slots=3)
    there = pe.search(out=tmp_path / "there", executor=executor, **settings)
    assert executor.most == 3
    assert there.found == here.found
    plain = [(p.sparsity, p.met, p.value) for p in here.trail]
    assert [(p.sparsity, p.met, p.value) for p in there.trail] == plain


def test_a_child_process_finds_the_same(computed, tmp_path):
    table, _ = computed
    out = tmp_path / "processes"
    executor = LocalExecutor(Workspace(out / "cells", out / "shared"))
    small = {**GRID, "sparsities": (0.9,), "methods": ("snip",)}
    found = pe.sweep(out=out, executor=executor, **small)
    wanted = table[(table["sparsity"] == 0.9) & (table["method"] == "snip")]
    columns = ["fingerprint", "state", "kept_weights", "achieved_sparsity", "zipped_bytes"]
    assert [*found[columns[:4]].to_dict("records")] == wanted[columns[:4]].to_dict("records")
    assert executor.free() == 1


class Endless:
    """A source that always has another run."""

    over = False

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.started = 0

    def receive(self, message: Message) -> None:
        self.received.append(message)

    def unwanted(self) -> tuple[str, ...]:
        return ("a",)

    def settle(self) -> None:
        pass

    def next(self) -> Job:
        self.started += 1
        return Job(f"run {self.started}", {}, Path("nowhere"))


class Refusing(Backwards):
    """Cannot start anything."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), slots=1)
        self.cancelled: list[str] = []

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        raise RuntimeError("no room")

    def cancel(self, id: str) -> None:
        self.cancelled.append(id)


def test_a_run_that_cannot_be_started_has_failed(caplog):
    source, executor = Endless(), Refusing()
    Runner(source, executor).step(0.0)
    assert source.received == [Ended("run 1", "failed", UNEXPECTED)]
    assert executor.cancelled == ["a"]
    assert "could not be started" in caplog.text


def test_stopping_closes_the_executor():
    executor = Refusing()
    with pytest.raises(Stopped):
        drive(Endless(), executor, should_stop=lambda: True)
    assert executor.closed
