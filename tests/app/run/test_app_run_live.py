"""The page of a run without a result: nowhere, in the queue, at work, or ended before its time."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from app_fakes import RESULT, finished, found, keys, linked, running, words
from app_run import PRUNED, SPACE, finished_folder, opened, progress

from app import session
from app.run.live import Drawn
from app.services import runs
from prospr_engine.config import RunConfig
from prospr_engine.data.streamed import unreadable
from prospr_engine.store.store import Store

# No run


@pytest.mark.parametrize(
    ("id", "words_"),
    [(None, "No run selected"), ("0123", "There is no such run"), ("../x", "no such run")],
)
def test_without_a_run_the_page_says_what_to_do_next(store: Store, id: str | None, words_: str):
    at = opened(id)
    assert words_ in words(at)
    assert {"Start a new run", "See your runs"} <= set(linked(at))


def test_a_store_that_cannot_be_read_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch):
    id = running(store).id
    store.database.write_bytes(b"not a database at all, and long enough to look like one" * 99)
    for rest in ("-wal", "-shm"):
        Path(f"{store.database}{rest}").unlink(missing_ok=True)
    at = opened(id)
    (error,) = at.error
    assert "record of runs is damaged" in error.value


# Queued


def test_a_queued_run_tells_its_place_and_that_the_page_may_be_closed(store: Store):
    running(store, "bob", RunConfig(seed=1))
    store.submit(RunConfig(seed=2), "carol")
    at = opened(store.submit(RunConfig(), "alice"))
    assert at.header[0].value == "Waiting: 2 runs are ahead of yours"
    assert "You can close this page" in words(at)
    assert "What is pruning before training?" in linked(at)


def test_stop_takes_a_queued_run_out_of_the_queue(store: Store):
    running(store, "bob", RunConfig(seed=1))
    id = store.submit(RunConfig(), "alice").id
    at = opened(id)
    at.button(key="stop").click().run()
    assert found(store, id).state == "stopped"
    assert "The run was stopped" in words(at)


def test_a_run_that_lost_its_worker_starts_again(store: Store):
    run = running(store)
    store.record(run.id, {"event": "StageStarted", "stage": "data", "text": "Reading digits"})
    store.recover()
    at = opened(run.id)
    assert at.header[0].value == "Starting again"
    store.claim("test")
    at.run()
    assert at.header[0].value == "Running again from the start"
    assert progress(at) == "Starting the engine"


# Running


def test_a_running_run_tells_steps_epochs_and_what_was_kept(store: Store):
    run = running(store)
    at = opened(run.id)
    assert "Starting the engine" in progress(at)
    text = "Scoring the weights with ProsPr"
    store.record(run.id, {"event": "StageStarted", "stage": "score", "text": text})
    step = "Looking back through step 2 of 3"
    store.record(run.id, {"event": "Progress", "stage": "score", "done": 5, "total": 8,
                          "unit": "steps", "text": step})  # fmt: skip
    at.run()
    assert f"{step} (5 of 8 steps)" in progress(at)
    assert "**Score**" in words(at)
    store.record(run.id, PRUNED)
    store.record(run.id, {"event": "StageStarted", "stage": "train", "text": "Training"})
    at.run()
    assert "Weights kept" in words(at)
    assert "**1,602** of 5,392 weights are kept" in words(at)
    assert "lost all of its 640 weights" in words(at)
    for epoch in RESULT["history"][:2]:
        store.record(run.id, {"event": "EpochEnded", **epoch})
    store.record(run.id, {"event": "Progress", "stage": "train", "done": 45, "total": 120,
                          "unit": "batches", "text": ""})  # fmt: skip
    at.run()
    assert not at.exception
    assert "Training: epoch 2 of 3" in progress(at)
    store.record(run.id, {"event": "EpochEnded", **RESULT["history"][2], "network": "dense"})
    at.run()
    latest = f"Accuracy after epoch 1 of 3: **dense** 91.0{SPACE}%, **pruned** 91.0{SPACE}%."
    assert latest in words(at)


def test_time_left_is_reported_by_earlier_runs_and_then_by_the_training(store: Store):
    finished(store, config=RunConfig(seed=5), seconds=50_000.0)  # a slow machine
    run = running(store)
    store.record(run.id, {"event": "StageStarted", "stage": "data", "text": "Reading digits"})
    at = opened(run.id)
    assert f"about 14{SPACE}h left" in words(at)
    store.record(run.id, {"event": "StageStarted", "stage": "train", "text": "Training"})
    store.record(run.id, {"event": "Progress", "stage": "train", "done": 119, "total": 120,
                          "unit": "batches", "text": ""})  # fmt: skip
    at.run()
    assert "a few seconds left" in words(at)


def test_every_look_reads_only_what_is_new(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = running(store)
    read = []
    monkeypatch.setattr(
        runs, "events", lambda run, after=0: read.append(after) or store.events(run.id, after)
    )
    store.record(run.id, {"event": "StageStarted", "stage": "data", "text": "Reading digits"})
    at = opened(run.id)
    store.record(run.id, PRUNED)
    at.run()
    assert read[0] == 0
    assert read[-1] == 2
    assert 0 not in read[1:]


def test_the_page_is_drawn_again_when_there_is_news_and_not_too_often():
    drawn = Drawn("running", 1, False, True, 10, 1000.0)
    for change in ({"state": "queued"}, {"attempt": 2}, {"stopping": True}, {"pruned": 2}):
        assert drawn.stale(replace(drawn, **change, time=1000.1), started=990)
    assert not drawn.stale(replace(drawn, time=2000), started=990)
    assert not drawn.stale(replace(drawn, epochs=12, time=1001), started=990)
    assert drawn.stale(replace(drawn, epochs=12, time=1003), started=990)
    assert not drawn.stale(replace(drawn, epochs=12, time=1003), started=700)
    assert drawn.stale(replace(drawn, epochs=12, time=1012), started=700)
    # The first point of a curve does not wait.
    assert replace(drawn, epochs=0).stale(replace(drawn, epochs=1, time=1000.1), started=700)


def test_stop_is_seen_at_once(store: Store):
    run = running(store)
    at = opened(run.id)
    at.button(key="stop").click().run()
    assert found(store, run.id).stopping
    assert at.header[0].value == "Stopping"
    assert "the run goes on" not in words(at)
    assert at.button(key="stop").disabled


def test_others_watch_and_cannot_stop(store: Store):
    run = running(store, "bob")
    at = opened(run.id, "alice")
    assert "stop" not in keys(at)
    assert "Only its owner can stop it." in words(at)


def test_a_page_that_was_live_becomes_the_result(store: Store):
    run = running(store)
    at = opened(run.id)
    assert at.header[0].value == "Running"
    finished_folder(store, run)
    at.run()
    assert "1.1 points of accuracy lost" in at.title[0].value
    assert not at.header


# Ended without a result


def test_a_stopped_run_keeps_what_was_known_and_gives_its_settings_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    given: list[RunConfig] = []
    monkeypatch.setattr(session, "prefill", given.append)
    run = running(store, config=RunConfig(sparsity=0.5))
    store.record(run.id, PRUNED)
    store.finish(run.id, "stopped")
    at = opened(run.id)
    assert "The run was stopped" in words(at)
    assert "Weights kept" in words(at)
    at.button(key="again").click().run()
    assert not at.exception
    assert given == [run.config]


def test_a_run_that_failed_on_a_broken_image_starts_again_without_it(store: Store, monkeypatch):
    run = running(store)
    store.finish(run.id, "failed", str(unreadable("The image a/1.png of data.zip", "cut off")))
    at = opened(run.id)
    started = []
    monkeypatch.setattr(runs, "start", lambda config, visitor: started.append(config) or run)
    at.button(key="primary-skip-broken").click().run()
    (config,) = started
    assert config.loading.skip_broken
    assert config.loading == replace(run.config.loading, skip_broken=True)


def test_a_failed_run_says_why_in_the_engines_words(store: Store):
    run = running(store)
    store.finish(run.id, "failed", "The loss is not a number any more; lower the learning rate.")
    at = opened(run.id)
    assert [e.value for e in at.error] == [
        "The loss is not a number any more; lower the learning rate."
    ]
    assert "again" in keys(at)


def test_settings_of_another_version_are_no_trace(store: Store):
    run = finished(store)
    with sqlite3.connect(store.database) as c:
        c.execute('UPDATE runs SET settings = \'{"model": "mlp", "flavour": 3}\'')
    c.close()
    at = opened(run.id)
    assert "1.1 points of accuracy lost" in at.title[0].value
    assert "Settings of another version" in words(at)
    assert "again" not in keys(at)
