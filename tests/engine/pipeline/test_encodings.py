"""A second encoding, added by one file and one row, is everywhere where the first one is."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from half_encoding import decode, registered

import prospr_engine as pe
from prospr_engine.cli import render
from prospr_engine.cli.main import main
from prospr_engine.errors import Stopped
from prospr_engine.format import size
from prospr_engine.metrics import summary
from prospr_engine.models.measures import known
from prospr_engine.pipeline.estimate import catalogue, estimate
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.sweeps import statistics, table

CONFIG = pe.RunConfig(
    model="mlp",
    epochs=1,
    sparsity=0.8,
    method="magnitude",
    device="cpu",
    encodings=("dense", "compact", "half"),
    loading=pe.LoadingConfig(train_limit=300, test_limit=100),
)


@pytest.fixture(scope="module", autouse=True)
def half():
    with registered() as row:
        yield row


@pytest.fixture(scope="module")
def finished(half, tmp_path_factory: pytest.TempPathFactory) -> tuple[pe.RunResult, Path]:
    out = tmp_path_factory.mktemp("run") / "out"
    return pe.run(CONFIG, out=out), out


def test_a_run_writes_and_proves_a_file_in_each(finished, half):
    result, out = finished
    assert set(result.exports) == {"dense", "compact", "half"}
    assert sorted(path.name for path in out.glob("*.onnx")) == [
        "model-compact.onnx",
        "model-half.onnx",
        "model.onnx",
    ]
    for export in result.exports.values():
        assert export.proof.ok
        assert export.bytes == export.path.stat().st_size
        assert export.zipped < export.bytes
    dense, other = result.exports["dense"], result.exports["half"]
    assert other.bytes < 0.55 * dense.bytes
    # Rounding to 11 bits is seen, and allowed by the row: not by that of the dense file.
    assert dense.tolerance < other.proof.max_abs_error < other.tolerance
    assert other.tolerance == pytest.approx(100 * dense.tolerance, rel=0.01)


def test_the_weights_come_back(finished):
    _, out = finished
    found = decode(onnx.load(out / "model-half.onnx"))
    masks = pe.Masks.load(out / "masks.safetensors")
    for name, mask in masks.items():
        assert found[name].dtype == np.float32
        assert not found[name][~mask.numpy()].any()


def test_the_result_has_both(finished):
    result, out = finished
    answer = json.loads((out / "result.json").read_text("utf-8"))
    assert set(answer["exports"]) == {"dense", "compact", "half"}
    assert answer["onnx"] == answer["exports"]["dense"]
    record = RunRecord.read(out / "result.json")
    assert record == result.record
    for name, export in result.exports.items():
        assert record.exports[name].bytes == export.bytes
        assert record.exports[name].zipped == export.zipped
        assert record.exports[name].tolerance == export.tolerance
    assert record.onnx == record.exports["dense"]
    assert summary(answer)["exports"] == {
        name: {"bytes": export.bytes, "zipped": export.zipped}
        for name, export in result.exports.items()
    }


def test_the_terminal_shows_both(finished, capsys: pytest.CaptureFixture[str]):
    result, _ = finished
    render.print_result(result.to_dict())
    shown = capsys.readouterr().out
    lines = [line.strip() for line in shown.splitlines()]
    for export in result.exports.values():
        assert any(line.startswith(str(export.path)) for line in lines)
    for name, encoding in (("Model file", "dense"), ("Model file (dense, 16 bit)", "half")):
        assert any(
            line.startswith(f"{name}  ") and line.endswith(size(result.exports[encoding].bytes))
            for line in lines
        )


def test_a_sweep_has_the_sizes_of_both(half, tmp_path: Path):
    run = dataclasses.replace(CONFIG, method="prospr", sparsity=0.9)
    config = pe.SweepConfig(run=run, methods=("magnitude",), sparsities=(0.5, 0.8))
    found = pe.sweep(config, out=tmp_path)
    assert (found["file_bytes_half"] < 0.55 * found["file_bytes"]).all()
    # Half of the weights are random bits and the rest zeros, or a fifth of them.
    assert found["zipped_bytes_half"].is_monotonic_decreasing
    assert (found["zipped_bytes_half"] < found["zipped_bytes"]).all()
    again = table.read(tmp_path / "cells.csv")
    assert list(again["file_bytes_half"]) == list(found["file_bytes_half"])
    (_, means) = statistics.summarise(found, ["sparsity"]).to_dict("records")
    assert means["zipped_bytes_half_mean"] == found["zipped_bytes_half"][1]


def test_the_estimate_asks_the_row(half):
    size = known("small_cnn", 1, 8, 10)
    assert size is not None
    found = estimate(CONFIG, catalogue("digits"), size)
    assert set(found.files) == {"dense", "compact", "half"}
    assert found.files["half"].bytes < found.files["dense"].bytes == found.bytes
    assert found.files["half"].zipped == pytest.approx(0.5 * found.files["half"].bytes, abs=2)


def test_commands_take_it(finished):
    _, out = finished
    assert main(["verify", str(out / "model-half.onnx")]) == 0
    assert main(["export", str(out), "--encoding", "half", "--network", "dense"]) == 0
    assert (out / "dense-half.onnx").is_file()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["verify", str(out / "dense-half.onnx"), "--json"]) == 0
    proof = json.loads(output.getvalue())
    assert proof["ok"]
    assert proof["provenance"]["encoding"] == "half"


def test_an_overwriting_run_takes_all_files_away(finished, tmp_path: Path):
    for name in ("model.onnx", "model-half.onnx"):
        (tmp_path / name).write_text("of an earlier run")

    with pytest.raises(Stopped):
        pe.run(CONFIG, should_stop=lambda: True, out=tmp_path, overwrite=True)
    assert not list(tmp_path.glob("*.onnx"))


def test_an_unknown_one_is_refused_before_any_work(tmp_path: Path):
    config = dataclasses.replace(CONFIG, encodings="dense,compcat")
    with pytest.raises(
        pe.EngineError, match=r"no encoding called 'compcat' \(did you mean 'compact'"
    ):
        pe.run(config, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_line_takes_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = [
        "run",
        "--model",
        "mlp",
        "--method",
        "magnitude",
        "--epochs",
        "0",
        "--test-limit",
        "50",
    ]
    assert (
        main([*words, "--encodings", "compact-fp16,dense", "--out", str(tmp_path), "--json"]) == 0
    )
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["exports"]) == ["dense", "compact-fp16"]
    assert shown["config"]["encodings"] == ["dense", "compact-fp16"]
    for export in shown["exports"].values():
        assert export["zipped_bytes"] == export["zipped"] < export["bytes"]
        assert {"path", "max_abs_error", "zeros", "accuracy", "latency_ms"} <= export.keys()
