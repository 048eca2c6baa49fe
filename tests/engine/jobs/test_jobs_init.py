"""The first process of a container: everybody hears of the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine.jobs.jobs_fakes import HANGS, OBEYS, WORKER, look, pids, seeded
from paths import ROOT
from waiting import PATIENCE, until

from prospr_engine.jobs.init import descendants
from prospr_engine.store.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes of Linux")

SERVER = """
import subprocess, sys, time
from prospr_engine.jobs import spawn
spawn.COMMAND = (sys.executable, "-c", {worker!r})
spawn.ensure_worker({folder!r})
time.sleep(600)
"""
"""A server with a worker in a session of its own. It ends with the signal, as any process does."""


@contextmanager
def init(code: str, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*before, sys.executable, "-m", "prospr_engine.jobs.init", sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            for pid in descendants(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.kill()


@pytest.mark.parametrize("child", [OBEYS, HANGS], ids=["obeys", "hangs"])
def test_docker_stop_puts_the_run_back(tmp_path: Path, child: str):
    store = Store(tmp_path / "store")
    run = store.submit(seeded(1))
    server = SERVER.format(worker=WORKER.format(child=child), folder=str(store.folder))
    for attempt in range(1, 5):
        with init(server) as process:
            until(lambda: any(e.get("stage") == "train" for e in store.events(run.id)))
            below = descendants(process.pid)
            assert pids(store)[-1] in below
            process.terminate()
            assert process.wait(PATIENCE) == 128 + signal.SIGTERM
            assert not any(Path(f"/proc/{pid}").exists() for pid in below)
        assert (look(store, run.id).state, look(store, run.id).attempt) == ("queued", attempt + 1)


def test_the_command_s_exit_code_and_the_end_of_what_it_left(tmp_path: Path):
    left, ready = tmp_path / "left", tmp_path / "ready"
    script = f'trap "echo heard > {left}; exit" TERM; : > {ready}; while :; do sleep 0.05; done'
    code = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen(['sh', '-c', {script!r}], start_new_session=True)\n"
        f"while not os.path.exists({str(ready)!r}): time.sleep(0.05)\n"
        "sys.exit(7)"
    )
    with init(code) as process:
        assert process.wait(PATIENCE) == 7
    assert left.read_text() == "heard\n"


def test_orphans_are_reaped_while_the_command_runs():
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0: os._exit(0)\n"
        "    os._exit(0)\n"
        "os.wait(); print('here', flush=True); time.sleep(600)"
    )
    with init(code) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        until(lambda: len(descendants(process.pid)) == 1)
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_what_does_not_listen_is_killed():
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('here', flush=True); time.sleep(600)"
    )
    with init(code) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGKILL
