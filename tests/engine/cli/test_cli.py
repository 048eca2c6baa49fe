"""The commands as people type them; those that a process of its own matters to, have one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine.jobs.jobs_fakes import DIES, FINISHES, OBEYS, WORKER, end_workers, look
from paths import ROOT
from processes import python
from waiting import PATIENCE, until

from prospr_engine.cli import main as cli
from prospr_engine.config import RunConfig
from prospr_engine.store.store import Store

QUICK = ["--model", "mlp", "--data", "digits", "--train-limit", "200", "--test-limit", "50"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "prospr_engine", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "out"
    done = command("run", *QUICK, "--epochs", 1, "--sparsity", "95%", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return done, out


def test_run_prints_one_object_with_what_was_promised(finished):
    done, out = finished
    result = json.loads(done.stdout)
    assert 0 <= result["accuracy"]["dense"] <= 1
    assert 0 <= result["accuracy"]["pruned"] <= 1
    assert result["sparsity"]["requested"] == 0.95
    assert result["sparsity"]["achieved"] == pytest.approx(0.95, abs=1e-4)
    assert {"name", "total", "kept"} <= set(result["layers"][0])
    assert {"path", "bytes", "max_abs_error", "zeros"} <= set(result["onnx"])
    assert result["seconds"] > 0
    for name in ("model.onnx", "masks.safetensors", "result.json", "config.json"):
        assert (out / name).is_file()
    assert "Traceback" not in done.stderr
    assert "dense  epoch 1 of 1" in done.stderr


def test_verify_accepts_the_file_and_rejects_a_changed_one(finished, tmp_path, capsys):
    _, out = finished
    assert cli.main(["verify", str(out / "model.onnx")]) == 0
    assert "matches its record" in capsys.readouterr().out
    changed = bytearray((out / "model.onnx").read_bytes())
    position = len(changed) // 3
    changed[position : position + 4] = bytes(b ^ 0x3F for b in changed[position : position + 4])
    (tmp_path / "changed.onnx").write_bytes(changed)
    assert cli.main(["verify", str(tmp_path / "changed.onnx"), "--json"]) in {1, 2}
    assert "Traceback" not in capsys.readouterr().err
    assert cli.main(["verify", str(ROOT / "README.md"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ExportError"


def test_the_config_of_a_run_starts_it_again(finished, tmp_path, capsys):
    _, out = finished  # of another process
    again = ["run", "--config", str(out / "config.json"), "--out", str(tmp_path), "--quiet"]
    assert cli.main(again) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert (tmp_path / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()
    assert "of the weights removed" in output.out


def test_score_shows_layers_without_training(tmp_path, capsys):
    options = ["-o", "steps=1", "-o", "lr=0.05", "--sparsity", "0.8", "--json"]
    assert cli.main(["score", *QUICK, *options, "--out", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["trust"]["trusted"] is True
    assert shown["sparsity"]["requested"] == 0.8
    assert (tmp_path / "scores.safetensors").is_file()
    assert not (tmp_path / "model.onnx").exists()


def test_export_writes_a_trained_network_again(finished, tmp_path, capsys):
    _, out = finished
    target = str(tmp_path / "dense.onnx")
    assert cli.main(["export", str(out), "--network", "dense", "--out", target, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert cli.main(["export", str(out), "--out", str(tmp_path / "masks.safetensors")]) == 2


def test_scores_do_not_replace_those_of_a_finished_run(finished, capsys):
    _, out = finished
    before = (out / "masks.safetensors").read_bytes()
    assert cli.main(["score", *QUICK, "--sparsity", "0.5", "--out", str(out), "--quiet"]) == 2
    assert "finished run" in capsys.readouterr().err
    assert (out / "masks.safetensors").read_bytes() == before


def test_without_out_the_folder_is_named_by_the_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["score", *QUICK, "--method", "magnitude", "--json"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads(capsys.readouterr().out)["out"] == f"runs/{folder.name}"
    assert (folder / "masks.safetensors").is_file()


def test_an_output_that_cannot_be_written_is_one_sentence():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "prospr_engine", "list", "methods", "--json"],
            stdout=output, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
    assert "error: Reading or writing failed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("table", ["methods", "models", "datasets"])
def test_list_knows_every_row(table, capsys):
    assert cli.main(["list", table, "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)[table]]
    assert {"methods": "prospr", "models": "torchvision/resnet18", "datasets": "digits"}[
        table
    ] in names
    assert cli.main(["list", table]) == 0
    plain = capsys.readouterr().out
    assert all(name in plain for name in names)


def test_doctor_finds_this_machine_fit(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [check["ok"] for check in report["checks"]] == [True, True]
    assert report["environment"]["torch"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sparsity", "1"], "below 1"),
        (["--sparsity", "95"], "give 0.95"),
        (["--sparsity", "lots"], "number"),
        (["--model", "resnet21"], "did you mean"),
        (["--data", "no/such/folder"], "no/such/folder"),
        (["--method", "prosper"], "did you mean 'prospr'"),
        (["--epochs", "some"], "whole number"),
        (["-o", "steps"], "name and a value"),
        (["-o", "steps=many"], "whole number"),
        (["--config", "nowhere.json"], "cannot be read"),
        (["--device", "cuda:99"], "no device"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, capsys):
    code = cli.main(["run", *arguments, "--out", str(tmp_path), "--quiet", "--json"])
    output = capsys.readouterr()
    assert code == 2
    assert words in output.err
    assert output.err.startswith("error: ")
    assert json.loads(output.out)["error"]["message"] in output.err


def test_unknown_flags_and_commands_are_refused_with_exit_code_2(capsys):
    for arguments in (["run", "--sparsty", "0.9"], ["prune"], []):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 2
    assert "--sparsty" in capsys.readouterr().err


def test_every_help_page_renders(capsys):
    for arguments in (["--help"], ["run", "--help"], ["score", "--help"], ["verify", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 0
    assert "--train-lr" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
def test_ctrl_c_stops_with_130_and_no_stack_trace(tmp_path):
    # Some shells start commands with Ctrl-C switched off, and children inherit that.
    code = (
        "import signal, sys; from prospr_engine.cli.main import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", *QUICK, "--epochs", "10000", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert any("epoch 1 of" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert error.strip().endswith("error: Stopped.")
    assert "Traceback" not in error


# In the store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    yield store
    end_workers(store)


def stored(child, *arguments, environment=None):
    """The command line, with a worker whose children run the code ``child``."""
    code = (
        "import signal, sys\n"
        "from prospr_engine.cli.main import main; from prospr_engine.jobs import spawn\n"
        f"spawn.COMMAND = (sys.executable, '-c', {WORKER.format(child=child)!r})\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )


def test_a_run_in_the_store_reads_like_one_that_is_computed_here(store, tmp_path):
    arguments = ["run", "--store", store.folder, "--seed", 7, "--name", "mine"]
    process = stored(FINISHES, *arguments, "--out", tmp_path / "out", "--json")
    output, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error
    assert error == "Training\n"
    (run,) = store.runs()
    assert (run.name, run.owner, run.config.seed, run.state) == ("mine", "", 7, "done")
    result = json.loads(output)
    assert result["accuracy"] == {"dense": 0.9, "pruned": 0.8}
    assert (result["run"], result["out"]) == (run.id, str(tmp_path / "out"))
    assert Path(result["onnx"]["path"]).read_bytes() == b"model"
    assert {"model.onnx", "result.json", "config.json"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }
    again = stored(DIES, *arguments)
    output, error = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, error
    assert f"run before: run {run.id[:8]}" in error
    assert "90\N{NO-BREAK SPACE}% of the weights removed" in output
    assert len(store.runs()) == 1
    (tmp_path / "out" / "result.json").write_text('{"fingerprint": "another"}')
    refused = stored(DIES, *arguments, "--out", tmp_path / "out")
    assert "already contains the result" in refused.communicate(timeout=PATIENCE)[1]
    assert refused.returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
def test_a_run_in_the_store_waits_for_its_turn_and_stops_on_ctrl_c(store, tmp_path):
    first = store.submit(RunConfig(seed=1), "visitor")
    process = stored(OBEYS, "run", "--store", store.folder, "--seed", 2)
    assert process.stderr.readline() == "Waiting: 1 run ahead\n"
    until(lambda: look(store, first.id).state == "running")
    store.stop(first.id, "visitor")
    assert process.stderr.readline() == "Training\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert error == "error: Stopped.\n"
    assert [run.state for run in store.runs()] == ["stopped", "stopped"]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
def test_a_run_in_the_store_that_does_not_end_well_is_exit_code_2(store):
    failed = stored(DIES, "run", "--store", store.folder)
    _, error = failed.communicate(timeout=PATIENCE)
    assert failed.returncode == 2
    assert "error: The run broke off unexpectedly. The machine may have run out of memory" in error
    end_workers(store)
    stopped = stored(OBEYS, "run", "--store", store.folder)
    assert stopped.stderr.readline() == "Training\n"
    (run,) = (run for run in store.runs() if run.live)
    store.stop(run.id, "")
    assert "stopped by someone else" in stopped.communicate(timeout=PATIENCE)[1]
    assert stopped.returncode == 2
    deleted = stored(OBEYS, "run", "--store", store.folder)
    assert deleted.stderr.readline() == "Training\n"
    (run,) = (run for run in store.runs() if run.live)
    store.delete(run.id, "")
    assert "error: The run was deleted." in deleted.communicate(timeout=PATIENCE)[1]
    assert deleted.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ([], {"PROSPR_MOST_QUEUED": "0"}, "already waiting"),
        ([], {"PROSPR_MOST_QUEUED": "many"}, "whole number"),
        (["--model", "resnet21"], {}, "did you mean"),
        (["--method", "prosper"], {}, "did you mean"),
    ],
)
def test_what_the_store_does_not_take_is_a_sentence(
    store, capsys, monkeypatch, arguments, environment, words
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["run", "--store", str(store.folder), "--quiet", *arguments]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert words in output.err
    assert store.runs() == []


def test_files_are_named_so_that_the_worker_finds_them(store, tmp_path, monkeypatch):
    from prospr_engine.cli import store_runs

    (tmp_path / "pictures").mkdir()
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store_runs, "follow", lambda store, id, on_event: 1 / 0)
    for data in ("pictures", "digits", "no/such"):
        with pytest.raises(ZeroDivisionError):
            cli.main(["run", "--store", str(store.folder), "--quiet", "--data", data])
    assert [run.settings["data"] for run in reversed(store.runs())] == [
        str(tmp_path / "pictures"),
        "digits",
        "no/such",
    ]


def test_runs_lists_stops_and_deletes_what_anybody_started(store, capsys, monkeypatch):
    monkeypatch.setenv("PROSPR_RUNS", str(store.folder))
    assert cli.main(["runs"]) == 0
    assert "No runs yet" in capsys.readouterr().out
    mine = store.submit(RunConfig(seed=1, sparsity=0.95), name="a [bold]name[/bold] " + "x" * 60)
    other = store.submit(RunConfig(seed=2, data=f"upload:{'0' * 64}/cats.zip"), "visitor-secret")
    assert cli.main(["runs"]) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()[1:]] == [other.id[:8], mine.id[:8]]
    assert "a [bold]name[/bold] " + "x" * 60 in table
    assert "95\N{NO-BREAK SPACE}%" in table
    assert "cats.zip" in table
    assert "queued, 1 ahead" in table
    assert cli.main(["runs", "--json"]) == 0
    output = capsys.readouterr().out
    assert "visitor-secret" not in output
    shown = json.loads(output)["runs"]
    assert [run["id"] for run in shown] == [other.id, mine.id]
    assert [run["started_by"] for run in shown] == ["a visitor", "the command line"]
    assert RunConfig.from_dict(shown[1]["settings"]) == mine.config
    assert cli.main(["runs", "--stop", other.id[:12]]) == 0
    assert capsys.readouterr().out == f"Run {other.id[:8]}: stopped.\n"
    assert look(store, other.id).state == "stopped"
    assert cli.main(["runs", "--delete", other.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == other.id
    assert [run.id for run in store.runs()] == [mine.id]


def test_runs_refuses_ids_that_name_no_run_or_several(store, capsys, tmp_path):
    folder = ["--store", str(store.folder)]
    runs = [store.submit(RunConfig(seed=seed)) for seed in range(17)]  # 17 ids, 16 first digits
    first = next(digit for digit in "0123456789abcdef" if sum(r.id[0] == digit for r in runs) > 1)
    for id, words in ((first, "give more of it"), ("xyz", "`runs` lists them"), ("", "No run has")):
        assert cli.main(["runs", *folder, "--delete", id]) == 2
        assert words in capsys.readouterr().err
    assert len(store.runs()) == 17
    assert cli.main(["runs", "--store", str(tmp_path / "mistyped")]) == 2
    assert "There is no store in" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()
