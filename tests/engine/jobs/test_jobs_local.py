"""Runs in child processes; what a child may do wrong is played by short scripts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from waiting import PATIENCE, until

from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.jobs import child, local
from prospr_engine.jobs.local import LocalExecutor
from prospr_engine.sweeps.executor import UNEXPECTED, Ended, Reported
from prospr_engine.sweeps.workspace import Workspace

SETTINGS = RunConfig(model="mlp").to_dict()
ENGINE = (
    "import sys, time, types, prospr_engine\n"
    "from prospr_engine.errors import ModelError, Stopped\n"
    "from prospr_engine.events import StageStarted\n"
    "m = types.ModuleType('prospr_engine.pipeline.run')\n"
    "def run(config, tell, stop, out, shared=None):\n"
    "    {work}\n"
    "m.run = run\n"
    "sys.modules[m.__name__] = m\n"
    "from prospr_engine.jobs.child import main; main()"
)
"""The real child with another engine in it."""


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(grace=0.3)
    yield executor
    executor.close()


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let children run ``code`` instead of the engine."""
    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", code))


def begin(executor: LocalExecutor, out: Path, id: str = "a") -> None:
    executor.start(id, SETTINGS, out)


def listen(executor: LocalExecutor) -> tuple[list[dict], Ended]:
    """All that is told until a run ends, and how it ended."""
    output: list[dict] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for message in executor.poll(0.05):
            if isinstance(message, Ended):
                return output, message
            assert isinstance(message, Reported)
            output.append(dict(message.event))
    raise AssertionError("it did not end in time")


def first_word(executor: LocalExecutor) -> Reported:
    """What a run tells first; it goes on."""
    heard: list[Any] = []
    until(lambda: heard.extend(executor.poll(0.05)) or heard)
    (output,) = heard
    assert isinstance(output, Reported)
    return output


def test_events_of_a_run_arrive_in_order_and_its_end_last(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    work = "for word in (config.model, str(out), 'x' * 200_000): tell(StageStarted('data', word))"
    pretend(monkeypatch, ENGINE.format(work=work))
    assert executor.free() == 1
    begin(executor, tmp_path / "out")
    assert executor.free() == 0
    output, end = listen(executor)
    assert [event["text"] for event in output] == ["mlp", str(tmp_path / "out"), "x" * 200_000]
    assert end == Ended("a", "done")
    assert executor.free() == 1


def test_the_message_of_an_engine_error_is_passed_on(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work="raise ModelError('Choose a smaller one.')"))
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "failed", "Choose a smaller one.")


def test_settings_of_another_version_are_a_sentence_too(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work="pass"))
    executor.start("a", {"colour": "blue"}, tmp_path)
    _, end = listen(executor)
    assert end.state == "failed"
    assert "'colour'" in (end.error or "")


def test_a_fault_of_the_software_is_a_plain_sentence_and_a_traceback_in_the_log(
    executor: LocalExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    pretend(monkeypatch, ENGINE.format(work="1 / 0"))
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "failed", UNEXPECTED)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_libraries_print_does_not_mix_with_the_events(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    work = "print('hello'); tell(StageStarted('data', 'näher → x'))"
    pretend(monkeypatch, ENGINE.format(work=work))
    begin(executor, tmp_path)
    output, end = listen(executor)
    assert end.state == "done"
    assert [event["text"] for event in output] == ["näher → x"]


def test_a_child_that_dies_fails_its_run_only(
    executor: LocalExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    pretend(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    begin(executor, tmp_path)
    _, end = listen(executor)
    assert end.state == "failed"
    assert end.error
    assert "signal" not in end.error
    assert "its process ended by signal 9" in caplog.text
    assert "memory" in end.error
    pretend(monkeypatch, "import os; print('{\"event', end='', flush=True); os._exit(3)")
    begin(executor, tmp_path)
    assert "Try it again" in (listen(executor)[1].error or "")
    assert "its process ended by exit code 3" in caplog.text
    pretend(monkeypatch, 'print(\'{"end": "done"}\', flush=True)')
    begin(executor, tmp_path, "b")
    assert listen(executor)[1] == Ended("b", "done")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_end_of_a_service_is_not_for_its_child_however_early_it_comes(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signals = "import os; os.kill(os.getpid(), 15); os.kill(os.getpid(), 2); "
    pretend(monkeypatch, signals + 'print(\'{"end": "done"}\', flush=True)')
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "done")
    # Once it ignores them, it blocks none: its own children would inherit that.
    work = "import signal; raise ModelError(str(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    pretend(monkeypatch, signals + ENGINE.format(work=work))
    begin(executor, tmp_path, "b")
    assert listen(executor)[1] == Ended("b", "failed", "set()")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_message_that_is_none_ends_the_run_and_its_process(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(local, "LAST_WORD", 0.2)
    pretend(monkeypatch, "import time; print('{\"x\": 1}', flush=True); time.sleep(600)")
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "failed", UNEXPECTED)


def test_a_program_that_cannot_be_started_is_a_failed_run(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(local, "COMMAND", (str(tmp_path / "nothing"),))
    begin(executor, tmp_path)
    assert executor.free() == 0
    _, end = listen(executor)
    assert "could not be started" in (end.error or "")
    assert executor.free() == 1


def test_stop_is_heard_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        ENGINE.format(
            work="tell(StageStarted('train', ''))\n"
            "    while not stop(): time.sleep(0.01)\n"
            "    tell(StageStarted('heard', ''))\n"
            "    raise Stopped"
        ),
    )
    executor = LocalExecutor(grace=60.0)
    begin(executor, tmp_path)
    first_word(executor)
    executor.cancel("a")
    executor.cancel("a")
    executor.cancel("nobody")
    output, end = listen(executor)
    assert [event["stage"] for event in output] == ["heard"]
    assert end == Ended("a", "stopped")


def test_a_child_that_does_not_listen_is_ended(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, 'import time; print(\'{"event": "x"}\', flush=True); time.sleep(600)')
    begin(executor, tmp_path)
    first_word(executor)
    asked = time.monotonic()
    executor.cancel("a")
    assert listen(executor)[1] == Ended("a", "stopped")
    assert time.monotonic() - asked >= 0.3  # it is given time


def test_a_child_that_lingers_after_its_last_word_is_ended(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(local, "LAST_WORD", 0.2)
    pretend(monkeypatch, 'import time; print(\'{"end": "done"}\', flush=True); time.sleep(600)')
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "done")


def test_a_child_that_still_imports_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        "import os, sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'prospr_engine.pipeline.run':\n"
        '            os.write(report, b\'{"event": "importing"}\\n\'); time.sleep(600)\n'
        "report = os.dup(1); sys.meta_path.insert(0, Slow())\n"
        "from prospr_engine.jobs.child import main; main()",
    )
    executor = LocalExecutor(grace=60.0)
    begin(executor, tmp_path)
    first_word(executor)
    executor.cancel("a")
    assert listen(executor)[1] == Ended("a", "stopped")


def test_a_run_that_reported_its_result_is_done_whatever_happens_next(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(
        monkeypatch,
        'print(\'{"event": "Finished", "result": {}}\', flush=True)\n'
        "import os; os.kill(os.getpid(), 9)",
    )
    begin(executor, tmp_path)
    assert listen(executor)[1] == Ended("a", "done")


def test_closing_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, "import time; time.sleep(600)")
    executor = LocalExecutor(grace=0.1, slots=3)
    for id in "abc":
        begin(executor, tmp_path, id)
    assert executor.free() == 0
    executor.close()
    assert sorted(m.id for m in executor.poll() if m == Ended(m.id, "stopped")) == ["a", "b", "c"]


def test_variables_and_manners_of_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(
        monkeypatch,
        "import os, json; from prospr_engine.jobs.child import _step_back; _step_back()\n"
        "print(json.dumps({'event': '', 'nice': os.nice(0), 'x': os.environ['PROSPR_UPLOADS'],\n"
        "    'threads': os.environ['OMP_NUM_THREADS']}))\n"
        'print(\'{"end": "done"}\', flush=True)',
    )
    executor = LocalExecutor(Workspace(tmp_path, uploads=tmp_path / "somewhere"))
    begin(executor, tmp_path)
    (output,), _ = listen(executor)
    assert output["nice"] >= 5
    assert output["x"] == str(tmp_path / "somewhere")
    assert int(output["threads"]) == max(1, (os.cpu_count() or 2) - 1)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_child_exits_with_its_parent_and_ignores_signals_to_the_group():
    code = ENGINE.format(work="tell(StageStarted('data', '')); time.sleep(600)")
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(json.dumps({"config": SETTINGS, "out": "x"}).encode() + b"\n")
        child.stdin.flush()
        assert b"StageStarted" in child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert child.poll() is None
        child.stdin.close()
        try:
            assert child.wait(PATIENCE) == 1
        finally:
            child.kill()


# One child, many runs

TELLS_WHO = "import os; tell(StageStarted('data', str(os.getpid())))"


def work(executor: LocalExecutor, out: Path, id: str = "a") -> tuple[int, Ended]:
    """Have a run done by a child that tells who it is."""
    begin(executor, out, id)
    output, end = listen(executor)
    assert end.id == id
    return int(output[0]["text"]), end


def test_a_child_takes_one_run_after_another(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work=TELLS_WHO))
    assert len({work(executor, tmp_path, id)[0] for id in "aaa"}) == 1


def test_an_error_of_the_engine_leaves_the_child_alive(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work=f"{TELLS_WHO}; raise ModelError('Too small.')"))
    first, second = work(executor, tmp_path), work(executor, tmp_path)
    assert first == second
    assert first[1] == Ended("a", "failed", "Too small.")


def test_a_fault_of_the_software_ends_the_child(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work=f"{TELLS_WHO}; 1 / 0"))
    assert work(executor, tmp_path)[0] != work(executor, tmp_path)[0]


@pytest.mark.parametrize(
    ("bound", "runs"),
    [("c.MOST_RUNS = 2", 2), ("c._memory = iter(range(1, 99)).__next__; c.MOST_GROWTH = 2", 3)],
)
def test_a_child_leaves_before_leaks_can_grow(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, runs: int
):
    bounded = f"import prospr_engine.jobs.child as c; {bound}\n" + ENGINE.format(work=TELLS_WHO)
    pretend(monkeypatch, bounded)
    pids = [work(executor, tmp_path)[0] for _ in range(2 * runs)]
    assert pids == [pids[0]] * runs + [pids[-1]] * runs
    assert pids[0] != pids[-1]


def test_this_process_holds_some_memory():
    assert 10e6 < child._memory() < 100e9


def test_a_stop_leaves_the_child_alive_and_the_next_run_alone(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    waits = "while out.name == 'first' and not stop(): time.sleep(0.01)"
    slowly = "for _ in range(60): time.sleep(0.01); stop() and 1 / 0"  # twice the grace period
    pretend(
        monkeypatch,
        ENGINE.format(work=f"{TELLS_WHO}\n    {waits}\n    if stop(): raise Stopped\n    {slowly}"),
    )
    begin(executor, tmp_path / "first")
    output = first_word(executor)
    executor.cancel("a")
    assert listen(executor)[1] == Ended("a", "stopped")
    pid, end = work(executor, tmp_path / "second", "b")
    assert end == Ended("b", "done")
    assert output.event["text"] == str(pid)


def test_a_late_request_does_not_stop_the_next_run():
    code = ENGINE.format(work="tell(StageStarted('data', str(stop())))")
    order = json.dumps({"config": SETTINGS, "out": "x"}).encode() + b"\n"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        for lines in (order, b"stop\n" + order):
            process.stdin.write(lines)
            assert json.loads(process.stdout.readline())["text"] == "False"
            assert json.loads(process.stdout.readline())["end"] == "done"
        process.stdin.close()


def test_a_crash_ends_the_child_and_no_other_run(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dies = "if out.name == 'dies': os.kill(os.getpid(), 9)"
    pretend(monkeypatch, ENGINE.format(work=f"{TELLS_WHO}\n    {dies}"))
    pid, _ = work(executor, tmp_path)
    again, end = work(executor, tmp_path / "dies", "b")
    assert (again, end.state) == (pid, "failed")
    other, end = work(executor, tmp_path, "c")
    assert other != pid
    assert end == Ended("c", "done")


def test_a_child_that_dies_while_it_waits_is_not_missed(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend(monkeypatch, ENGINE.format(work=TELLS_WHO))
    pid, _ = work(executor, tmp_path)
    (waiting,) = executor._idle
    os.kill(pid, signal.SIGKILL)
    until(lambda: waiting._process.poll() is not None)
    assert executor.poll() == []
    other, end = work(executor, tmp_path, "b")
    assert other != pid
    assert end.state == "done"


def test_a_child_that_is_being_killed_gets_no_other_run(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The run ends by itself in the moment in which its process is ended for not stopping."""
    killing, ended = tmp_path / "killing", threading.Event()
    last = f"while out.name == 'first' and not pathlib.Path({str(killing)!r}).exists(): pass"
    slow = "time.sleep(0.3 * (out.name == 'second'))"
    code = f"import pathlib; {TELLS_WHO}\n    {last}\n    {slow}"
    pretend(monkeypatch, ENGINE.format(work=code))
    begin(executor, tmp_path / "first")
    first_word(executor)
    process = executor._busy["a"]._process  # type: ignore[union-attr]
    kill = process.kill

    def kill_late() -> None:
        killing.touch()
        ended.wait(1.0)
        kill()

    monkeypatch.setattr(process, "kill", kill_late)
    executor.cancel("a")
    assert listen(executor)[1] == Ended("a", "done")
    begin(executor, tmp_path / "second", "b")
    ended.set()
    assert listen(executor)[1] == Ended("b", "done")


def test_closing_ends_idle_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, ENGINE.format(work=TELLS_WHO))
    executor = LocalExecutor()
    pid, _ = work(executor, tmp_path)
    os.kill(pid, 0)
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_runs_share_lies_in_one_folder_and_is_kept_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tells = "tell(StageStarted('data', f'{shared.folder} {id(shared)}'))"
    pretend(monkeypatch, ENGINE.format(work=tells))
    executor = LocalExecutor(Workspace(tmp_path, tmp_path / "shared"))
    texts = set()
    for _ in range(2):
        begin(executor, tmp_path)
        texts.add(listen(executor)[0][0]["text"])
    executor.close()
    (text,) = texts
    assert text.startswith(f"{tmp_path / 'shared'} ")


def test_a_run_in_a_child_that_had_others_gives_the_same_to_the_byte(tmp_path: Path):
    loading = LoadingConfig(train_limit=100, test_limit=50)
    config = RunConfig(model="mlp", method="prospr", epochs=1, loading=loading, seed=3)
    others = (
        RunConfig(model="mlp", method="random", epochs=1, loading=loading, seed=8),
        RunConfig(model="mlp", method="prospr", epochs=1, loading=loading, seed=3, sparsity=0.5),
    )
    executor = LocalExecutor(Workspace(tmp_path, tmp_path / "shared"))
    for place, settings in enumerate((config, *others, config)):
        if place == 1:
            shutil.rmtree(tmp_path / "shared")  # what the second one shares is the others'
        executor.start("a", settings.to_dict(), tmp_path / str(place))
        assert listen(executor)[1] == Ended("a", "done")
    executor.close()
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / place).iterdir()}
        for place in ("0", "3")
    ]
    cold, warm = files
    results = [json.loads(contents.pop("result.json")) for contents in files]
    assert results[0]["seconds_of"]["training_dense"] > 0
    assert results[1]["seconds_of"]["training_dense"] == 0
    assert cold == warm
    assert len(cold) > 5
    for result in results:
        for part in (result, result["onnx"], *result["exports"].values(), *result["history"]):
            for name in ("seconds", "seconds_of", "out", "path"):
                part.pop(name, None)
    assert results[0] == results[1]
