"""A second encoding, added by one file and one row, is everywhere where the first one is."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from half_encoding import decode, registered
from PIL import Image

import prospr_engine as pe
from prospr_engine import identity
from prospr_engine.cli import render
from prospr_engine.cli.main import main
from prospr_engine.errors import ExportError, Stopped
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.interface import Interface
from prospr_engine.format import size
from prospr_engine.metrics import summary
from prospr_engine.models.measures import known
from prospr_engine.pipeline import files
from prospr_engine.pipeline.estimate import estimate
from prospr_engine.pipeline.images import catalogue
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.sweeps import statistics, table
from prospr_engine.training.evaluate import Evaluation

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


def test_its_code_may_change_so_no_two_runs_are_the_same(half):
    assert identity.run_key(CONFIG) is None
    assert identity.run_key(dataclasses.replace(CONFIG, encodings=("dense", "compact")))
    edition = identity.registered(CONFIG)
    assert edition.keys() == {"encodings"}
    ENCODINGS.register(half, replace=True)
    assert identity.registered(CONFIG) != edition


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
        name: {"bytes": export.bytes, "zipped": export.zipped, "latency_ms": export.latency_ms}
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


ROUNDED = dataclasses.replace(CONFIG, encodings=("dense", "compact", "compact-fp16", "int8"))


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> tuple[pe.RunResult, Path]:
    out = tmp_path_factory.mktemp("rounded") / "out"
    return pe.run(ROUNDED, out=out), out


@pytest.mark.parametrize("name", ROUNDED.encodings)
def test_the_accuracy_is_that_of_the_file(rounded, name: str):
    result, out = rounded
    data = pe.load_data(ROUNDED.data, ROUNDED.loading, ROUNDED.seed)
    images = (data.test.images.numpy() / 255 - data.mean[0]) / data.std[0]
    session = onnxruntime.InferenceSession(str(out / ENCODINGS[name].file()))
    (logits,) = session.run(None, {"input": images.astype(np.float32)})
    right = (logits.argmax(1) == data.test.labels.numpy()).mean()
    assert result.exports[name].accuracy == pytest.approx(right)
    assert result.exports[name].images_tested == len(data.test)  # 100, all of them
    assert result.record.exports[name].accuracy == result.exports[name].accuracy


def test_a_file_with_the_same_weights_need_not_answer_all(
    rounded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(files, "FEW", 20)
    result = pe.run(ROUNDED, out=tmp_path)
    tested = {name: export.images_tested for name, export in result.exports.items()}
    assert tested == {"dense": 20, "compact": 20, "compact-fp16": 100, "int8": 100}
    assert result.exports["dense"].accuracy == result.accuracy["pruned"]
    for name, export in rounded[0].exports.items():
        assert export.path.read_bytes() == result.exports[name].path.read_bytes()
    # One that answers otherwise than the network has to answer all.
    monkeypatch.setattr(
        files, "_classes", lambda path, own, data, chosen, emit: np.full(len(chosen), 3)
    )
    wrong = files._accuracy(
        tmp_path / "model.onnx", ENCODINGS["dense"], Interface(), *known_of(result)
    )
    assert wrong == (pytest.approx(float((labels(result) == 3).mean())), 100)


def labels(result: pe.RunResult) -> np.ndarray:
    return pe.load_data(ROUNDED.data, ROUNDED.loading, ROUNDED.seed).test.labels.numpy()


def known_of(result: pe.RunResult):
    predictions = torch.tensor(result.predictions["pruned"])
    tested = Evaluation(0.0, result.accuracy["pruned"], predictions)
    return pe.load_data(ROUNDED.data, ROUNDED.loading, ROUNDED.seed), tested, lambda event: None


def test_int8_can_be_exported_again(rounded, tmp_path: Path):
    _, out = rounded
    again = tmp_path / "again.onnx"
    assert main(["export", str(out), "--encoding", "int8", "--out", str(again)]) == 0
    assert again.read_bytes() == (out / "model-int8.onnx").read_bytes()
    assert main(["verify", str(again)]) == 0


@pytest.mark.parametrize("gone", [True, False])
def test_it_is_not_without_the_images_of_the_run(
    gone: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw = np.random.default_rng(0)
    for number in range(20):
        for name in ("cats", "dogs"):
            file = tmp_path / "pets" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8)).save(file)
    config = pe.RunConfig(data=str(tmp_path / "pets"), model="mlp", method="magnitude", epochs=0)
    pe.run(config, out=tmp_path / "out")
    if gone:
        shutil.rmtree(tmp_path / "pets")
    else:
        (tmp_path / "pets" / "cats" / "0.png").unlink()
    assert main(["export", str(tmp_path / "out"), "--encoding", "int8"]) == 2
    error = capsys.readouterr().err
    assert "rounds by training images of the run" in error
    assert ("cannot be read" if gone else "are others; restore them") in error
    assert main(["export", str(tmp_path / "out"), "--encoding", "compact"]) == 0


def test_a_file_that_cannot_be_written_does_not_cost_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refused(*_: object) -> None:
        raise ExportError("This network cannot be rounded.")

    monkeypatch.setitem(
        ENCODINGS._specs, "int8", dataclasses.replace(ENCODINGS["int8"], target=refused)
    )
    result = pe.run(ROUNDED, out=tmp_path)
    assert set(result.exports) == {"dense", "compact", "compact-fp16"}
    assert result.not_exported == {"int8": "This network cannot be rounded."}
    assert RunRecord.read(tmp_path / "result.json").not_exported == result.not_exported
    render.print_result(result.to_dict())
    assert "No file in int8: This network cannot be rounded." in capsys.readouterr().out
