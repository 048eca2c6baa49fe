"""``result.json`` of every version, as a typed record."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from earlier import unpack

from prospr_engine.errors import DataError
from prospr_engine.pipeline.pruning_record import PruningRecord
from prospr_engine.pipeline.record import (
    FORMAT,
    RESULT,
    RunRecord,
    onnx_files,
    relocated,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``result.json`` that version 0.3.0 wrote."""
    return unpack(tmp_path_factory.mktemp("kept"), "run") / "run" / RESULT


@pytest.fixture
def values(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text("utf-8")))


def earlier(values: dict[str, Any], version: str) -> dict[str, Any]:
    """The result as an earlier version would have written it: see the changelog."""
    values = {**values, "onnx": {k: v for k, v in values["onnx"].items() if k != "zipped"}}
    later = {"0.2": ("per_class", "seconds_of"), "0.1": ("per_class", "seconds_of", "weights")}
    values["trust"] = {k: v for k, v in values["trust"].items() if k != "silent"}
    values["config"] = {k: v for k, v in values["config"].items() if k != "control"}
    return {name: value for name, value in values.items() if name not in later[version]}


def test_0_3_is_read(file: Path, values: dict[str, Any]):
    record = RunRecord.read(file)
    assert record.format is None
    assert record.accuracy == values["accuracy"]
    assert record.fingerprint == record.config.fingerprint == values["fingerprint"]
    assert record.pruning.kept == sum(layer["kept"] for layer in values["layers"])
    assert record.pruning.sparsity.achieved == 1 - record.pruning.kept / record.pruning.total
    assert set(record.exports) == {"dense"}
    assert record.onnx.zipped == values["onnx"]["zipped"]
    assert [check.text for check in record.onnx.checks] == [
        check["text"] for check in values["onnx"]["checks"]
    ]
    assert record.data.shape == tuple(values["data"]["shape"])
    assert record.data.split.test == len(record.predictions["pruned"])
    assert sum(record.per_class["images"]) == record.data.split.test
    assert record.environment.versions["prospr_engine"] == "0.3.0"
    assert [epoch.network for epoch in record.history] == ["dense", "pruned"] * record.config.epochs
    assert record.history_of("pruned") == record.history[1::2]
    assert record.seconds_of == values["seconds_of"]


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_earlier_versions_are_read(values: dict[str, Any], version: str):
    record = RunRecord.from_dict(earlier(values, version))
    assert record.per_class is None
    assert record.seconds_of is None
    assert record.onnx.zipped is None
    assert record.weights == (None if version == "0.1" else "fresh")
    assert record.config.control == "none"
    assert record.pruning.layers == RunRecord.from_dict(values).pruning.layers


def test_numbers_that_json_does_not_have(values: dict[str, Any]):
    values["trust"] = {**values["trust"], "growth": "inf", "losses": [1.0, "nan"]}
    trust = RunRecord.from_dict(values).pruning.trust
    assert trust.growth == float("inf")
    assert trust.losses[1] != trust.losses[1]


def test_what_a_later_version_adds_is_left_out(values: dict[str, Any]):
    values["layers"] = [{**layer, "latency": 1.0} for layer in values["layers"]]
    values["anything"] = 1
    assert RunRecord.from_dict({**values, "format": FORMAT}).format == FORMAT


def test_a_newer_format_is_refused_with_what_to_do(values: dict[str, Any]):
    with pytest.raises(DataError, match=r"newer version .* update"):
        RunRecord.from_dict({**values, "format": FORMAT + 1})


@pytest.mark.parametrize("name", ["accuracy", "layers", "onnx", "config", "data", "history"])
@pytest.mark.parametrize("value", [None, [], "text", {"a": 1}, [1]])
def test_what_is_none_is_refused_with_a_sentence(values: dict[str, Any], name: str, value: Any):
    if (name, value) in (("history", []), ("layers", [])):
        return  # nothing was trained, or nothing could be pruned
    with pytest.raises(DataError, match="not the result of a run"):
        RunRecord.from_dict({**values, name: value})
    with pytest.raises(DataError, match="not the result of a run"):
        RunRecord.from_dict({k: v for k, v in values.items() if k != name})


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null", '{"format": "x"}', "{}"])
def test_a_file_that_is_no_result(tmp_path: Path, content: str):
    (tmp_path / RESULT).write_text(content)
    with pytest.raises(DataError):
        RunRecord.read(tmp_path / RESULT)


def test_no_file(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        RunRecord.read(tmp_path / RESULT)


def test_an_event_is_read_as_the_result_is(values: dict[str, Any]):
    names = ("sparsity", "layers", "findings", "trust")
    event = {"event": "Pruned", "seq": 3, **{name: values[name] for name in names}}
    assert PruningRecord.from_dict(event) == RunRecord.from_dict(values).pruning
    with pytest.raises(DataError):
        PruningRecord.from_dict({"event": "Pruned"})


def test_a_result_elsewhere(values: dict[str, Any]):
    export = values["onnx"]
    values["exports"] = {"dense": export, "half": {**export, "path": "/a/b/model-half.onnx"}}
    assert onnx_files(values) == {"model.onnx", "model-half.onnx"}
    moved = RunRecord.from_dict(relocated(values, "there", {"model.onnx": "/c/3f0a"}))
    assert moved.out == "there"
    assert moved.exports["dense"].path == "/c/3f0a"
    assert moved.exports["half"].path == "model-half.onnx"
    assert (
        dataclasses.replace(moved.exports["dense"], path=export["path"])
        == (RunRecord.from_dict(values).exports["dense"])
    )
    assert relocated(values, "there", {})["onnx"]["path"] == "model.onnx"


def test_reading_needs_no_torch(file: Path):
    code = (
        "import sys; from prospr_engine.pipeline.record import RunRecord\n"
        f"RunRecord.read({str(file)!r})\n"
        "assert not {'torch', 'numpy', 'onnx'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
