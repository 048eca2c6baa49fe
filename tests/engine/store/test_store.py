"""What the store promises to visitors, to the worker and to whoever restarts them."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import fakes
import pytest

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, ResourceError, StoreError
from prospr_engine.identity import run_key
from prospr_engine.store import default_folder, schema
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

RESULT: dict[str, Any] = {
    **fakes.RESULT,
    "layers": [{"kept": 1, "total": 10}, {"kept": 2, "total": 20}],
    "onnx": {"bytes": 123, "path": "/srv/secret/work/model.onnx"},
    "out": "/srv/secret/work",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def seeded(seed: int) -> RunConfig:
    return RunConfig(seed=seed)


def finish(store: Store, id: str, model: bytes = b"model") -> Run:
    folder = store.workspace.run(id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(RESULT))
    (folder / "model.onnx").write_bytes(model)
    store.finish(id, "done", folder=folder)
    return look(store, id)


def look(store: Store, id: str) -> Run:
    run = store.get(id)
    assert run is not None
    return run


def contents(store: Store) -> list[Path]:
    return [path for path in store.artifacts.folder.rglob("*") if path.is_file()]


def fill(store: Store) -> None:
    for seed in range(2, 500):
        store.submit(seeded(seed), name="x" * 80)


def age(store: Store, id: str, days: float) -> None:
    with schema.connect(store.database) as c:
        c.execute("UPDATE runs SET ended = ? WHERE id = ?", (time.time() - days * 86400, id))


# Coming back


def test_a_run_is_known_to_another_process(store: Store):
    run = store.submit(seeded(5), "alice", name="mine")
    again = Store(store.folder).get(run.id)
    assert again == run
    assert again is not None
    assert (again.config, again.name, again.state) == (seeded(5), "mine", "queued")


def test_ids_cannot_be_guessed_and_unknown_ones_are_not_found(store: Store):
    ids = {store.submit(seeded(i)).id for i in range(5)}
    assert all(len(id) == 32 and int(id, 16) for id in ids)
    assert store.get("' OR 1=1 --") is None
    assert store.events("nothing") == []
    assert store.files("nothing") == {}


def test_the_same_settings_give_the_same_run_back(store: Store):
    first = store.submit(seeded(1), "alice")
    assert store.submit(seeded(1), "alice").id == first.id
    assert store.submit(seeded(2), "alice").id != first.id
    store.claim("w")
    assert store.submit(seeded(1), "alice").id == first.id
    finish(store, first.id)
    assert store.submit(seeded(1), "alice").id == first.id


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_what_did_not_end_well_is_tried_again(store: Store, state: Any):
    first = store.submit(seeded(1), "alice")
    store.claim("w")
    store.finish(first.id, state)
    again = store.submit(seeded(1), "alice")
    assert again.id != first.id
    assert again.state == "queued"


def test_a_run_that_is_being_stopped_is_not_given_back(store: Store):
    first = store.submit(seeded(1), "alice")
    store.claim("w")
    store.stop(first.id, "alice")
    assert store.submit(seeded(1), "alice").id != first.id


def test_what_somebody_else_finished_is_there_at_once_and_one_s_own(store: Store):
    theirs = store.submit(seeded(1), "alice")
    store.claim("w")
    store.record(theirs.id, {"event": "StageStarted", "stage": "data"})
    finish(store, theirs.id)
    mine = store.submit(seeded(1), "bob")
    assert mine.id != theirs.id
    assert (mine.state, mine.owner, mine.summary) == ("done", "bob", look(store, theirs.id).summary)
    assert [e["event"] for e in store.events(mine.id)] == ["StageStarted"]
    store.delete(theirs.id, "alice")
    assert set(store.files(mine.id)) == {"model.onnx", "result.json"}  # still mine


def test_two_who_wait_for_the_same_are_served_by_one_computation(store: Store):
    first, second = store.submit(seeded(1), "alice"), store.submit(seeded(1), "bob")
    other = store.submit(seeded(2), "bob")
    assert (first.ahead, second.ahead, other.ahead) == (0, 1, 2)
    assert store.claim("w").id == first.id  # type: ignore[union-attr]
    finish(store, first.id)
    assert store.claim("w").id == other.id  # type: ignore[union-attr]
    assert look(store, second.id).state == "done"


def test_a_run_that_was_given_back_can_still_be_served_by_another(store: Store):
    first, second = store.submit(seeded(1), "alice"), store.submit(seeded(1), "bob")
    store.claim("w")
    store.claim("w")  # an executor with room for two
    store.record(second.id, {"event": "Pruned"})
    store.release(second.id)
    store.record(first.id, {"event": "Progress", "stage": "score"})
    store.record(first.id, {"event": "StageStarted", "stage": "train"})
    finish(store, first.id)
    assert store.claim("w") is None
    assert look(store, second.id).state == "done"
    # Its twin's story, without the thousands of times it told how far it was.
    assert [e["event"] for e in store.events(second.id)] == ["StageStarted"]


def test_a_result_whose_files_are_gone_is_computed_again(store: Store):
    first = store.submit(seeded(1), "alice")
    store.claim("w")
    finish(store, first.id)
    store.files(first.id)["model.onnx"].path.unlink()
    assert "model.onnx" not in store.files(first.id)
    assert store.submit(seeded(1), "alice").state == "queued"
    assert store.submit(seeded(1), "bob").state == "queued"


def test_data_that_may_have_changed_are_never_the_same():
    assert run_key(RunConfig(data="digits"))
    assert run_key(RunConfig(data="/some/photos.zip")) is None
    assert run_key(RunConfig(data=f"upload:{'a' * 64}/photos.zip"))


def test_what_the_store_says_of_settings_it_cannot_read(store: Store):
    run = store.submit(seeded(1))
    with schema.connect(store.database) as c:
        c.execute("UPDATE runs SET settings = ?", (json.dumps({"invented": 1}),))
    found = look(store, run.id)
    with pytest.raises(ConfigError, match="invented"):
        _ = found.config


# Queue


def test_runs_are_claimed_once_and_in_their_order(store: Store):
    ids = [store.submit(seeded(i)).id for i in range(12)]
    claimed: list[str] = []

    def work(name: str) -> None:
        while run := store.claim(name):
            claimed.append(run.id)

    workers = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(claimed) == sorted(ids)
    assert store.waiting() is False


def test_the_place_in_the_queue(store: Store):
    a, b, c = (store.submit(seeded(i)).id for i in range(3))
    assert [look(store, id).ahead for id in (a, b, c)] == [0, 1, 2]
    store.claim("w")
    assert [look(store, id).ahead for id in (a, b, c)] == [0, 1, 2]
    store.finish(a, "failed", "broken")
    assert [look(store, id).ahead for id in (b, c)] == [0, 1]
    store.stop(b, "")
    assert look(store, c).ahead == 0
    assert look(store, b).state == "stopped"


def test_a_visitor_may_not_fill_the_queue(store: Store):
    for seed in range(3):
        store.submit(seeded(seed), "alice")
    with pytest.raises(ResourceError, match="You already have 3 runs"):
        store.submit(seeded(3), "alice")
    assert store.submit(seeded(0), "alice").state == "queued"  # one that is there already
    assert store.submit(seeded(3), "bob").state == "queued"


def test_visitors_together_may_not_either(tmp_path: Path):
    store = Store(tmp_path, Limits(most_queued=2))
    for seed in range(2):
        store.submit(seeded(seed))
    with pytest.raises(ResourceError, match="2 runs are already waiting"):
        store.submit(seeded(2), "alice")


# Whose it is


@pytest.mark.parametrize("change", ["stop", "delete", "rename"])
def test_only_its_owner_changes_a_run(store: Store, change: str):
    run = store.submit(seeded(1), "alice")
    more = ["new"] if change == "rename" else []
    with pytest.raises(StoreError, match="someone else"):
        getattr(store, change)(run.id, "bob", *more)
    assert look(store, run.id) == run
    with pytest.raises(StoreError, match="no longer exists"):
        getattr(store, change)("f" * 32, "bob", *more)
    printed = store.submit(seeded(2), "")
    with pytest.raises(StoreError, match="command line"):
        getattr(store, change)(printed.id, "bob", *more)
    getattr(store, change)(run.id, "alice", *more)
    assert store.get(run.id) != run


def test_a_list_shows_one_s_own_and_the_command_line_s(store: Store):
    ids = [store.submit(seeded(i), owner).id for i, owner in enumerate(["alice", "bob", ""])]
    assert [run.id for run in store.runs("alice")] == [ids[2], ids[0]]
    assert [run.id for run in store.runs()] == ids[::-1]


def test_names_are_one_line_of_text(store: Store):
    run = store.submit(seeded(1), "alice")
    store.rename(run.id, "alice", "  a\nb\x00\u202e" + "c" * 200)
    name = look(store, run.id).name
    assert name.startswith("a b")
    assert len(name) <= 80
    assert name.isprintable()


# Events


def test_only_the_latest_progress_of_a_stage_is_reported(store: Store):
    run = store.submit(seeded(1))
    store.claim("w")
    for done in range(3):
        store.record(run.id, {"event": "Progress", "stage": "score", "done": done})
    store.record(run.id, {"event": "Pruned"})
    store.record(run.id, {"event": "Progress", "stage": "train", "done": 9})
    output = store.events(run.id)
    assert [(e["event"], e.get("done")) for e in output] == [
        ("Progress", 2),
        ("Pruned", None),
        ("Progress", 9),
    ]
    assert [e["event"] for e in store.events(run.id, after=output[1]["seq"])] == ["Progress"]
    assert store.events(run.id, after=output[2]["seq"]) == []


def test_events_are_only_added_and_only_while_the_run_runs(store: Store):
    run = store.submit(seeded(1))
    store.record(run.id, {"event": "Pruned"})
    assert store.events(run.id) == []
    store.claim("w")
    store.record(run.id, {"event": "Finished", "result": {"large": 1}})
    store.finish(run.id, "stopped")
    store.record(run.id, {"event": "Pruned"})
    assert [set(e) for e in store.events(run.id)] == [{"event", "seq", "time"}]


# Ending


def test_a_finished_run_brings_its_files_and_main_figures(store: Store):
    run = store.submit(seeded(1))
    store.claim("w")
    done = finish(store, run.id)
    assert done.state == "done"
    assert done.summary is not None
    assert (done.summary["kept"], done.summary["total"], done.summary["bytes"]) == (3, 30, 123)
    files = store.files(run.id)
    assert files["model.onnx"].path.read_bytes() == b"model"
    assert done.bytes == sum(file.bytes for file in files.values())


def test_only_what_the_run_wrote_is_taken_over(store: Store, tmp_path: Path):
    run = store.submit(seeded(1))
    store.claim("w")
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("of the server")
    (folder / "link.json").symlink_to(tmp_path / "secret")
    (folder / "folder").mkdir()
    for name in (".nfs0001", ".DS_Store", ".model.onnx.part"):
        (folder / name).write_bytes(b"left over")
    finish(store, run.id)
    assert set(store.files(run.id)) == {"model.onnx", "result.json"}
    assert len(contents(store)) == 2


def test_no_file_contains_its_place_on_the_server(store: Store):
    run = store.submit(seeded(1))
    store.claim("w")
    finish(store, run.id)
    assert "secret" not in store.files(run.id)["result.json"].path.read_text()


def test_equal_files_lie_on_the_disk_once_and_go_with_the_last_run(store: Store):
    ids = [store.submit(seeded(i)).id for i in range(2)]
    for id in ids:
        store.claim("w")
        finish(store, id)
    assert len(contents(store)) == 2
    store.delete(ids[0], "")
    assert len(contents(store)) == 2
    store.delete(ids[1], "")
    assert contents(store) == []


def test_what_a_run_says_after_its_end_changes_nothing(store: Store):
    run = store.submit(seeded(1))
    store.claim("w")
    store.finish(run.id, "stopped")
    store.finish(run.id, "failed", "too late")
    assert (look(store, run.id).state, look(store, run.id).error) == ("stopped", None)


def test_a_worker_hears_that_its_run_is_not_wanted(store: Store):
    run = store.submit(seeded(1), "alice")
    store.claim("w")
    assert store.beat(run.id, "w") == "go"
    assert store.beat(run.id, "another") == "gone"
    store.stop(run.id, "alice")
    assert store.beat(run.id, "w") == "stop"
    store.delete(run.id, "alice")
    assert store.beat(run.id, "w") == "gone"


# Recovery


def test_a_run_that_lost_its_worker_begins_again_but_not_for_ever(store: Store):
    first, second = (store.submit(seeded(i)).id for i in range(2))
    for attempt in range(2, 6):
        assert store.claim("w").id == first  # type: ignore[union-attr]
        store.record(first, {"event": "Pruned"})
        store.recover()
        run = look(store, first)
        assert (run.state, run.ahead, run.attempt, run.started) == ("queued", 0, attempt, None)
        assert store.events(first) == []  # of the attempt that counts
    assert store.claim("w").id == first  # type: ignore[union-attr]
    store.recover()
    run = look(store, first)
    assert run.state == "failed"
    assert "ended abruptly 5 times" in (run.error or "")
    assert "memory" not in (run.error or "")
    assert store.claim("w").id == second  # type: ignore[union-attr]


def test_a_worker_that_goes_in_good_order_gives_its_run_back_as_often_as_it_likes(store: Store):
    run = store.submit(seeded(1))
    for _ in range(4):
        store.claim("w")
        store.release(run.id)
    assert look(store, run.id).state == "queued"


def test_a_run_that_is_stopping_cannot_be_queued_again(store: Store):
    run = store.submit(seeded(1), "alice")
    store.claim("w")
    store.stop(run.id, "alice")
    store.recover()
    assert look(store, run.id).state == "stopped"


# Limits


def test_old_runs_go_and_their_files_with_them(tmp_path: Path):
    store = Store(tmp_path, Limits(keep_days=2))
    old, new, waiting = (store.submit(seeded(i)).id for i in range(3))
    for id in (old, new):
        store.claim("w")
        finish(store, id, id.encode())
    age(store, old, 3)
    age(store, waiting, 3)
    store.sweep()
    assert [run.id for run in store.runs()] == [waiting, new]
    assert {path.read_bytes() for path in contents(store)} == {
        new.encode(),
        store.files(new)["result.json"].path.read_bytes(),
    }


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path):
    store = Store(tmp_path, Limits(keep_gigabytes=250e3 / 1e9))
    ids = [store.submit(seeded(i)).id for i in range(3)]
    for place, id in enumerate(ids):
        store.claim("w")
        finish(store, id, bytes([place]) * 100_000)
        age(store, id, 1 - place / 10)
    store.sweep()
    assert [run.id for run in store.runs()] == [ids[2], ids[1]]


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path):
    store = Store(tmp_path, Limits(keep_runs=1))
    old, new, waiting = (store.submit(seeded(i)).id for i in range(3))
    for days, id in ((2, old), (1, new)):
        store.claim("w")
        finish(store, id)
        age(store, id, days)
    store.sweep()
    assert [run.id for run in store.runs()] == [waiting, new]


def test_what_could_not_be_forgotten_keeps_its_files(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = store.submit(seeded(1))
    store.claim("w")
    finish(store, run.id)
    connect = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *given)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Full))
        with pytest.raises(StoreError):
            store.delete(run.id, "")
    assert set(store.files(run.id)) == {"model.onnx", "result.json"}


def test_what_a_crash_left_behind_is_cleared_away(store: Store):
    with schema.connect(store.database) as c:  # the record is older than what was left behind
        c.execute("UPDATE record SET born = born - 86400")
    stray = store.artifacts.path("ab" * 32)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"?")
    store.sweep()
    assert stray.exists()  # somebody may be bringing it at this moment
    hour_ago = time.time() - 4000
    os.utime(stray, (hour_ago, hour_ago))
    store.sweep()
    assert not stray.exists()


@pytest.mark.parametrize(
    ("value", "sentence"), [("many", "give a whole number"), ("-1", "at least 0"), ("2.5", "whole")]
)
def test_limits_from_the_environment_are_checked(value: str, sentence: str):
    with pytest.raises(ConfigError, match=sentence):
        Limits.from_environment({"PROSPR_MOST_QUEUED": value})
    assert Limits.from_environment({"PROSPR_KEEP_DAYS": "0.5"}).keep_days == 0.5
    with pytest.raises(ConfigError, match="at least 0"):
        Limits.from_environment({"PROSPR_KEEP_DAYS": "nan"})


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PROSPR_RUNS", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("PROSPR_RUNS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_folder() == tmp_path / "data" / "prospr" / "runs"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "share" / "prospr" / "runs"


# A record that cannot be used


def test_a_record_of_a_newer_version_is_left_alone(store: Store):
    with sqlite3.connect(store.database) as c:
        c.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = store.database.read_bytes()
    with pytest.raises(StoreError, match="newer version of this software"):
        Store(store.folder)
    assert store.database.read_bytes() == before


def test_an_earlier_record_is_brought_up_to_date(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = store.submit(seeded(1))
    later = (*schema.MIGRATIONS, "ALTER TABLE runs ADD COLUMN mood TEXT DEFAULT 'calm';")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "VERSION", len(later))
    again = Store(store.folder)
    assert again.get(run.id) == run
    with sqlite3.connect(store.database) as c:
        assert c.execute("SELECT mood FROM runs").fetchone() == ("calm",)


def test_a_migration_that_fails_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = store.submit(seeded(1))
    broken = (*schema.MIGRATIONS, "ALTER TABLE runs ADD COLUMN mood TEXT; DROP TABLE nothing;")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)
        patch.setattr(schema, "VERSION", len(broken))
        with pytest.raises(StoreError):
            Store(store.folder)
    assert Store(store.folder).get(run.id) == run


def test_a_damaged_record(tmp_path: Path):
    (tmp_path / "runs.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Store(tmp_path)


def test_a_record_that_something_else_made(tmp_path: Path):
    with sqlite3.connect(tmp_path / "runs.sqlite3") as c:
        c.execute(f"PRAGMA user_version = {schema.VERSION}")
    c.close()
    with pytest.raises(StoreError, match="is incomplete"):
        Store(tmp_path)


def test_a_page_of_the_record_that_is_damaged(store: Store):
    for seed in range(30):
        store.submit(seeded(seed))
    with sqlite3.connect(store.database) as c:
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = c.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs'").fetchone()
        (size,) = c.execute("PRAGMA page_size").fetchone()
    c.close()
    copy = store.folder.with_name("copy")
    copy.mkdir()
    content = bytearray(store.database.read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    (copy / "runs.sqlite3").write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        Store(copy)


def test_a_folder_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="PROSPR_RUNS"):
        Store(tmp_path / "file" / "store")
    (tmp_path / "store" / "runs.sqlite3").mkdir(parents=True)
    with pytest.raises(StoreError, match="not a file"):
        Store(tmp_path / "store")


def test_a_full_disk_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = store.submit(seeded(1))
    connect = sqlite3.connect

    def full(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite's own idea of a full disk
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(StoreError, match="disk is full"):
            fill(store)
    assert store.get(run.id) == run
    store.claim("w")


def test_a_record_that_may_only_be_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    run = store.submit(seeded(1))
    connect = sqlite3.connect

    def locked(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(sqlite3, "connect", locked)
    with pytest.raises(StoreError, match="read-only"):
        store.submit(seeded(2))
    assert store.get(run.id) == run


def test_reading_needs_no_room_on_the_disk(store: Store):
    # SQLite removes its side files with the last connection, and to read it needs them again.
    store.submit(seeded(1))
    assert store.database.with_name("runs.sqlite3-shm").exists()


def test_waiting_for_another_writer_ends_with_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "PATIENCE", 0.05)
    with schema.transaction(store.database), pytest.raises(StoreError, match="busy"):
        store.submit(seeded(1))
    assert store.submit(seeded(1)).state == "queued"
