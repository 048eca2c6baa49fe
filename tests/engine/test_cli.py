"""The commands as people type them, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prospr_engine import cli

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--model", "mlp", "--data", "digits", "--train-limit", "200", "--test-limit", "50"]


def command(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prospr_engine", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


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


def test_verify_accepts_the_file_and_rejects_a_changed_one(finished, tmp_path):
    _, out = finished
    good = command("verify", out / "model.onnx")
    assert good.returncode == 0, good.stderr
    assert "is what its label says" in good.stdout
    changed = bytearray((out / "model.onnx").read_bytes())
    position = len(changed) // 3
    changed[position : position + 4] = bytes(b ^ 0x3F for b in changed[position : position + 4])
    (tmp_path / "changed.onnx").write_bytes(changed)
    bad = command("verify", tmp_path / "changed.onnx", "--json")
    assert bad.returncode in {1, 2}
    assert "Traceback" not in bad.stderr
    foreign = command("verify", ROOT / "README.md", "--json")
    assert foreign.returncode == 2
    assert json.loads(foreign.stdout)["error"]["type"] == "ExportError"


def test_the_config_of_a_run_starts_it_again(finished, tmp_path):
    _, out = finished
    again = command("run", "--config", out / "config.json", "--out", tmp_path, "--quiet")
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    assert (tmp_path / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()
    assert "of the weights removed" in again.stdout


def test_score_shows_layers_without_training(tmp_path):
    done = command(
        "score", *QUICK, "-o", "steps=1", "-o", "lr=0.05", "--sparsity", 0.8, "--out", tmp_path,
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["trust"]["trusted"] is True
    assert told["sparsity"]["requested"] == 0.8
    assert (tmp_path / "scores.safetensors").is_file()
    assert not (tmp_path / "model.onnx").exists()


def test_export_writes_a_trained_network_again(finished, tmp_path):
    _, out = finished
    done = command("export", out, "--network", "dense", "--out", tmp_path / "dense.onnx", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True
    assert cli.main(["export", str(out), "--out", str(tmp_path / "masks.safetensors")]) == 2


def test_scores_do_not_replace_those_of_a_finished_run(finished, capsys):
    _, out = finished
    before = (out / "masks.safetensors").read_bytes()
    assert cli.main(["score", *QUICK, "--sparsity", "0.5", "--out", str(out), "--quiet"]) == 2
    assert "finished run" in capsys.readouterr().err
    assert (out / "masks.safetensors").read_bytes() == before


def test_without_out_the_folder_is_named_by_the_settings(tmp_path):
    done = command("score", *QUICK, "--method", "magnitude", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads(done.stdout)["out"] == f"runs/{folder.name}"
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
def test_list_knows_every_row(table):
    done = command("list", table, "--json")
    assert done.returncode == 0, done.stderr
    names = [row["name"] for row in json.loads(done.stdout)[table]]
    assert {"methods": "prospr", "models": "torchvision/resnet18", "datasets": "digits"}[
        table
    ] in names
    plain = command("list", table)
    assert all(name in plain.stdout for name in names)


def test_doctor_finds_this_machine_fit():
    done = command("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
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
        "import signal, sys; from prospr_engine.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", *QUICK, "--epochs", "10000", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "masks.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip().endswith("error: Stopped.")
    assert "Traceback" not in error
