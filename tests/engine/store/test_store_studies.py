"""What the store promises of sweeps and searches: many runs that answer one question."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import pytest

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, ResourceError, StoreError
from prospr_engine.store import schema
from prospr_engine.store.limits import Limits
from prospr_engine.store.queue import MOST_LOSSES
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study, trail
from prospr_engine.sweeps.bisection import next_sparsity
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

RESULT: dict[str, Any] = {
    **fakes.RESULT,
    "layers": [{"kept": 1, "total": 10}, {"kept": 2, "total": 20}],
    "onnx": {"bytes": 123, "zipped": 99, "path": "model.onnx"},
}
FIRST = ["f71078cd"]
GRID = SweepConfig(methods=("magnitude", "random"), sparsities=(0.5, 0.9), seeds=(0, 1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def sweep(*seeds: int, **run: Any) -> SweepConfig:
    return SweepConfig(run=RunConfig(**run), seeds=seeds)


def search(**goal: Any) -> SearchConfig:
    return SearchConfig(**{"most_lost": 0.05, **goal})


def finish(store: Store, run: Run, accuracy: float = 0.8) -> None:
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    result = {**RESULT, "accuracy": {"dense": 0.9, "pruned": accuracy}}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "model.onnx").write_bytes(run.id.encode())
    store.finish(run.id, "done", folder=folder)


def claim(store: Store) -> Run:
    run = store.claim("w")
    assert run is not None
    return run


def work_off(store: Store, accuracy: Callable[[RunConfig], float] = lambda _: 0.8) -> int:
    """Be the worker until nothing waits; how many runs it was given."""
    count = 0
    while run := store.claim("w"):
        finish(store, run, accuracy(run.config))
        count += 1
    return count


def look(store: Store, study: Study) -> Study:
    found = store.study(study.id)
    assert found is not None
    return found


def states(store: Store, study: Study) -> list[str]:
    return [run.state for run in store.study_runs(study.id)]


# Sweeps


def test_a_sweep_is_one_run_per_cell_in_their_order(store: Store):
    study = store.submit_study("sweep", GRID, "alice", name=" which\none? ")
    runs = store.study_runs(study.id)
    assert [run.config for run in runs] == list(GRID.cells())
    assert {(run.owner, run.study, run.state) for run in runs} == {("alice", study.id, "queued")}
    assert [run.ahead for run in runs] == list(range(8))
    assert (study.kind, study.owner, study.name) == ("sweep", "alice", "which one?")
    assert (study.config, study.cells, study.live, study.ended) == (GRID, 8, True, None)
    assert Store(store.folder).study(study.id) == study
    assert [claim(store).id for _ in runs] == [run.id for run in runs]


def test_how_far_a_study_is(store: Store):
    study = store.submit_study("sweep", GRID, "alice")
    finish(store, claim(store))
    store.finish(claim(store).id, "failed", "It broke.")
    claim(store)
    now = look(store, study)
    assert now.counts == {"queued": 5, "running": 1, "done": 1, "failed": 1, "stopped": 0}
    assert now.started is not None
    assert now.ended is None
    store.finish(store.study_runs(study.id)[2].id, "stopped")
    work_off(store)
    after = look(store, study)
    assert after.counts == {"queued": 0, "running": 0, "done": 6, "failed": 1, "stopped": 1}
    assert not after.live
    assert after.ended == max(run.ended or 0 for run in store.study_runs(study.id))


def test_how_a_study_stands_as_a_whole(store: Store):
    study = store.submit_study("sweep", sweep(0, 1, 2), "alice")
    seen = [look(store, study).state]
    claim(store)
    seen.append(look(store, study).state)
    store.stop_study(study.id, "alice")
    seen.append(look(store, study).state)
    store.finish(store.study_runs(study.id)[0].id, "stopped")
    seen.append(look(store, study).state)
    store.resume_study(study.id, "alice")
    for _ in range(3):
        store.finish(claim(store).id, "failed", "It broke.")
    seen.append(look(store, study).state)
    store.resume_study(study.id, "alice")
    finish(store, claim(store))
    seen.append(look(store, study).state)
    store.finish(claim(store).id, "failed", "It broke.")
    finish(store, claim(store))
    seen.append(look(store, study).state)
    assert seen == ["waiting", "running", "stopping", "stopped", "failed", "running", "done"]


def test_a_list_of_studies_shows_one_s_own_and_the_command_line_s(store: Store):
    ids = [
        store.submit_study("sweep", sweep(seed), owner).id
        for seed, owner in enumerate(["alice", "bob", ""])
    ]
    assert [study.id for study in store.studies("alice")] == [ids[2], ids[0]]
    assert [study.id for study in store.studies()] == ids[::-1]
    assert store.studies("alice")[0] == store.study(ids[2])
    assert store.study("nothing") is None
    assert store.study_runs("nothing") == []


def test_a_list_of_runs_leaves_cells_out_by_default(store: Store):
    study = store.submit_study("sweep", GRID, "alice")
    single = store.submit(RunConfig(seed=7), "alice")
    assert [run.id for run in store.runs("alice")] == [single.id]
    assert [run.id for run in store.runs(most=3)] == [single.id]
    assert [run.study for run in store.runs("alice", studies=True)] == [None] + [study.id] * 8
    assert len(store.runs(most=3, studies=True)) == 3


def test_what_is_known_is_adopted_at_once_and_is_still_a_row(store: Store):
    cells = GRID.cells()
    mine, theirs = store.submit(cells[0], "alice"), store.submit(cells[3], "bob")
    work_off(store)
    study = store.submit_study("sweep", GRID, "alice")
    runs = store.study_runs(study.id)
    assert [run.state for run in runs] == ["done"] + ["queued"] * 2 + ["done"] + ["queued"] * 4
    assert runs[0].id != mine.id
    assert store.files(runs[3].id) == store.files(theirs.id)
    store.delete(theirs.id, "bob")
    assert set(store.files(runs[3].id)) == {"model.onnx", "result.json"}  # still the study's
    again = store.submit_study("sweep", GRID, "bob")
    assert work_off(store) == 6  # once for both
    assert states(store, study) == states(store, again) == ["done"] * 8


def test_a_single_run_is_one_s_own_beside_the_cell_of_the_same_settings(store: Store):
    study = store.submit_study("sweep", sweep(1), "alice")
    single = store.submit(RunConfig(seed=1), "alice")
    assert single.study is None
    assert claim(store).id == single.id
    finish(store, single)
    assert store.claim("w") is None
    assert states(store, study) == ["done"]
    assert store.submit(RunConfig(seed=1), "alice").id == single.id
    store.delete_study(study.id, "alice")
    assert set(store.files(single.id)) == {"model.onnx", "result.json"}


def test_the_same_study_is_given_back_while_it_is_live(store: Store):
    study = store.submit_study("sweep", GRID, "alice")
    assert store.submit_study("sweep", GRID, "alice").id == study.id
    assert store.submit_study("sweep", GRID, "bob").id != study.id
    store.stop_study(study.id, "alice")
    again = store.submit_study("sweep", GRID, "alice")
    assert again.id != study.id
    work_off(store)
    over = store.submit_study("sweep", GRID, "alice")
    assert over.id != again.id
    assert over.counts["done"] == over.cells == 8


# The queue


def test_single_runs_come_before_those_of_studies(store: Store):
    study = store.submit_study("sweep", sweep(0, 1, 2), "alice")
    first = claim(store)
    single = store.submit(RunConfig(seed=9), "bob")
    assert single.ahead == 1  # what runs already
    assert [run.ahead for run in store.study_runs(study.id)] == [0, 2, 3]
    assert claim(store).id == single.id
    assert first.config.seed == 0
    assert claim(store).config.seed == 1


def test_owners_take_turns_and_each_keeps_their_order(store: Store):
    limited = Store(store.folder, Limits(most_studies_per_visitor=2))
    limited.submit_study("sweep", sweep(0, 1, 2), "alice")
    limited.submit_study("sweep", sweep(3, 4), "alice")
    limited.submit_study("sweep", sweep(10, 11), "bob")
    limited.submit_study("sweep", sweep(20), "carol")
    order = [claim(store).config.seed for _ in range(8)]
    assert order == [0, 10, 20, 1, 11, 2, 3, 4]


def test_who_waits_longest_is_next_whenever_they_came(store: Store):
    store.submit_study("sweep", sweep(0, 1, 2, 3), "alice")
    assert [claim(store).config.seed for _ in range(2)] == [0, 1]
    store.submit_study("sweep", sweep(10, 11), "bob")
    assert [claim(store).config.seed for _ in range(4)] == [10, 2, 11, 3]


@pytest.mark.parametrize("seed", range(5))
def test_ahead_is_what_really_comes_before(store: Store, seed: int):
    chance = random.Random(seed)
    relaxed = Store(store.folder, Limits(most_studies_per_visitor=9, most_queued_per_visitor=9))
    fresh = iter(range(1000))
    for _ in range(12):
        owner = chance.choice(["alice", "bob", ""])
        if chance.random() < 0.5:
            relaxed.submit(RunConfig(seed=next(fresh)), owner)
        else:
            seeds = [next(fresh) for _ in range(chance.randint(1, 4))]
            relaxed.submit_study("sweep", sweep(*seeds), owner)
        if chance.random() < 0.4 and (run := store.claim("w")):
            store.finish(run.id, "stopped")
    claim(store)
    ahead = {run.id: run.ahead for run in store.runs(studies=True) if run.state == "queued"}
    assert sorted(ahead.values()) == list(range(1, len(ahead) + 1))
    for place in range(1, len(ahead) + 1):
        run = claim(store)
        # Of several owners the one who waited longest is next, which is told in advance too.
        assert ahead[run.id] == place


def test_two_workers_share_a_study(store: Store):
    study = store.submit_study("sweep", sweep(*range(12)))
    claimed: list[str] = []

    def work(name: str) -> None:
        while run := store.claim(name):
            claimed.append(run.id)

    workers = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(claimed) == sorted(run.id for run in store.study_runs(study.id))


def test_a_lost_worker_s_cell_begins_again_at_its_place(store: Store):
    study = store.submit_study("sweep", sweep(0, 1, 2))
    finish(store, claim(store))
    lost = claim(store)
    for _ in range(MOST_LOSSES - 1):
        store.recover()
        assert claim(store).id == lost.id
    store.recover()
    assert states(store, study) == ["done", "failed", "queued"]
    assert work_off(store) == 1


# Stopping and going on


def test_a_study_is_stopped_and_goes_on_where_it_stopped(store: Store):
    study = store.submit_study("sweep", sweep(*range(4)), "alice")
    finish(store, claim(store))
    running = claim(store)
    store.stop_study(study.id, "alice")
    assert states(store, study) == ["done", "running", "stopped", "stopped"]
    assert store.beat(running.id, "w") == "stop"
    with pytest.raises(StoreError, match="still stopping"):
        store.resume_study(study.id, "alice")
    store.finish(running.id, "stopped")
    assert look(store, study).stopped
    assert store.claim("w") is None
    store.resume_study(study.id, "alice")
    assert not look(store, study).stopped
    runs = store.study_runs(study.id)
    assert [run.state for run in runs] == ["done"] + ["queued"] * 3
    assert [run.attempt for run in runs] == [1, 2, 2, 2]
    assert {(run.started, run.ended, run.stopping) for run in runs[1:]} == {(None, None, False)}
    assert work_off(store) == 3


def test_going_on_tries_again_what_failed(store: Store):
    study = store.submit_study("sweep", sweep(0, 1), "alice")
    broken = claim(store)
    store.record(broken.id, {"event": "Pruned"})
    for _ in range(MOST_LOSSES - 1):
        store.recover()
        claim(store)
    store.recover()
    assert states(store, study) == ["failed", "queued"]
    work_off(store)
    store.resume_study(study.id, "alice")
    (run, _) = store.study_runs(study.id)
    assert (run.state, run.error, store.events(run.id)) == ("queued", None, [])
    assert claim(store).id == run.id
    store.recover()  # a loss of its new life: it is the first
    assert states(store, study) == ["queued", "done"]


def test_what_is_over_is_not_stopped_and_nothing_is_resumed_in_vain(store: Store):
    study = store.submit_study("sweep", sweep(0), "alice")
    work_off(store)
    done = look(store, study)
    store.stop_study(study.id, "alice")
    store.resume_study(study.id, "alice")
    assert look(store, study) == done


def test_deleting_a_study_forgets_its_runs_and_files(store: Store):
    study = store.submit_study("sweep", sweep(0, 1, 2), "alice")
    finish(store, claim(store))
    running = claim(store)
    store.delete_study(study.id, "alice")
    assert store.study(study.id) is None
    assert store.runs(studies=True) == []
    assert store.beat(running.id, "w") == "gone"
    assert not [path for path in store.artifacts.folder.rglob("*") if path.is_file()]


def test_deleting_a_cell_leaves_the_rest(store: Store):
    study = store.submit_study("sweep", sweep(0, 1), "alice")
    first, second = store.study_runs(study.id)
    store.delete(first.id, "alice")
    assert [run.id for run in store.study_runs(study.id)] == [second.id]
    assert look(store, study).cells == 1
    store.delete(second.id, "alice")
    assert store.study(study.id) is None


@pytest.mark.parametrize("change", ["stop_study", "resume_study", "delete_study", "rename_study"])
def test_only_its_owner_changes_a_study(store: Store, change: str):
    study = store.submit_study("sweep", sweep(0), "alice")
    store.stop_study(study.id, "alice")
    study = look(store, study)
    more = ["new"] if change == "rename_study" else []
    with pytest.raises(StoreError, match="This sweep belongs to someone else"):
        getattr(store, change)(study.id, "bob", *more)
    assert look(store, study) == study
    with pytest.raises(StoreError, match="no longer exists"):
        getattr(store, change)("f" * 32, "bob", *more)
    printed = store.submit_study("search", search(), "")
    with pytest.raises(StoreError, match="This search was started on the command line"):
        getattr(store, change)(printed.id, "bob", *more)
    if change != "stop_study":
        getattr(store, change)(study.id, "alice", *more)
        assert store.study(study.id) != study


# Limits


def test_a_study_has_only_so_many_runs(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SweepConfig, "cells", lambda self: pytest.fail("the runs were made"))
    small = Store(store.folder, Limits(most_cells=7))
    with pytest.raises(ResourceError, match="would be 8 runs; the limit is 7"):
        small.submit_study("sweep", GRID)
    with pytest.raises(ResourceError, match="would be 8 runs"):
        small.submit_study("search", search())
    assert store.studies() == []
    assert store.runs(studies=True) == []
    assert Limits.from_environment({"PROSPR_MOST_CELLS": "9"}).most_cells == 9


def test_a_visitor_has_one_live_study(store: Store):
    first = store.submit_study("sweep", sweep(0), "alice")
    with pytest.raises(ResourceError, match="You already have a sweep or search in progress"):
        store.submit_study("sweep", sweep(1), "alice")
    assert len(store.studies()) == 1
    store.submit_study("sweep", sweep(1), "bob")
    for seed in (2, 3):
        store.submit_study("sweep", sweep(seed), "")  # the command line has no such limit
    store.stop_study(first.id, "alice")
    store.submit_study("sweep", sweep(4), "alice")
    with pytest.raises(ResourceError, match="already have a sweep or search"):
        store.resume_study(first.id, "alice")
    assert states(store, first) == ["stopped"]


def test_a_study_whose_result_is_known_is_always_taken(store: Store):
    store.submit_study("sweep", sweep(0), "bob")
    work_off(store)
    store.submit_study("sweep", sweep(1), "alice")
    assert store.submit_study("sweep", sweep(0), "alice").counts["done"] == 1


def test_runs_of_studies_do_not_count_as_waiting_runs(tmp_path: Path):
    store = Store(tmp_path, Limits(most_queued=1, most_queued_per_visitor=1))
    store.submit_study("sweep", GRID, "alice")
    store.submit(RunConfig(seed=9), "alice")
    with pytest.raises(ResourceError, match="You already have 1 run waiting or in progress"):
        store.submit(RunConfig(seed=10), "alice")


def test_studies_go_with_the_last_of_their_runs(tmp_path: Path):
    store = Store(tmp_path, Limits(keep_days=2))
    study = store.submit_study("sweep", sweep(0, 1))
    work_off(store)
    first, second = store.study_runs(study.id)
    old = time.time() - 3 * 86400
    for run, left in ((first, 1), (second, 0)):
        with schema.connect(store.database) as c:
            c.execute("UPDATE runs SET ended = ? WHERE id = ?", (old, run.id))
        store.sweep()
        assert len(store.study_runs(study.id)) == left
    assert store.studies() == []


# Searches


def falling(config: RunConfig) -> float:
    """Loses as many points as it has lost weights beyond 80 percent."""
    return 0.9 - max(0.0, config.sparsity - 0.8)


def test_a_search_tries_one_sparsity_after_the_other(store: Store):
    config = search(seeds=(0, 1), highest=0.99)
    study = store.submit_study("search", config, "alice")
    tried = []
    while run := store.claim("w"):
        runs = store.study_runs(study.id)
        assert [r.config for r in runs[-2:]] == list(config.cells(run.config.sparsity))
        # The next ones depend on both.
        assert sum(r.state in ("queued", "running") for r in runs) <= 2
        tried.append((run.config.sparsity, run.config.seed))
        finish(store, run, falling(run.config))
    assert [seed for _, seed in tried] == [0, 1] * (len(tried) // 2)
    runs = store.study_runs(study.id)
    probes = trail(config, runs)
    assert [probe.sparsity for probe in probes] == [sparsity for sparsity, _ in tried[::2]]
    assert [probe.runs for probe in probes[:1]] == [(runs[0].id, runs[1].id)]
    assert next_sparsity(config, probes) is None
    best = max(probe.sparsity for probe in probes if probe.met)
    assert 0.8 < best <= 0.85
    assert not look(store, study).live


def test_a_search_begins_at_its_guess_and_keeps_it(store: Store):
    config = search(most_lost=None, most_bytes=50)
    study = store.submit_study("search", config, guess=0.7)
    assert study.guess == 0.7
    (run,) = store.study_runs(study.id)
    assert run.config.sparsity == 0.7
    finish(store, claim(store))
    (_, second) = store.study_runs(study.id)
    expected = next_sparsity(config, trail(config, store.study_runs(study.id)[:1]), 0.7)
    assert second.config.sparsity == expected


def test_a_search_whose_results_are_all_known_is_done_at_once(store: Store):
    first = store.submit_study("search", search(), "alice")
    work_off(store, falling)
    again = store.submit_study("search", search(), "bob")
    assert not again.live
    assert again.counts["done"] == look(store, first).cells == again.cells > 2


def test_two_who_search_for_the_same_are_served_by_one_computation(store: Store):
    first = store.submit_study("search", search(), "alice")
    second = store.submit_study("search", search(), "bob")
    computed = work_off(store, falling)
    assert computed == look(store, first).counts["done"] == look(store, second).counts["done"] > 2


def test_a_probe_that_fails_is_none_that_meets_the_goal(store: Store):
    config = search()
    study = store.submit_study("search", config)
    store.finish(claim(store).id, "failed", "The loss is not a number.")
    runs = store.study_runs(study.id)
    assert [run.state for run in runs] == ["failed", "queued"]
    (probe,) = trail(config, runs)
    assert (probe.met, probe.value, probe.error) == (False, None, "The loss is not a number.")
    for _ in range(10):
        if run := store.claim("w"):
            store.finish(run.id, "failed", "Broken.")
    assert look(store, study).cells == 3  # it gives up


def test_a_run_that_is_lost_for_good_is_a_probe_that_failed(store: Store):
    study = store.submit_study("search", search())
    for _ in range(MOST_LOSSES):
        claim(store)
        store.recover()
    assert states(store, study) == ["failed", "queued"]


def test_a_search_that_is_stopped_tries_nothing_more_until_it_goes_on(store: Store):
    study = store.submit_study("search", search(), "alice")
    run = claim(store)
    store.stop_study(study.id, "alice")
    finish(store, run, falling(run.config))  # it was quicker
    assert states(store, study) == ["done"]
    assert look(store, study).stopped
    store.resume_study(study.id, "alice")
    assert states(store, study) == ["done", "queued"]
    store.stop_study(study.id, "alice")
    assert states(store, study) == ["done", "stopped"]
    store.resume_study(study.id, "alice")
    assert states(store, study) == ["done", "queued"]


def test_a_search_of_another_version_ends_without_harm(store: Store):
    study = store.submit_study("search", search())
    with schema.connect(store.database) as c:
        c.execute("UPDATE studies SET settings = ?", (json.dumps({"invented": 1}),))
    finish(store, claim(store))
    assert states(store, study) == ["done"]
    with pytest.raises(ConfigError, match="invented"):
        _ = look(store, study).config


def test_two_workers_do_not_begin_the_same_probe_twice(store: Store):
    study = store.submit_study("search", search(seeds=tuple(range(6)), most_probes=3))

    def work() -> None:
        while run := store.claim("w"):
            finish(store, run, falling(run.config))

    while look(store, study).live:
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    tried = [(run.config.sparsity, run.config.seed) for run in store.study_runs(study.id)]
    assert len(set(tried)) == len(tried) == 18


# Whatever happens in whatever order


@pytest.mark.parametrize("seed", range(8))
def test_a_study_never_loses_a_cell_and_never_does_one_twice(store: Store, seed: int):
    chance = random.Random(seed)
    goal = search(seeds=(0, 1), most_probes=4)
    ids = {
        "alice": store.submit_study("sweep", GRID, "alice").id,
        "bob": store.submit_study("search", goal, "bob").id,
    }
    for _ in range(80):
        owner = chance.choice(list(ids))
        running = [run for run in store.runs(studies=True) if run.state == "running"]
        done = chance.choice(
            ["claim", "claim", "done", "failed", "release", "recover", "stop", "on"]
        )
        if done == "claim":
            store.claim("w")
        elif done == "done" and running:
            finish(store, chance.choice(running))
        elif done == "failed" and running:
            store.finish(chance.choice(running).id, "failed", "It broke.")
        elif done == "release" and running:
            store.release(chance.choice(running).id)
        elif done == "recover":
            store.recover()
        elif done == "stop" and chance.random() < 0.3:
            store.stop_study(ids[owner], owner)
        elif done == "on":
            with contextlib.suppress(StoreError):
                store.resume_study(ids[owner], owner)
        _sound(store, ids, goal)
    for owner, id in ids.items():
        for run in store.runs(studies=True):
            if run.state == "running":
                store.release(run.id)
        store.resume_study(id, owner)
    work_off(store)
    assert {store.study(id).state for id in ids.values()} == {"done"}  # type: ignore[union-attr]
    assert next_sparsity(goal, trail(goal, store.study_runs(ids["bob"]))) is None


def _sound(store: Store, ids: dict[str, str], goal: SearchConfig) -> None:
    cells = [run.config for run in store.study_runs(ids["alice"])]
    assert cells == list(GRID.cells())
    tries = store.study_runs(ids["bob"])
    sparsities = list(dict.fromkeys(run.config.sparsity for run in tries))
    assert [run.config for run in tries] == [c for s in sparsities for c in goal.cells(s)]
    for study in store.studies():
        states = [run.state for run in store.study_runs(study.id)]
        assert {state: states.count(state) for state in study.counts} == study.counts  # type: ignore[arg-type]
    waiting = [run for run in store.runs(studies=True) if run.state == "queued"]
    running = sum(run.state == "running" for run in store.runs(studies=True))
    places = sorted(run.ahead for run in waiting)
    assert places == list(range(running, running + len(waiting)))


# Earlier records


def test_a_released_script_never_changes():
    digests = [hashlib.sha256(script.encode()).hexdigest()[:8] for script in schema.MIGRATIONS]
    assert digests[: len(FIRST)] == FIRST


def test_a_record_of_the_first_version_keeps_its_runs(tmp_path: Path):
    folder = tmp_path / "old"
    (folder / "artifacts" / "ab").mkdir(parents=True)
    (folder / "artifacts" / "ab" / ("ab" * 32)).write_bytes(b"model")
    settings = json.dumps(dataclasses.asdict(RunConfig(seed=3)))
    with sqlite3.connect(folder / "runs.sqlite3") as c:
        c.executescript("PRAGMA journal_mode = WAL; PRAGMA user_version = 1;")
        c.executescript(schema.MIGRATIONS[0])
        for id, state, summary in (("a" * 32, "done", '{"bytes": 5}'), ("b" * 32, "queued", None)):
            c.execute(
                "INSERT INTO runs (id, owner, name, settings, state, created, summary) "
                "VALUES (?, 'alice', 'mine', ?, ?, 1.5, ?)",
                (id, settings, state, summary),
            )
        c.execute("INSERT INTO events VALUES (?, 1, 1, 2.0, 'Pruned', NULL, ?)", ("a" * 32, "{}"))
        c.execute("INSERT INTO files VALUES (?, 'model.onnx', ?, 5)", ("a" * 32, "ab" * 32))
    c.close()
    store = Store(folder)
    waiting, done = store.runs("alice")
    assert (done.id, done.state, done.name, done.created) == ("a" * 32, "done", "mine", 1.5)
    assert (done.config, done.summary, done.bytes) == (RunConfig(seed=3), {"bytes": 5}, 5)
    assert (done.study, waiting.study) == (None, None)
    assert store.events(done.id) == [{"seq": 1, "time": 2.0}]
    assert store.files(done.id)["model.onnx"].path.read_bytes() == b"model"
    study = store.submit_study("sweep", sweep(0), "alice")
    assert [claim(store).id for _ in range(2)] == [
        waiting.id,
        *(run.id for run in store.study_runs(study.id)),
    ]
