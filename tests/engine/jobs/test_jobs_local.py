"""Runs in child processes: real ones, tiny."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prospr_engine.config import RunConfig, ScoringConfig
from prospr_engine.errors import ResourceError
from prospr_engine.jobs import local
from prospr_engine.jobs.child import UNEXPECTED
from prospr_engine.jobs.job import Job
from prospr_engine.jobs.local import Line

QUICK = RunConfig(method="magnitude", epochs=0)
LONG = RunConfig(epochs=500)


POPEN = subprocess.Popen


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def trains(job: Job) -> bool:
    return any(event.get("stage") == "train" for event in job.events())


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the child run ``code`` instead of the engine: the moments that matter, without torch."""

    def popen(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert command[1:] == ["-m", "prospr_engine.jobs.child"]
        return POPEN([sys.executable, "-c", code], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(local.subprocess, "Popen", popen)


def test_a_run_is_computed_in_a_child_and_told_as_it_goes(line: Line):
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert (job.state, job.error) == ("done", None)
    names = [event["event"] for event in job.events()]
    assert names[0] == "StageStarted"
    assert names[-1] == "Finished"
    assert "Pruned" in names
    result = json.loads((job.out / "result.json").read_text())
    assert job.events()[-1]["result"]["fingerprint"] == result["fingerprint"] == QUICK.fingerprint
    assert (job.out / "model.onnx").stat().st_size > 10_000
    assert line.find(job.id) is job


def test_stop_takes_less_than_two_seconds_and_the_next_begins(line: Line):
    job, behind = line.start(LONG), line.start(QUICK)
    assert (line.ahead(job), line.ahead(behind)) == (0, 1)
    until(lambda: trains(job))
    assert behind.state == "waiting"
    asked = time.monotonic()
    job.stop()
    until(lambda: not job.live)
    assert time.monotonic() - asked < 2.0
    assert (job.state, job.error) == ("stopped", None)
    assert line.ahead(behind) == 0
    until(lambda: not behind.live)
    assert behind.state == "done"


def test_an_engine_error_is_told_in_its_own_words(line: Line):
    job = line.start(RunConfig(model="resnet21"))
    until(lambda: not job.live)
    assert job.state == "failed"
    assert job.error
    assert "did you mean" in job.error


def test_a_fault_of_the_software_is_a_plain_sentence_and_a_traceback_in_the_log(
    line: Line, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    pretend(
        monkeypatch,
        "import sys, types; m = types.ModuleType('prospr_engine.pipeline')\n"
        "m.run = lambda *a: 1 / 0\n"
        "import prospr_engine; prospr_engine.pipeline = m; sys.modules[m.__name__] = m\n"
        "from prospr_engine.jobs.child import main; main()",
    )
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert (job.state, job.error) == ("failed", UNEXPECTED)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_libraries_print_does_not_mix_with_the_events(
    line: Line, monkeypatch: pytest.MonkeyPatch
):
    pretend(
        monkeypatch,
        "import sys, types; m = types.ModuleType('prospr_engine.pipeline')\n"
        "from prospr_engine.events import StageStarted\n"
        "def run(config, tell, stop, out):\n"
        "    print('hello'); tell(StageStarted('data', 'näher → x'))\n"
        "m.run = run\n"
        "import prospr_engine; prospr_engine.pipeline = m; sys.modules[m.__name__] = m\n"
        "from prospr_engine.jobs.child import main; main()",
    )
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert job.state == "done"
    assert [event["text"] for event in job.events()] == ["näher → x"]


def test_a_child_that_dies_fails_its_run_only(line: Line, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert job.state == "failed"
    assert job.error
    assert "signal 9" in job.error
    assert "memory" in job.error
    pretend(monkeypatch, 'print(\'{"end": "done"}\', flush=True)')
    after = line.start(QUICK)
    until(lambda: not after.live)
    assert after.state == "done"


def test_a_child_that_does_not_listen_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, 'import time; print(\'{"event": "x"}\', flush=True); time.sleep(600)')
    line = Line(tmp_path, grace=0.3)
    job = line.start(QUICK)
    until(lambda: bool(job.events()))
    asked = time.monotonic()
    job.stop()
    assert job.stopping
    assert job.live
    until(lambda: not job.live)
    assert 0.25 < time.monotonic() - asked < 2.0
    assert job.state == "stopped"


def test_what_did_not_finish_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        "import json, os, sys, pathlib; out = pathlib.Path(json.loads(input())['out'])\n"
        "out.mkdir(); (out / 'scores.safetensors').write_bytes(b'x' * 1000); os._exit(3)",
    )
    job = Line(tmp_path).start(QUICK)
    until(lambda: not job.live)
    assert job.state == "failed"
    assert not list(tmp_path.iterdir())


def test_a_run_that_told_its_result_is_done_whatever_happens_then(
    line: Line, monkeypatch: pytest.MonkeyPatch
):
    pretend(
        monkeypatch,
        'print(\'{"event": "Finished", "result": {}}\', flush=True)\n'
        "import os; os.kill(os.getpid(), 9)",
    )
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert (job.state, job.error) == ("done", None)


def test_a_child_that_still_imports_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        "import sys, time, types, threading\n"
        "class Slow:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'prospr_engine.pipeline': print('slow', file=sys.stderr);"
        " time.sleep(600)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from prospr_engine.jobs.child import main; main()",
    )
    line = Line(tmp_path, grace=60.0)
    job = line.start(QUICK)
    until(lambda: job._process is not None)
    time.sleep(1.0)
    job.stop()
    until(lambda: not job.live, 5.0)
    assert job.state == "stopped"


def test_closing_stops_all_that_wait_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, "import time; time.sleep(600)")
    line = Line(tmp_path, grace=0.1)
    jobs = [line.start(QUICK) for _ in range(3)]
    until(lambda: jobs[0].state == "running")
    line.close()
    assert [job.state for job in jobs] == ["stopped"] * 3


def test_a_full_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, "import time; time.sleep(600)")
    line = Line(tmp_path, grace=0.1, most_waiting=1)
    first = line.start(QUICK)
    until(lambda: first.state == "running")
    line.start(QUICK)
    with pytest.raises(ResourceError, match="1 run is waiting already"):
        line.start(QUICK)
    line.close()


def test_old_runs_are_forgotten_with_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, 'print(\'{"end": "done"}\', flush=True)')
    line = Line(tmp_path, most_kept=2)
    jobs = []
    for _ in range(4):
        jobs.append(line.start(QUICK))
        jobs[-1].out.mkdir()
        until(lambda: not jobs[-1].live)
    assert [line.find(job.id) is job for job in jobs] == [False, True, True, True]
    assert [job.out.exists() for job in jobs] == [False, True, True, True]
    assert jobs[2].ended
    assert jobs[3].ended
    jobs[3].ended -= 2 * local.DAY
    last = line.start(QUICK)
    until(lambda: not last.live)
    assert line.find(jobs[3].id) is None
    assert not jobs[3].out.exists()
    jobs[2].ended -= 2 * local.DAY
    line._swept -= local.SWEEP
    assert line.find(jobs[2].id) is None
    assert not jobs[2].out.exists()


def test_folders_of_an_earlier_server_are_removed_when_old_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, 'print(\'{"end": "done"}\', flush=True)')
    old, young, other = (tmp_path / name for name in ("0" * 32, "1" * 32, "precious"))
    for folder in (old, young, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    line = Line(tmp_path)
    job = line.start(QUICK)
    until(lambda: not job.live)
    assert [folder.exists() for folder in (old, young, other)] == [False, True, True]


def test_progress_of_a_long_run_does_not_pile_up(tmp_path: Path):
    job = Job("x", QUICK, tmp_path, 1.0)
    for done in range(1000):
        job.add({"event": "Progress", "stage": "train", "done": done})
    job.add({"event": "EpochEnded"})
    job.add({"event": "Progress", "stage": "train", "done": 1000})
    job.add({"event": "Progress", "stage": "data", "done": 1})
    told = [(event["event"], event.get("done")) for event in job.events()]
    assert told == [("Progress", 999), ("EpochEnded", None), ("Progress", 1000), ("Progress", 1)]


def test_a_child_that_has_nothing_to_tell_notices_the_end_too():
    code = (
        "import sys, time, types; m = types.ModuleType('prospr_engine.pipeline')\n"
        "def run(config, tell, stop, out):\n"
        "    tell(StageStarted('data', '')); time.sleep(600)\n"
        "from prospr_engine.events import StageStarted\n"
        "m.run = run\n"
        "import prospr_engine; prospr_engine.pipeline = m; sys.modules[m.__name__] = m\n"
        "from prospr_engine.jobs.child import main; main()"
    )
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[3]
    with POPEN(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(json.dumps({"config": QUICK.to_dict(), "out": "x"}).encode() + b"\n")
        child.stdin.flush()
        assert b"StageStarted" in child.stdout.readline()
        assert child.poll() is None
        child.stdin.close()
        try:
            assert child.wait(5) == 1
        finally:
            child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc of POSIX")
def test_the_child_ends_with_the_process_that_asked(tmp_path: Path):
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from prospr_engine.jobs.local import Line\n"
            "from prospr_engine.config import RunConfig\n"
            "job = Line(sys.argv[1]).start(RunConfig(epochs=500))\n"
            "while not job._process: time.sleep(0.01)\n"
            "print(job._process.pid, flush=True); time.sleep(600)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert server.stdout
    with server:
        child = int(server.stdout.readline())
        until(lambda: (next(tmp_path.glob("*/config.json"), None)) is not None)
        server.send_signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        # Without an init process in a container the dead stay listed as zombies.
        status = Path(f"/proc/{child}/stat")
        return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"

    until(gone, 5.0)


def test_a_child_leaves_the_server_the_first_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        "import os, json; from prospr_engine.jobs.child import _step_back; _step_back()\n"
        "print(json.dumps({'nice': os.nice(0), 'threads': os.environ['OMP_NUM_THREADS']}))\n"
        'print(\'{"end": "done"}\', flush=True)',
    )
    line = Line(tmp_path)
    job = line.start(RunConfig(scoring=ScoringConfig(batches=2)))
    until(lambda: not job.live)
    told = job.events()[0]
    assert told["nice"] >= 5
    assert int(told["threads"]) == max(1, (os.cpu_count() or 2) - 1)
