"""The page of a run in every state it can be in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_fakes import LAYERS, RESULT, finished, found, new, running, words
from streamlit.testing.v1 import AppTest

from app import links, state
from app.components.downloads import reader
from app.components.live import Drawn
from app.services import runs
from prospr_engine.config import RunConfig
from prospr_engine.errors import StoreError
from prospr_engine.store.run import Run
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"
PRUNED = {"event": "Pruned", "sparsity": RESULT["sparsity"], "layers": LAYERS,
          "findings": RESULT["findings"], "trust": RESULT["trust"]}  # fmt: skip


def opened(run: Run | str | None, visitor: str = "alice") -> AppTest:
    """The page of a run, as its address opens it."""
    at = new(visitor)
    at.switch_page(links.RUN)
    if run is not None:
        at.query_params[links.ID] = run if isinstance(run, str) else run.id
    at.run()
    assert not at.exception
    return at


def keys(at: AppTest) -> set[str]:
    return {button.key for button in at.button}


def linked(at: AppTest) -> dict[str, str]:
    """The parameters that the links on the page carry, by their words."""
    return {link.proto.label: link.proto.query_string for link in at.get("page_link")}


def progress(at: AppTest) -> str:
    return "\n".join(bar.proto.text for bar in at.get("progress")).replace("\\", "")


# No run


@pytest.mark.parametrize(
    ("id", "words_"),
    [(None, "No run is chosen"), ("0123", "There is no such run"), ("../x", "no such run")],
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
    assert "You may close this page" in words(at)
    assert "What pruning before training is" in linked(at)


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
    assert at.header[0].value == "Running, from the start again"
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
    assert "What pruning kept" in words(at)
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


def test_time_left_is_told_by_earlier_runs_and_then_by_the_training(store: Store):
    finished(store, config=RunConfig(seed=5), seconds=50_000.0)  # a slow machine
    run = running(store)
    store.record(run.id, {"event": "StageStarted", "stage": "data", "text": "Reading digits"})
    at = opened(run.id)
    assert "about 14 h left" in words(at)
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
    drawn = Drawn("running", 1, False, 1, 10, 1000.0)
    for change in ({"state": "queued"}, {"attempt": 2}, {"stopping": True}, {"pruned": 2}):
        assert drawn.stale(replace(drawn, **change, time=1000.1), begun=990)
    assert not drawn.stale(replace(drawn, time=2000), begun=990)
    assert not drawn.stale(replace(drawn, epochs=12, time=1001), begun=990)
    assert drawn.stale(replace(drawn, epochs=12, time=1003), begun=990)
    assert not drawn.stale(replace(drawn, epochs=12, time=1003), begun=700)
    assert drawn.stale(replace(drawn, epochs=12, time=1012), begun=700)
    # The first point of a curve does not wait.
    assert replace(drawn, epochs=0).stale(replace(drawn, epochs=1, time=1000.1), begun=700)


def test_stop_is_seen_at_once(store: Store):
    run = running(store)
    at = opened(run.id)
    at.button(key="stop").click().run()
    assert found(store, run.id).stopping
    assert at.header[0].value == "Stopping"
    assert at.button(key="stop").disabled


def test_others_watch_and_cannot_stop(store: Store):
    run = running(store, "bob")
    at = opened(run.id, "alice")
    assert "stop" not in keys(at)
    assert "Only its owner can stop it." in words(at)


# Ended without a result


def test_a_stopped_run_keeps_what_was_known_and_gives_its_settings_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    given: list[RunConfig] = []
    monkeypatch.setattr(state, "prefill", given.append)
    run = running(store, config=RunConfig(sparsity=0.5))
    store.record(run.id, PRUNED)
    store.finish(run.id, "stopped")
    at = opened(run.id)
    assert "The run was stopped" in words(at)
    assert "What pruning kept" in words(at)
    at.button(key="again").click().run()
    assert not at.exception
    assert given == [run.config]


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
    import sqlite3

    with sqlite3.connect(store.database) as c:
        c.execute('UPDATE runs SET settings = \'{"model": "mlp", "flavour": 3}\'')
    c.close()
    at = opened(run.id)
    assert "1.1 points of accuracy lost" in at.title[0].value
    assert "Settings of another version" in words(at)
    assert "again" not in keys(at)


# Done


def test_the_result_gives_the_answer_first(store: Store):
    at = opened(finished(store))
    assert at.title[0].value == f"90{SPACE}% of the weights gone, 1.1 points of accuracy lost"
    written = words(at)
    assert "359 test images" in written
    assert f"Small CNN · Digits · ProsPr · 90{SPACE}% removed · 3 epochs · seed 0" in written
    assert "Your run" in written
    assert "Layer 3 lost all of its 640 weights" in written  # as the chart calls it
    assert written.index("lost all of its") < written.index("can be trusted")
    assert [m.value for m in at.metric][:1] == ["1,602"]
    change = at.metric[1].proto
    assert change.delta == "\N{MINUS SIGN}1.1 points"
    assert change.direction == change.MetricDirection.DOWN


def test_a_page_that_was_live_becomes_the_result(store: Store):
    run = running(store)
    at = opened(run.id)
    assert at.header[0].value == "Running"
    finished_folder(store, run)
    at.run()
    assert "1.1 points of accuracy lost" in at.title[0].value
    assert not at.header


def test_downloads_say_what_they_are_of_and_never_collide(store: Store):
    first, second = (finished(store, config=RunConfig(seed=s)) for s in (1, 2))
    names = [
        {button.key: button.proto.id for button in opened(run).get("download_button")}
        for run in (first, second)
    ]
    assert set(names[0]) == {
        "primary-onnx", "download-masks.safetensors", "download-config.json",
        "download-result.json", "download-layers.csv", "download-training.csv",
    }  # fmt: skip
    label = opened(first).get("download_button")[0].proto.label
    assert label == "Download model.onnx (254 kB)"


def test_files_that_are_gone_are_not_offered(store: Store):
    run = finished(store)
    assert not any(button.proto.disabled for button in opened(run).get("download_button"))
    path = store.files(run.id)["model.onnx"].path
    take = reader(path)
    assert take() == b"the network"
    path.unlink()
    with pytest.raises(StoreError, match="not on the server any more"):
        take()
    at = opened(run)
    (gone,) = (b for b in at.get("download_button") if b.proto.disabled)
    assert gone.proto.label.startswith("Download model.onnx")
    assert "not on the server any more" in at.warning[0].value


def test_a_result_that_is_gone_is_told(store: Store):
    run = finished(store)
    store.files(run.id)["result.json"].path.unlink()
    at = opened(run)
    assert "not on the server any more" in at.error[0].value
    assert "again" in keys(at)


def test_links_carry_the_run(store: Store):
    run = finished(store)
    links_ = linked(opened(run))
    assert links_["Try it"] == f"id={run.id}"
    assert links_["Compare with another run"] == f"a={run.id}"


def test_the_owner_names_the_run(store: Store):
    run = finished(store)
    at = opened(run)
    at.text_input(key=f"name-{run.id}").set_value("My *first*")
    at.button(key="save-name").click().run()
    assert found(store, run.id).name == "My *first*"
    assert r"**My \*first\***" in words(at)


def test_the_owner_deletes_the_run(store: Store):
    run = finished(store)
    at = opened(run)
    at.button(key="delete").click().run()
    assert not at.exception
    assert store.get(run.id) is None


@pytest.mark.parametrize("visitor", ["bob", ""])
def test_others_can_look_and_take_but_not_change(store: Store, visitor: str):
    run = finished(store, owner="alice" if visitor else "")
    at = opened(run, visitor or "alice")
    assert not {"save-name", "delete"} & keys(at)
    assert len(at.get("download_button")) == 6
    owner = "Somebody else's run" if visitor else "Started on the command line"
    assert owner in words(at)


def test_the_trust_in_the_ranking_is_never_folded_away(store: Store, result: dict[str, Any]):
    many = [{"level": "warning", "text": f"Finding {i}.", "layer": None} for i in range(9)]
    verdict = {"level": "warning", "text": "Not to be trusted.", "layer": None}
    trust = {"trusted": False, "verdict": "Not to be trusted."}
    at = opened(finished(store, trust=trust, findings=[*many, verdict]))
    (folded,) = (e for e in at.expander if "more" in e.label)
    assert folded.label == "3 more"
    assert "trusted" not in "".join(m.value for m in folded.markdown)
    assert words(at).count(":orange[:material/warning:] Not to be trusted.") == 1


def test_a_failed_proof_is_not_called_proven(store: Store, result: dict[str, Any]):
    onnx = result["onnx"]
    onnx["ok"] = onnx["checks"][0]["ok"] = False
    onnx["checks"][0]["text"] = "The ONNX checker finds a fault: odd."
    at = opened(finished(store, onnx=onnx))
    assert "The file failed its proof" in words(at)
    assert r":red[:material/dangerous:] The ONNX checker finds a fault\: odd." in words(at)


def test_the_same_run_from_the_command_line(store: Store):
    code = [block.value for block in opened(finished(store)).code]
    assert code[0].startswith(
        "OMP_NUM_THREADS=1 .venv/bin/python -m prospr_engine run --model small_cnn"
    )
    assert "pe.RunConfig(" in code[1]


def test_an_upload_is_called_by_its_own_name(store: Store):
    token = f"upload:{'a' * 64}/cats and dogs.zip"
    at = opened(finished(store, config=RunConfig(data=token)))
    assert "cats and dogs.zip is the file that was uploaded" in words(at).replace("\\", "")
    assert "--data 'cats and dogs.zip'" in at.code[0].value
    assert "upload:" not in words(at).replace("\\", "") + at.code[0].value + at.code[1].value


def test_no_path_of_the_server_is_on_the_page(store: Store):
    at = opened(finished(store))
    assert str(store.folder) not in words(at)
    assert "/server/work" not in words(at)


def test_where_the_numbers_come_from(store: Store):
    written = words(opened(finished(store))).replace("\\", "")
    for fact in ("x86_64 (cpu, 1 thread)", "torch 2.11.0", "**Seed**: 0", "d" * 64):
        assert fact in written


def finished_folder(store: Store, run: Run) -> None:
    """The run is done, in the way of ``finished``."""
    import json

    folder = store.work(run.id)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "result.json").write_text(json.dumps(RESULT))
    store.finish(run.id, "done", folder=folder)
