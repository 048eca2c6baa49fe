"""Studies as they live: a worker, its children, and whoever follows them or breaks them off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from engine.jobs.jobs_fakes import (
    CHILD,
    DIES,
    FINISHES,
    OBEYS,
    WORKER,
    end_workers,
    kill,
    look,
    pids,
)
from paths import ROOT
from waiting import PATIENCE, until

from prospr_engine.cli import store_runs
from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.errors import ConfigError, StoreError
from prospr_engine.events import CellEnded, CellStarted, Event, StageStarted
from prospr_engine.jobs import ensure_worker
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig
from prospr_engine.sweeps.table import columns

GRID = SweepConfig(seeds=(0, 1, 2))
WITHOUT_THE_SECOND = CHILD + (
    "if order['config']['seed'] == 1: os.kill(os.getpid(), 9)\n"
    "if order['config']['seed'] == 2: tell(end='failed', error='Too small.'); sys.exit()\n"
    "finish()"
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def compute(store: Store, config: Any, **more: Any) -> tuple[list[dict[str, Any]], list[Event]]:
    events: list[Event] = []
    rows = store_runs.compute_study(config, str(store.folder), "mine", events.append, **more)
    return rows, events


def states(store: Store, study: Study) -> list[str]:
    return [run.state for run in store.study_runs(study.id)]


def wait_for(store: Store, study: Study, *wanted: str) -> None:
    """As a page does: look, and see to it that there is a worker."""

    def seen() -> bool:
        ensure_worker(store.folder)
        return states(store, study) == list(wanted)

    until(seen)


def test_a_sweep_in_the_store_reads_like_one_that_is_computed_here(
    store: Store, children: Callable[[str], None]
):
    children(FINISHES)
    rows, events = compute(store, GRID)
    (study,) = store.studies()
    assert (study.name, study.owner, study.state) == ("mine", "", "done")
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert [row["run"] for row in rows] == [run.id for run in store.study_runs(study.id)]
    assert {(row["state"], row["accuracy"], row["dense_accuracy"]) for row in rows} == {
        ("done", 0.8, 0.9)
    }
    assert set(rows[0]) == {*columns(), "run"}
    assert json.dumps(rows)
    cells = [event for event in events if isinstance(event, CellStarted | CellEnded)]
    assert [(type(event), event.number, event.cells) for event in cells] == [
        (kind, number, 3) for number in (1, 2, 3) for kind in (CellStarted, CellEnded)
    ]
    output = [event.row for event in cells if isinstance(event, CellEnded)]
    assert output == rows
    for number in range(3):  # what a run tells comes between its begin and its end
        begin, end = (events.index(cell) for cell in cells[2 * number : 2 * number + 2])
        between = events[begin + 1 : end]
        assert [event.stage for event in between if isinstance(event, StageStarted)] == ["train"]


def test_known_results_are_reported_without_starting_a_run(
    store: Store, children: Callable[[str], None]
):
    children(FINISHES)
    compute(store, SweepConfig(seeds=(0, 2)))
    end_workers(store)
    children(DIES)
    rows, events = compute(store, GRID)
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    begun = [event.number for event in events if isinstance(event, CellStarted)]
    ended = {event.number: event.known for event in events if isinstance(event, CellEnded)}
    assert (begun, ended) == ([2], {1: True, 2: False, 3: True})


def test_a_cell_that_fails_fails_alone(store: Store, children: Callable[[str], None]):
    children(WITHOUT_THE_SECOND)
    rows, _ = compute(store, SweepConfig(seeds=(0, 1, 2, 3)))
    assert [row["state"] for row in rows] == ["done", "failed", "failed", "done"]
    assert "broke off unexpectedly" in rows[1]["error"]
    assert rows[2]["error"] == "Too small."
    assert len(pids(store)) == 1
    (study,) = store.studies()
    assert (study.state, study.counts["failed"]) == ("done", 2)


def test_a_search_goes_on_by_itself(store: Store, children: Callable[[str], None]):
    children(FINISHES)
    goal = SearchConfig(most_lost=0.2, seeds=(0, 1), most_probes=3)
    rows, events = compute(store, goal, guess=0.9)
    assert [row["seed"] for row in rows] == [0, 1] * (len(rows) // 2)
    assert rows[0]["sparsity"] == 0.9
    tried = [row["sparsity"] for row in rows[::2]]
    assert len(tried) == 3
    assert tried == sorted(tried)  # it always loses less
    ended = [(event.number, event.cells) for event in events if isinstance(event, CellEnded)]
    assert [number for number, _ in ended] == [1, 2, 3, 4, 5, 6]
    assert ended[-1] == (6, 6)


def test_an_impossible_study_is_not_started(store: Store):
    with pytest.raises(ConfigError, match="did you mean"):
        compute(store, SweepConfig(run=RunConfig(model="resnet21")))
    assert store.studies() == []


def test_a_study_that_is_deleted_is_not_waited_for(
    store: Store, children: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    children(OBEYS)

    def begun(event: Event) -> None:
        if isinstance(event, CellStarted):
            store.delete_study(store.studies()[0].id, "")

    with pytest.raises(StoreError, match="study was deleted"):
        store_runs.compute_study(GRID, str(store.folder), "", begun)


def test_a_sweep_waits_for_its_turn_and_says_so(store: Store, children: Callable[[str], None]):
    go = store.folder / "go"
    children(f"{CHILD}while not os.path.exists({str(go)!r}): time.sleep(0.01)\nfinish()")
    store.submit(RunConfig(seed=8))
    store.submit(RunConfig(seed=9))
    waits: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "queue":
            waits.append(event.text)
            go.touch()

    store_runs.compute_study(SweepConfig(seeds=(0,)), str(store.folder), "", hear)
    assert waits[0] == "Waiting: 2 runs ahead"


def test_ctrl_c_stops_the_sweep(store: Store):
    code = (
        "import signal, sys; from prospr_engine.cli import store_runs\n"
        "from prospr_engine.jobs import spawn\n"
        "from prospr_engine.sweeps.config import SweepConfig\n"
        f"spawn.COMMAND = (sys.executable, '-c', {WORKER.format(child=OBEYS)!r})\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "store_runs.compute_study(SweepConfig(seeds=(0, 1)), sys.argv[1], '', print)"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, str(store.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stdout
        assert any("StageStarted" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=PATIENCE)[1]
    (study,) = store.studies()
    assert (study.state, states(store, study)) == ("stopped", ["stopped"] * 2)


def test_a_worker_killed_in_the_midst_of_a_sweep_costs_nothing_that_was_done(
    store: Store, children: Callable[[str], None]
):
    again = store.folder / "again"
    # The second run is under way until its worker is killed, and ends with it.
    waits = f"if order['config']['seed'] == 1 and not os.path.exists({str(again)!r}):\n"
    children(f"{CHILD}{waits}    sys.stdin.readline(); sys.exit()\nfinish()")
    study = store.submit_study("sweep", SweepConfig(seeds=tuple(range(4))))
    wait_for(store, study, "done", "running", "queued", "queued")
    first, second, *_ = store.study_runs(study.id)
    until(lambda: store.events(second.id))
    again.touch()
    kill(pids(store)[-1])
    wait_for(store, study, *["done"] * 4)
    runs = store.study_runs(study.id)
    assert runs[0] == first
    assert [run.attempt for run in runs] == [1, 2, 1, 1]
    assert len(pids(store)) == 2


def test_a_sweep_is_stopped_and_goes_on_later(store: Store, children: Callable[[str], None]):
    children(CHILD + "tell(end='stopped') if sys.stdin.readline() else 0")
    study = store.submit_study("sweep", GRID, "alice")
    wait_for(store, study, "running", "queued", "queued")
    until(lambda: store.events(store.study_runs(study.id)[0].id))
    store.stop_study(study.id, "alice")
    stopped = store.study(study.id)
    assert stopped is not None
    assert stopped.state == "stopping"
    until(lambda: states(store, study) == ["stopped"] * 3)
    end_workers(store)
    children(FINISHES)
    store.resume_study(study.id, "alice")
    wait_for(store, study, *["done"] * 3)


def test_a_study_is_listed_stopped_and_deleted_by_the_start_of_its_id(
    store: Store, children: Callable[[str], None]
):
    children(OBEYS)
    study = store.submit_study("sweep", GRID, "visitor-secret", name="which?")
    single = store.submit(RunConfig(seed=5))
    folder = str(store.folder)
    assert [run["id"] for run in store_runs.all_runs(folder)] == [single.id]
    output = store_runs.stop(folder, study.id[:12])
    assert (output["kind"], output["state"], output["name"]) == ("sweep", "stopped", "which?")
    assert "secret" not in json.dumps(output)
    cell = store.study_runs(study.id)[0]
    assert store_runs.delete(folder, cell.id[:12])["kind"] == "run"
    assert len(store.study_runs(study.id)) == 2
    assert store_runs.delete(folder, study.id)["id"] == study.id
    assert store.studies() == []
    assert look(store, single.id)


def test_a_real_sweep_shares_what_its_runs_have_in_common(store: Store):
    loading = LoadingConfig(train_limit=100, test_limit=50)
    run = RunConfig(model="mlp", epochs=1, loading=loading)
    config = SweepConfig(run=run, methods=("magnitude",), sparsities=(0.5, 0.9))
    rows, _ = compute(store, config)
    assert [row["state"] for row in rows] == ["done"] * 2
    first, second = (store.files(row["run"]) for row in rows)
    assert first["dense.safetensors"].digest == second["dense.safetensors"].digest
    kinds = {path.name.split("-")[0] for path in store.workspace.cache.iterdir()}
    assert kinds == {"dense", "scores"}
    assert list(store.workspace.runs.iterdir()) == []
