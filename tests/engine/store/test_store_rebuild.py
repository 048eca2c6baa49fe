"""A record of runs that is lost: nothing else is lost with it, and it can be made anew."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from earlier import unpack

from prospr_engine.cli.main import main
from prospr_engine.errors import StoreError
from prospr_engine.export.verify import verify
from prospr_engine.pipeline.checkpoint import load_network
from prospr_engine.pipeline.gallery import Gallery
from prospr_engine.store import contents, schema
from prospr_engine.store.rebuild import rebuild
from prospr_engine.store.schema import RecordError
from prospr_engine.store.store import RECORD, Store

Files = tuple[tuple[str, str], ...]
MONTHS = 100 * 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with ten finished runs, months old."""
    return grow_old(unpack(tmp_path, "store") / "store")


def grow_old(folder: Path) -> Path:
    then = time.time() - MONTHS
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
    return folder


def finished(folder: Path) -> set[Files]:
    """Names and digests of the files of every finished run."""
    with sqlite3.connect(folder / RECORD) as c:
        ids = c.execute("SELECT id FROM runs WHERE state = 'done'").fetchall()
        files = "SELECT name, digest FROM files WHERE run = ? ORDER BY name"
        found = {tuple(c.execute(files, id).fetchall()) for id in ids}
    c.close()
    return found


def stored(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for part in ("artifacts", "uploads")
        for path in (folder / part).rglob("*")
        if path.is_file()
    }


def side_files(folder: Path) -> list[Path]:
    return [folder / f"{RECORD}{suffix}" for suffix in ("", "-wal", "-shm")]


def deleted(folder: Path) -> None:
    for path in side_files(folder):
        path.unlink(missing_ok=True)


def emptied(folder: Path) -> None:
    deleted(folder)
    (folder / RECORD).touch()


def garbled(folder: Path) -> None:
    deleted(folder)
    (folder / RECORD).write_bytes(b"this is no database" * 1000)


def wal_left_over(folder: Path) -> None:
    """What a crash leaves, but for the record itself."""
    c = sqlite3.connect(folder / RECORD)
    c.execute("PRAGMA journal_mode = WAL")
    c.execute("UPDATE runs SET name = 'renamed'")
    c.commit()
    wal = (folder / f"{RECORD}-wal").read_bytes()
    c.close()
    assert wal
    deleted(folder)
    (folder / f"{RECORD}-wal").write_bytes(wal)


def folder_in_its_place(folder: Path) -> None:
    deleted(folder)
    (folder / RECORD).mkdir()


def foreign(folder: Path) -> None:
    deleted(folder)
    with sqlite3.connect(folder / RECORD) as c:
        c.execute("CREATE TABLE recipes (name TEXT)")
    c.close()


def without_tables(folder: Path) -> None:
    deleted(folder)
    with sqlite3.connect(folder / RECORD) as c:
        c.execute(f"PRAGMA user_version = {schema.VERSION}")
    c.close()


def torn(folder: Path) -> None:
    """Its first pages are sound, so that it opens."""
    Store(folder)
    with sqlite3.connect(folder / RECORD) as c:
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = c.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'runs_by_sameness'"
        ).fetchone()
        (size,) = c.execute("PRAGMA page_size").fetchone()
    c.close()
    content = bytearray((folder / RECORD).read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    deleted(folder)
    (folder / RECORD).write_bytes(content)


WAYS = [deleted, emptied, garbled, wal_left_over, folder_in_its_place, foreign, without_tables]


@pytest.mark.parametrize("lose", [*WAYS, torn])
def test_a_lost_record_is_made_anew(folder: Path, lose: Callable[[Path], None]):
    before, files = finished(folder), stored(folder)
    lose(folder)
    if lose is not torn:  # a page that nobody has read yet
        with pytest.raises(RecordError, match="runs --rebuild"):
            Store(folder)
    there = [path.name for path in side_files(folder) if path.exists()]
    rebuilt = rebuild(folder)
    assert len(before) == 10
    assert finished(folder) == before
    assert all(not missing for missing in rebuilt.runs.values())
    assert rebuilt.unplaced == rebuilt.damaged == ()
    assert stored(folder) == files
    aside = [path.name for path in folder.glob(f"{RECORD}.aside-*")]
    assert len(aside) == len(there)
    assert rebuilt.aside in ([None] if not there else aside)
    store = Store(folder)
    store.sweep()
    assert {run.id for run in store.runs()} == set(rebuilt.runs)
    assert finished(folder) == before
    assert stored(folder) == files


def test_a_rebuilt_run_is_whole(folder: Path, tmp_path: Path):
    before = [run.settings for run in Store(folder).runs(studies=True)]
    deleted(folder)
    rebuild(folder)
    store = Store(folder)
    run = next(run for run in store.runs() if run.settings["method"] == "prospr")
    assert (run.owner, run.state, run.study) == ("", "done", None)
    assert run.summary is not None
    assert run.summary["accuracy"].keys() == {"dense", "pruned"}
    assert run.settings in before
    files = store.files(run.id)
    named = tmp_path / "named"
    named.mkdir()
    for name, artifact in files.items():
        shutil.copyfile(artifact.path, named / name)
    assert verify(named / "model.onnx").ok
    assert load_network(named / "pruned.safetensors")[1]["fingerprint"] == run.config.fingerprint
    assert Gallery.load(named / "gallery.safetensors").tested == run.summary["test_images"]
    with schema.connect(store.database) as c:
        same = c.execute("SELECT sameness FROM runs WHERE id = ?", (run.id,)).fetchone()[0]
    assert same == f"{run.config.fingerprint} 0.3.0"  # the version that computed it


def test_the_advice_of_earlier_versions_loses_nothing(folder: Path):
    """They said to put a damaged record aside, and began an empty one in its place."""
    before, files = finished(folder), stored(folder)
    deleted(folder)
    schema.migrate(folder / RECORD, create=True)
    store = Store(folder)
    store.sweep()
    store.uploads.sweep(time.time())
    store.clear_work()
    assert stored(folder) == files
    assert store.runs() == []
    rebuild(folder)
    assert finished(folder) == before


def test_an_older_copy_of_the_record_loses_nothing(folder: Path, caplog: pytest.LogCaptureFixture):
    """The files of runs that it does not know are younger than it is."""
    with sqlite3.connect(folder / RECORD) as c:
        (last,) = c.execute(
            "SELECT digest FROM files JOIN runs ON runs.id = run WHERE files.name = 'result.json' "
            "ORDER BY number DESC"
        ).fetchone()
        runs = c.execute("SELECT run FROM files WHERE digest = ?", (last,)).fetchall()
        c.executemany("DELETE FROM files WHERE run = ?", runs)
        c.executemany("DELETE FROM runs WHERE id = ?", runs)
        c.execute("UPDATE runs SET created = 1, ended = ?", (time.time(),))
    c.close()
    files = stored(folder)
    store = Store(folder)
    store.sweep()
    assert stored(folder) == files
    assert "runs --rebuild" in caplog.text
    rebuilt = rebuild(folder)
    assert len(rebuilt.runs) == 1
    assert rebuilt.aside is None
    assert rebuild(folder).runs == {}  # nothing is entered twice


def test_an_upload_from_before_the_record_stays(tmp_path: Path):
    store = Store(tmp_path)
    with store.uploads.receive(b"cats") as part:
        upload = store.uploads.keep(part, "alice", "images", "cats.zip", ".zip")
    with store.uploads.receive(b"dogs") as part:
        young = store.uploads.keep(part, "alice", "images", "dogs.zip", ".zip")
    os.utime(upload.path, (time.time() - MONTHS,) * 2)
    for kept in (upload, young):
        store.uploads.remove("alice", kept.token)
    assert upload.path.exists()
    assert not young.path.exists()


def test_what_cannot_be_placed_is_named_and_stays(folder: Path):
    def damage(name: str) -> Path:
        path = next(
            path
            for path in (folder / "artifacts").glob("??/*")
            if (content := contents.identify(path)) and content.name == name
        )
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        return path

    model = damage("model.onnx")
    stranger = folder / "artifacts" / "00" / ("00" * 32)
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(b"?")
    deleted(folder)
    rebuilt = rebuild(folder)
    assert set(rebuilt.damaged) == {model.name, stranger.name}
    assert sorted(missing for missing in rebuilt.runs.values() if missing)[0] == ("model.onnx",)
    assert model.exists()
    assert stranger.exists()


def test_a_result_without_its_run_is_a_run_with_what_is_there(folder: Path):
    store = Store(folder)
    (found,) = [run for run in store.runs(studies=True) if run.name == "" and run.state == "done"][
        :1
    ]
    for name, artifact in store.files(found.id).items():
        if name != "result.json":
            artifact.path.unlink()
    result = store.files(found.id)["result.json"].digest
    deleted(folder)
    rebuilt = rebuild(folder)
    again = Store(folder)
    (id,) = [id for id in rebuilt.runs if again.files(id)["result.json"].digest == result]
    assert {"model.onnx", "masks.safetensors", "scores.safetensors"} <= set(rebuilt.runs[id])


def test_a_run_that_was_done_but_not_yet_taken_over(tmp_path: Path):
    made = unpack(tmp_path / "made", "store") / "store"
    run = next(run for run in Store(made).runs(studies=True) if run.state == "done")
    folder = tmp_path / "store"
    store = Store(folder)
    work = store.workspace.run("0123")
    work.mkdir(parents=True)
    for name, artifact in Store(made).files(run.id).items():
        shutil.copyfile(artifact.path, work / name)
    grow_old(folder)
    deleted(folder)
    rebuilt = rebuild(folder)
    assert list(rebuilt.runs.values()) == [()]
    Store(folder).clear_work()  # the next worker begins
    assert finished(folder) == {
        tuple(sorted((f.name, f.digest) for f in Store(made).files(run.id).values()))
    }


def test_files_that_would_fit_several_are_given_to_none(folder: Path):
    """Two networks with the same label: nobody can say which is the run's."""
    store = Store(folder)
    run = next(run for run in store.runs(studies=True) if run.state == "done")
    from prospr_engine.io.files import digest_of
    from prospr_engine.io.tensors import load_tensors, save_tensors

    state, label = load_tensors(store.files(run.id)["pruned.safetensors"].path)
    first = next(iter(state))
    save_tensors(folder / "other", {**state, first: state[first] + 1}, label)
    other = digest_of(folder / "other")
    store.artifacts.take(folder / "other", other)
    deleted(folder)
    rebuilt = rebuild(folder)
    assert {name for missing in rebuilt.runs.values() for name in missing} == {"pruned.safetensors"}
    assert other in rebuilt.unplaced


@pytest.mark.parametrize("lose", [deleted, emptied])
def test_an_empty_store_needs_no_rebuilding(tmp_path: Path, lose: Callable[[Path], None]):
    lose(tmp_path)
    assert Store(tmp_path).runs() == []


def test_nothing_to_rebuild_from(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="There are no runs"):
            rebuild(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_record_is_left_alone(folder: Path):
    with sqlite3.connect(folder / RECORD) as c:
        c.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    c.close()
    before = (folder / RECORD).read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        rebuild(folder)
    assert (folder / RECORD).read_bytes() == before


def test_a_record_that_vanishes_while_it_is_in_use_is_not_made_again(folder: Path):
    store = Store(folder)
    deleted(folder)
    with pytest.raises(RecordError, match="is missing"):
        store.runs()
    with pytest.raises(RecordError, match="is missing"):
        store.sweep()
    assert not store.database.exists()
    rebuild(folder)
    assert len(store.runs()) == 10  # the server need not even be started anew


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]):
    deleted(folder)
    assert main(["runs", "--store", str(folder), "--json"]) == 2
    assert "--rebuild" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main(["runs", "--rebuild", "--store", str(folder), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert len(output["runs"]) == 10
    assert all(run["missing"] == [] and run["files"] for run in output["runs"])
    assert main(["runs", "--rebuild", "--store", str(folder)]) == 0
    assert "0 finished runs were added" in capsys.readouterr().out
    assert main(["runs", "--store", str(folder)]) == 0
    assert capsys.readouterr().out.count("done") == 10
    assert main(["runs", "--rebuild", "--store", str(folder / "nowhere")]) == 2


def test_a_worker_at_work_is_not_disturbed(folder: Path, capsys: pytest.CaptureFixture[str]):
    from prospr_engine.jobs.spawn import worker_lock

    deleted(folder)
    with worker_lock(folder):
        assert main(["runs", "--rebuild", "--store", str(folder)]) == 2
    assert "using this store" in capsys.readouterr().err
    assert not (folder / RECORD).exists()
