"""The worker as it lives: a process of its own, killed, doubled, left idle and started again."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engine.jobs.jobs_fakes import (
    DIES,
    FINISHES,
    HANGS,
    OBEYS,
    WORKER,
    gone,
    kill,
    look,
    pids,
    seeded,
)
from paths import ROOT
from waiting import PATIENCE, until

from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.jobs import ensure_worker, spawn, worker
from prospr_engine.jobs.dispatcher import Dispatcher
from prospr_engine.jobs.spawn import at_work, worker_lock
from prospr_engine.store.queue import MOST_LOSSES
from prospr_engine.store.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc of POSIX")


def stop_in_time(store: Store, id: str) -> None:
    """Stop within two seconds by the store's own clock, however late this process looks; longer
    only where others wait for the same processors."""
    asked = time.time()
    store.stop(id, "")
    wait_for(store, id, "stopped")
    took = (look(store, id).ended or math.inf) - asked
    assert took < 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_for(store: Store, id: str, state: str) -> None:
    """As a page does: look, and see to it that there is a worker."""

    def seen() -> bool:
        ensure_worker(store.folder)
        run = look(store, id)
        assert run.state == state or not run.ended, f"the run {run.state}: {run.error}"
        return run.state == state

    until(seen)


def begun_again(store: Store, id: str, attempt: int) -> None:
    def seen() -> bool:
        ensure_worker(store.folder)
        return look(store, id).attempt == attempt and trains(store, id)

    until(seen)


def trains(store: Store, id: str) -> bool:
    return any(event.get("stage") == "train" for event in store.events(id))


def test_a_real_run_and_stop_in_the_midst_of_another(store: Store):
    loading = LoadingConfig(train_limit=100, test_limit=50)
    short = store.submit(RunConfig(model="mlp", method="magnitude", epochs=1, loading=loading))
    long = store.submit(RunConfig(model="mlp", method="magnitude", epochs=10_000, loading=loading))
    wait_for(store, short.id, "done")
    run = look(store, short.id)
    assert run.summary
    assert run.summary["kept"] / run.summary["total"] == pytest.approx(0.1, abs=0.01)
    assert {"model.onnx", "masks.safetensors", "result.json"} <= set(store.files(short.id))
    assert str(store.folder) not in store.files(short.id)["result.json"].path.read_text()
    kinds = {event["event"] for event in store.events(short.id)}
    assert {"StageStarted", "Progress", "Pruned", "EpochEnded", "Finished"} <= kinds
    until(lambda: trains(store, long.id))
    store.stop(long.id, "")
    wait_for(store, long.id, "stopped")
    until(lambda: not store.workspace.run(long.id).exists())


def test_stop_works_while_the_child_still_imports(store: Store):
    run = store.submit(seeded(1))
    wait_for(store, run.id, "running")
    store.stop(run.id, "")
    wait_for(store, run.id, "stopped")


@pytest.mark.parametrize("child", [OBEYS, HANGS], ids=["obeys", "hangs"])
def test_stop_takes_less_than_two_seconds_and_the_next_begins(
    store: Store, children: Callable[[str], None], child: str
):
    children(child)
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    wait_for(store, run.id, "running")
    until(lambda: trains(store, run.id))
    stop_in_time(store, run.id)
    wait_for(store, behind.id, "running")


def test_a_crash_fails_its_own_run_only(store: Store, children: Callable[[str], None]):
    children(DIES)
    run = store.submit(seeded(1))
    wait_for(store, run.id, "failed")
    assert "broke off unexpectedly" in (look(store, run.id).error or "")
    other = store.submit(seeded(2))
    wait_for(store, other.id, "failed")
    assert len(pids(store)) == 1


def test_a_killed_worker_s_run_is_queued_again_and_its_child_goes(
    store: Store, children: Callable[[str], None]
):
    children(OBEYS.replace("tell(event=", "tell(pid=os.getpid(), event="))
    run, behind = store.submit(seeded(1)), store.submit(seeded(2))
    for attempt in range(1, MOST_LOSSES + 1):
        begun_again(store, run.id, attempt)
        child = store.events(run.id)[-1]["pid"]
        before = len(pids(store))
        kill(pids(store)[-1])
        until(lambda child=child: gone(child))  # type: ignore[misc]
        until(
            lambda before=before: (  # type: ignore[misc]
                ensure_worker(store.folder),
                len(pids(store)) > before,
            )[1]
        )
    wait_for(store, run.id, "failed")
    assert "ended abruptly 5 times" in (look(store, run.id).error or "")
    wait_for(store, behind.id, "running")


def test_sigterm_puts_the_run_back_and_the_next_worker_goes_on(
    store: Store, children: Callable[[str], None]
):
    children(OBEYS)
    run = store.submit(seeded(1))
    for attempt in (1, 2, 3):
        begun_again(store, run.id, attempt)
        kill(pids(store)[-1], signal.SIGTERM)
        until(lambda: not at_work(store.folder))
        after = look(store, run.id)
        assert (after.state, after.attempt, after.started) == ("queued", attempt + 1, None)
    children(FINISHES)
    wait_for(store, run.id, "done")


def test_the_worker_outlives_the_server_that_started_it(
    store: Store, children: Callable[[str], None], tmp_path: Path
):
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from prospr_engine.jobs import spawn, ensure_worker\n"
            f"spawn.COMMAND = (sys.executable, '-c', {WORKER.format(child=OBEYS)!r})\n"
            "ensure_worker(sys.argv[1]); print('started', flush=True); time.sleep(600)",
            str(store.folder),
        ],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    with server:
        assert server.stdout
        assert server.stdout.readline() == b"started\n"
        run = store.submit(seeded(1))
        until(lambda: trains(store, run.id))
        os.killpg(server.pid, signal.SIGKILL)
    (pid,) = pids(store)
    children(HANGS)
    ensure_worker(store.folder)  # by the server that comes after it
    time.sleep(0.5)
    assert not gone(pid)
    assert pids(store) == [pid]
    assert look(store, run.id).state == "running"


def test_many_pages_and_servers_start_one_worker(store: Store, children: Callable[[str], None]):
    children(FINISHES)
    spawned: list[subprocess.Popen[bytes]] = []
    real_spawn = spawn._spawn

    def count(folder: Path) -> subprocess.Popen[bytes]:
        spawned.append(real_spawn(folder))
        return spawned[-1]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(20) as pages:
        patch.setattr(spawn, "_spawn", count)
        for _ in range(5):
            list(pages.map(lambda _: ensure_worker(store.folder), range(20)))
        assert len(spawned) == 1
    rivals = [spawn._spawn(store.folder) for _ in range(3)]  # by other servers, unaware of ours
    until(lambda: at_work(store.folder))
    run = store.submit(seeded(1))
    wait_for(store, run.id, "done")
    # Whichever of them was first: it is the only one.
    until(lambda: [worker.poll() for worker in (*spawned, *rivals)].count(0) == len(rivals))
    assert len(pids(store)) == 1


def test_a_worker_that_cannot_live_is_not_started_without_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    starts = []
    real_spawn = spawn._spawn
    monkeypatch.setattr(spawn, "COMMAND", (sys.executable, "-c", ""))
    monkeypatch.setattr(spawn, "_spawn", lambda folder: starts.append(1) or real_spawn(folder))
    for _ in range(30):
        ensure_worker(store.folder)
        time.sleep(0.02)
    assert len(starts) == 1
    monkeypatch.setattr(spawn, "PAUSE", 0.0)
    until(lambda: (ensure_worker(store.folder), len(starts) == 2)[1])


def test_a_worker_that_cannot_be_started_is_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(spawn, "COMMAND", (str(tmp_path / "nothing"),))
    with pytest.raises(StoreError, match=r"could not be started.*stay in the queue"):
        ensure_worker(store.folder)
    with pytest.raises(StoreError, match="could not be started"):
        ensure_worker(tmp_path / "no" / "such" / "folder")


def test_a_long_log_is_put_aside(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spawn, "COMMAND", (sys.executable, "-c", "print('new')"))
    log = store.folder / spawn.LOG
    log.write_text("x" * (spawn.LOG_SIZE + 1))
    spawn._spawn(store.folder).wait(PATIENCE)
    assert log.read_text() == "new\n"
    assert log.with_suffix(".old.log").stat().st_size > spawn.LOG_SIZE


# In this process: what takes ten minutes, or a moment too short to hit


def test_a_second_worker_returns_at_once(store: Store):
    with worker_lock(store.folder):
        assert at_work(store.folder)
        assert worker.work(store.folder) == 0
    assert not at_work(store.folder)


def test_who_only_looks_does_not_keep_a_worker_from_starting(store: Store):
    lock = worker_lock(store.folder)
    lock.acquire()
    threading.Timer(0.2, lock.release).start()
    assert worker.work(store.folder, idle=0.0) == 0
    assert not at_work(store.folder)


def test_idle_workers_go(store: Store):
    began = time.monotonic()
    assert worker.work(store.folder, idle=0.5) == 0
    assert 0.5 <= time.monotonic() - began < worker.IDLE


def test_a_record_that_refuses_does_not_keep_an_idle_worker(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    def refuse(store: Store) -> bool:
        raise StoreError("It is busy.")

    monkeypatch.setattr(worker, "RETRY", 0.05)
    monkeypatch.setattr(Store, "waiting", refuse)
    tired = time.monotonic() + PATIENCE
    assert worker.work(store.folder, lambda: time.monotonic() > tired, idle=0.3) == 0
    assert time.monotonic() < tired


def test_a_worker_whose_result_the_disk_refuses_is_not_idle(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    from prospr_engine.jobs import local

    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", FINISHES))
    monkeypatch.setattr(worker, "RETRY", 0.1)
    refused: list[str] = []
    finish = Store.finish

    def refuse(self: Store, id: str, *rest: Any, **files: Any) -> None:
        if len(refused) < 6:
            refused.append(id)
            raise ResourceError("The disk is full.")
        finish(self, id, *rest, **files)

    monkeypatch.setattr(Store, "finish", refuse)
    run = store.submit(seeded(1))
    assert worker.work(store.folder, idle=0.3) == 0
    assert (look(store, run.id).state, look(store, run.id).attempt) == ("done", 1)


@pytest.mark.parametrize("lost", ["folder", "database", "lock"])
def test_a_worker_whose_store_is_gone_goes(
    store: Store, monkeypatch: pytest.MonkeyPatch, lost: str
):
    serving = threading.Event()
    recover = Dispatcher.recover
    monkeypatch.setattr(Dispatcher, "recover", lambda self: (recover(self), serving.set()))
    parts = {"folder": store.folder, "database": store.database}
    target = parts.get(lost, store.folder / "worker.lock")
    aside = store.folder.with_name("aside")
    tired = time.monotonic() + PATIENCE
    ends: list[int] = []
    thread = threading.Thread(
        target=lambda: ends.append(
            worker.work(store.folder, lambda: time.monotonic() > tired, idle=math.inf)
        )
    )
    thread.start()
    assert serving.wait(PATIENCE)
    target.rename(aside)
    if lost == "folder":  # by somebody who needs one
        Store(store.folder)
        (store.folder / "worker.lock").touch()
    thread.join(PATIENCE)
    assert ends == [0]
    assert time.monotonic() < tired


@pytest.mark.parametrize("child", [None, OBEYS, HANGS], ids=["idle", "obeys", "hangs"])
def test_a_worker_whose_folder_is_deleted_goes_and_takes_its_child_with_it(
    store: Store, children: Callable[[str], None], child: str | None
):
    children((child or FINISHES).replace("tell(event=", "tell(pid=os.getpid(), event="))
    run = store.submit(seeded(1)) if child else None
    ensure_worker(store.folder)
    until(lambda: pids(store))
    if run:
        until(lambda: trains(store, run.id))
    living = [*pids(store), *(event["pid"] for event in (store.events(run.id) if run else ()))]
    assert len(living) == (2 if run else 1)
    try:
        shutil.rmtree(store.folder)
        until(lambda: all(gone(pid) for pid in living), worker.IDLE / 2)
        assert not store.folder.exists()
    finally:
        for pid in living:
            kill(pid)


def test_a_run_that_comes_while_the_worker_is_leaving_is_not_left_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    from prospr_engine.jobs import local

    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", FINISHES))
    ids: list[str] = []
    close = Dispatcher.close

    def submit_at_the_last_moment(self: Dispatcher) -> None:
        close(self)
        if not ids:  # the worker has looked for the last time, and still holds the lock
            ids.append(store.submit(seeded(1)).id)
            assert at_work(store.folder)  # so this visitor starts no other

    monkeypatch.setattr(Dispatcher, "close", submit_at_the_last_moment)
    assert worker.work(store.folder, idle=0.3) == 0
    assert look(store, ids[0]).state == "done"


def test_a_locked_or_full_record_does_not_end_the_worker(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from prospr_engine.jobs import local
    from prospr_engine.store import schema

    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", FINISHES))
    monkeypatch.setattr(worker, "RETRY", 0.05)
    monkeypatch.setattr(schema, "PATIENCE", 0.05)
    run = store.submit(seeded(1))
    rival = sqlite3.connect(store.database, isolation_level=None, check_same_thread=False)
    rival.execute("BEGIN IMMEDIATE")
    threading.Timer(1.0, lambda: rival.execute("ROLLBACK")).start()
    assert worker.work(store.folder, lambda: look(store, run.id).state == "done") == 0
    rival.close()
    assert look(store, run.id).state == "done"
    (warning,) = [r.getMessage() for r in caplog.records if "Trying again" in r.getMessage()]
    assert "busy" in warning
    assert "database is locked" in warning


def test_a_store_of_a_newer_version_is_a_line_in_the_log_and_exit_code_2(
    store: Store, caplog: pytest.LogCaptureFixture
):
    with sqlite3.connect(store.database) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    done = subprocess.run(
        [sys.executable, "-m", "prospr_engine.jobs.worker", str(store.folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "newer version" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_data_is_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROSPR_DATA", "sets")
    assert spawn.environment()["PROSPR_DATA"] == str(Path.cwd() / "sets")
    monkeypatch.delenv("PROSPR_DATA")
    assert "PROSPR_DATA" not in spawn.environment()
