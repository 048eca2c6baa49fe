"""Between a real store and an executor whose strings the test pulls."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from engine.jobs.jobs_fakes import PuppetExecutor, look, seeded, write_result

from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.jobs import dispatcher as module
from prospr_engine.jobs.dispatcher import Dispatcher
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store
from prospr_engine.sweeps.executor import UNEXPECTED


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", Limits(run_minutes=5))


@pytest.fixture
def executor() -> PuppetExecutor:
    return PuppetExecutor()


@pytest.fixture
def dispatcher(
    store: Store, executor: PuppetExecutor, monkeypatch: pytest.MonkeyPatch
) -> Dispatcher:
    monkeypatch.setattr(module, "BEAT", 0.0)
    return Dispatcher(store, executor, "me")


def test_runs_are_computed_in_the_order_in_which_they_came(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    first, second = store.submit(seeded(1)), store.submit(seeded(2))
    assert not dispatcher.busy
    dispatcher.step(0)
    assert executor.started == {first.id: store.workspace.run(first.id)}
    assert dispatcher.busy
    executor.tell(first.id, "StageStarted", stage="data", text="Reading")
    executor.end(first.id)
    dispatcher.step(0)
    run = look(store, first.id)
    assert (run.state, run.error) == ("done", None)
    assert sorted(store.files(first.id)) == ["model.onnx", "result.json"]
    assert [event["event"] for event in store.events(first.id)] == ["StageStarted"]
    assert not store.workspace.run(first.id).exists()
    assert list(executor.started) == [first.id, second.id]
    assert look(store, second.id).state == "running"


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_what_did_not_finish_leaves_no_files(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher, state: str
):
    run = store.submit(seeded(1))
    dispatcher.step(0)
    (store.workspace.run(run.id)).mkdir(parents=True)
    (store.workspace.run(run.id) / "scores.safetensors").write_bytes(b"x" * 1000)
    executor.end(run.id, state, "Why." if state == "failed" else None)
    dispatcher.step(0)
    after = look(store, run.id)
    assert after.state == state
    assert after.error == ("Why." if state == "failed" else None)
    assert not store.files(run.id)
    assert not store.workspace.run(run.id).exists()
    assert not dispatcher.busy


def test_the_error_of_a_run_does_not_name_folders_of_the_server(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    run = store.submit(seeded(1))
    dispatcher.step(0)
    path = store.workspace.run(run.id) / "model.onnx"
    executor.end(run.id, "failed", f"The disk is full: {path} could not be written.")
    dispatcher.step(0)
    assert look(store, run.id).error == "The disk is full: model.onnx could not be written."


def test_progress_that_moves_fast_is_written_down_slowly_and_never_late(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    written: list[tuple[str, int]] = []
    record = store.record

    def count(id: str, event: dict) -> None:
        written.append((event["event"], event.get("done", -1)))
        record(id, event)

    monkeypatch.setattr(store, "record", count)
    run = store.submit(seeded(1))
    dispatcher.step(0)
    monkeypatch.setattr(module, "PACE", 600.0)
    for done in range(5):
        executor.tell(run.id, "Progress", stage="train", done=done)
        dispatcher.step(0)
    assert written == [("Progress", 0)]
    monkeypatch.setattr(module, "PACE", 0.0)
    dispatcher.step(0)
    assert written[1:] == [("Progress", 4)]
    monkeypatch.setattr(module, "PACE", 600.0)
    for done in (5, 6):
        executor.tell(run.id, "Progress", stage="train", done=done)
    executor.tell(run.id, "Progress", stage="test", done=1)
    executor.tell(run.id, "EpochEnded")
    executor.tell(run.id, "Progress", stage="train", done=7)
    executor.end(run.id)
    dispatcher.step(0)
    assert written[2:] == [("Progress", 6), ("Progress", 1), ("EpochEnded", -1), ("Progress", 7)]


def test_stop_is_passed_on(store: Store, executor: PuppetExecutor, dispatcher: Dispatcher):
    run = store.submit(seeded(1), "alice")
    dispatcher.step(0)
    dispatcher.step(0)
    assert not executor.cancelled
    store.stop(run.id, "alice")
    dispatcher.step(0)
    assert executor.cancelled == [run.id]
    executor.end(run.id, "stopped")
    dispatcher.step(0)
    assert look(store, run.id).state == "stopped"


def test_a_run_that_finished_while_stopping_is_done(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    run = store.submit(seeded(1))
    dispatcher.step(0)
    store.stop(run.id, "")
    executor.end(run.id)
    dispatcher.step(0)
    assert look(store, run.id).state == "done"


def test_a_run_that_is_deleted_is_ended_and_leaves_nothing(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    dispatcher.step(0)
    store.delete(run.id, "")
    executor.tell(run.id, "StageStarted", stage="data", text="Reading")
    dispatcher.step(0)
    assert executor.cancelled == [run.id]
    executor.end(run.id)
    dispatcher.step(0)
    assert store.get(run.id) is None
    assert not store.workspace.run(run.id).exists()
    assert not [path for path in store.artifacts.folder.rglob("*") if path.is_file()]
    assert look(store, behind.id).state == "running"


def test_a_run_that_takes_too_long_is_ended_with_a_sentence(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    run = store.submit(seeded(1), "alice")
    dispatcher.step(0)
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 299)
    dispatcher.step(0)
    assert not executor.cancelled
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 301)
    dispatcher.step(0)
    assert executor.cancelled == [run.id]
    executor.end(run.id, "stopped")
    dispatcher.step(0)
    after = look(store, run.id)
    assert after.state == "failed"
    assert "longer than the 5 minutes" in (after.error or "")


def test_a_run_of_the_command_line_may_take_as_long_as_it_likes(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    store.submit(seeded(1))
    dispatcher.step(0)
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 1e6)
    dispatcher.step(0)
    assert not executor.cancelled


def test_closing_puts_a_run_back_to_its_place_as_often_as_need_be(store: Store):
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    for _ in range(4):
        executor = PuppetExecutor()
        dispatcher = Dispatcher(store, executor, "me")
        dispatcher.recover()
        dispatcher.step(0)
        assert list(executor.started) == [run.id]
        dispatcher.close()
        assert not dispatcher.busy
        assert (look(store, run.id).state, look(store, run.id).ahead) == ("queued", 0)
        assert look(store, behind.id).ahead == 1


def test_closing_stops_for_good_what_was_stopping(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    run = store.submit(seeded(1))
    dispatcher.step(0)
    store.stop(run.id, "")
    dispatcher.close()
    assert look(store, run.id).state == "stopped"


def test_a_lost_worker_s_run_begins_again_and_in_the_end_fails_with_a_sentence(store: Store):
    run, other = store.submit(seeded(1)), store.submit(seeded(2))
    for state in (*["queued"] * 4, "failed"):
        lost = Dispatcher(store, PuppetExecutor(), "lost")
        lost.step(0)
        assert look(store, run.id).state == "running"
        leftover = store.workspace.run(run.id) / "scores.safetensors"
        leftover.parent.mkdir(parents=True)
        leftover.touch()
        Dispatcher(store, PuppetExecutor(), "next").recover()
        assert look(store, run.id).state == state
        assert not leftover.exists()
    assert "ended abruptly 5 times" in (look(store, run.id).error or "")
    assert look(store, other.id).state == "queued"


def test_what_a_lost_worker_had_finished_is_kept(store: Store):
    run = store.submit(seeded(1))
    Dispatcher(store, PuppetExecutor(), "lost").step(0)
    write_result(store.workspace.run(run.id))
    write_result(store.workspace.run("0" * 32))  # of a run that was deleted
    Dispatcher(store, PuppetExecutor(), "next").recover()
    assert look(store, run.id).state == "done"
    assert sorted(store.files(run.id)) == ["model.onnx", "result.json"]
    assert not store.workspace.runs.exists()


@pytest.mark.parametrize("error", [StoreError("It is busy."), ResourceError("The disk is full.")])
@pytest.mark.parametrize("refused", ["record", "finish", "beat", "claim", "sweep", "waiting"])
def test_a_record_that_refuses_for_a_while_loses_nothing(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    refused: str,
):
    def refuse(*_: object, **__: object) -> None:
        raise error

    run = store.submit(seeded(1))
    if refused not in ("claim", "waiting"):
        dispatcher.step(0)
        executor.tell(run.id, "StageStarted", stage="data", text="Reading")
        executor.end(run.id)
    with monkeypatch.context() as patch:
        patch.setattr(module, "SWEEP", 0.0)
        patch.setattr(store, refused, refuse)
        for _ in range(3):
            with pytest.raises(type(error)):
                dispatcher.step(0)
    dispatcher.step(0)
    if refused in ("claim", "waiting"):
        assert look(store, run.id).state == "running"
        return
    assert look(store, run.id).state == "done"
    assert sorted(store.files(run.id)) == ["model.onnx", "result.json"]
    assert [event["event"] for event in store.events(run.id)] == ["StageStarted"]


def test_a_result_that_the_disk_refuses_can_be_given_up(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(*_: object) -> None:
        raise ResourceError("The disk is full.")

    run = store.submit(seeded(1))
    dispatcher.step(0)
    executor.end(run.id)
    monkeypatch.setattr(store.artifacts, "take", refuse)
    with pytest.raises(ResourceError):
        dispatcher.step(0)
    store.stop(run.id, "")
    dispatcher.step(0)
    assert look(store, run.id).state == "stopped"
    assert not store.workspace.run(run.id).exists()


def test_a_commit_that_fails_at_the_last_moment_loses_no_file(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    run = store.submit(seeded(1))
    dispatcher.step(0)
    executor.end(run.id)
    take = store.artifacts.take

    def take_all_but_the_last(path: Path, *rest: object) -> object:
        if path.name == "result.json":
            raise StoreError("The server's disk is full.")
        return take(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(store.artifacts, "take", take_all_but_the_last)
        with pytest.raises(StoreError):
            dispatcher.step(0)
    assert look(store, run.id).state == "running"
    dispatcher.step(0)
    assert sorted(store.files(run.id)) == ["model.onnx", "result.json"]


def test_done_without_files_is_a_fault_and_does_not_stop_the_queue(
    store: Store, executor: PuppetExecutor, dispatcher: Dispatcher
):
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    dispatcher.step(0)
    executor.end(run.id)
    shutil.rmtree(store.workspace.run(run.id))
    dispatcher.step(0)
    assert (look(store, run.id).state, look(store, run.id).error) == ("failed", UNEXPECTED)
    assert look(store, behind.id).state == "running"


def test_an_executor_that_cannot_start_fails_the_run_only(
    store: Store,
    executor: PuppetExecutor,
    dispatcher: Dispatcher,
    monkeypatch: pytest.MonkeyPatch,
):
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    with monkeypatch.context() as patch:
        patch.setattr(executor, "start", lambda *_: 1 / 0)
        dispatcher.step(0)
        patch.undo()
    dispatcher.step(0)
    assert look(store, run.id).state == "failed"
    assert look(store, behind.id).state == "running"
