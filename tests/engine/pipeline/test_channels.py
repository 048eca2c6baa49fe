"""A run that removes channels: a smaller network that trains, exports, and comes back."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

import prospr_engine as pe
from prospr_engine.cli import render
from prospr_engine.data.load import load
from prospr_engine.errors import ConfigError
from prospr_engine.events import Event, Pruned, StageStarted
from prospr_engine.format import percent
from prospr_engine.models.build import build
from prospr_engine.pipeline.checkpoint import export_again, load_network
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.pipeline.setup import check
from prospr_engine.report.tables import layers_csv

LOADING = pe.LoadingConfig(train_limit=300, test_limit=100)


def config(**changes) -> pe.RunConfig:
    values = {
        "model": "small_cnn", "kind": "channels", "sparsity": 0.6, "epochs": 1,
        "loading": LOADING, "device": "cpu", "method": "snip",
    }  # fmt: skip
    return pe.RunConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[pe.RunResult, list[Event], Path]:
    out = tmp_path_factory.mktemp("run") / "out"
    heard: list[Event] = []
    return pe.run(config(), heard.append, out=out), heard, out


def test_the_result_says_what_was_removed(finished):
    result, heard, out = finished
    written = json.loads((out / "result.json").read_text())
    structure = written["structure"]
    assert next(e for e in heard if isinstance(e, Pruned)).structure == structure
    large = build("small_cnn", tuple(result.data["shape"]), 10, 0)
    weights = sum(
        m.weight.numel()
        for m in large.modules()
        if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    )
    left = sum(
        values.numel()
        for name, values in load_file(out / "pruned.safetensors").items()
        if values.dim() > 1
    )
    assert structure["parameters"] == {"before": weights, "after": left}
    assert structure["achieved"] == pytest.approx(1 - left / weights)
    assert structure["achieved"] >= structure["requested"] == 0.6
    assert written["sparsity"]["achieved"] == pytest.approx(structure["achieved"])
    assert sum(layer["kept"] for layer in written["layers"]) == left
    assert written["operations"] == {
        "dense": structure["operations"]["before"], "pruned": structure["operations"]["after"],
    }  # fmt: skip
    record = RunRecord.from_dict(written).pruning.structure
    # The classifier keeps its outputs, one for each class.
    *inner, last = record.widths
    assert (last.before, last.after) == (10, 10)
    assert record.channels.after == sum(width.after for width in inner)
    assert not any(finding["level"] == "danger" for finding in written["findings"])


def test_the_files_hold_the_smaller_network(finished):
    result, _, out = finished
    network, label = load_network(out / "pruned.safetensors")
    assert label["kind"] == "channels"
    stored = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(out / "model.onnx").graph.initializer
    }
    for name, weight in network.named_parameters():
        assert torch.equal(torch.from_numpy(stored[name].copy()), weight)
    data = load("digits", LOADING, 0)
    x = (data.test.images.float() / 255 - data.mean[0]) / data.std[0]
    assert network.eval()(x).argmax(1).tolist() == result.predictions["pruned"]
    for export in result.exports.values():
        assert export.proof.ok
        assert export.proof.zeros == 0
        texts = {check.name: check.text for check in export.proof.checks}
        assert texts.keys() >= {"masks", "logits", "zeros"}
        before = sum(layer.total for layer in result.pruning.health.layers)
        left = sum(weight.numel() for _, weight in network.named_parameters() if weight.dim() > 1)
        assert texts["zeros"] == (
            f"The removed channels, with {percent(1 - left / before)} of the weights, are not in "
            f"the file: all other {left:,} weights in 5 layers are kept."
        )
        assert texts["masks"] == "The masks match the file; they keep every weight."
    gone = sum(width.before - width.after for width in result.pruning.cut.widths)
    (masks,) = (check for check in pe.verify(out / "model.onnx").checks if check.name == "masks")
    assert masks.text.startswith(f"{gone} output channels were removed; every layer has as many as")


def test_the_terminal_shows_the_channels_of_every_layer(finished, capsys):
    result, _, _ = finished
    render.print_result(result.to_dict())
    printed = capsys.readouterr().out
    structure = result.to_dict()["structure"]
    left = structure["channels"]
    assert f"with their channels: {left['after']} of {left['before']} are left" in printed
    for width in structure["widths"]:
        assert f"{width['after']} of {width['before']}" in printed


def test_the_table_of_layers_has_the_widths(finished):
    result, _, _ = finished
    lines = list(csv.DictReader(io.StringIO(layers_csv(result.record).decode())))
    widths = result.to_dict()["structure"]["widths"]
    assert [int(line["kept_channels"]) for line in lines] == [width["after"] for width in widths]
    assert [int(line["channels"]) for line in lines] == [width["before"] for width in widths]


def test_masks_of_another_network_do_not_pass(finished, tmp_path):
    _, _, out = finished
    shutil.copy(out / "model.onnx", tmp_path)
    masks = pe.Masks.load(out / "masks.safetensors")
    changed = {name: mask.clone() for name, mask in masks.items()}
    narrowed = next(mask for mask in changed.values() if not mask.flatten(1).any(1).all())
    narrowed[~narrowed.flatten(1).any(1)] = True
    pe.Masks(changed).save(tmp_path / "masks.safetensors")
    proof = pe.verify(tmp_path / "model.onnx")
    assert [check.name for check in proof.checks if not check.ok] == ["masks"]


def test_it_is_exported_again(finished, tmp_path):
    _, _, out = finished
    again = export_again(out, "pruned", tmp_path / "again.onnx")
    assert again.ok
    assert (tmp_path / "again.onnx").read_bytes() == (out / "model.onnx").read_bytes()


def test_the_same_run_writes_the_same_files(finished, tmp_path):
    _, _, out = finished
    pe.run(config(), out=tmp_path / "again")
    for name in ("pruned.safetensors", "masks.safetensors", "model.onnx"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_the_dense_network_is_that_of_a_run_that_removes_weights(finished, tmp_path):
    result, _, out = finished
    weights = pe.run(config(kind="weights"), out=tmp_path / "weights")
    assert (tmp_path / "weights/dense.safetensors").read_bytes() == (
        out / "dense.safetensors"
    ).read_bytes()
    assert weights.accuracy["dense"] == result.accuracy["dense"]
    output = weights.to_dict()
    assert "structure" not in output
    assert output["operations"]["pruned"] == output["operations"]["dense"]


@pytest.mark.parametrize("budget", ["channels", "operations"])
def test_the_budget_counts_what_it_says(budget, tmp_path):
    found = pe.run(config(channel_budget=budget, epochs=0), out=tmp_path / "out").to_dict()
    share = found["structure"][budget]
    assert found["structure"]["achieved"] == pytest.approx(1 - share["after"] / share["before"])
    assert 0.6 <= found["structure"]["achieved"] < 0.9


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layer_floor": 2}, "no layer loses all its channels"),
        ({"control": "shuffle"}, "there are no controls"),
        ({"scoring": pe.ScoringConfig(check_ranking=True)}, "leave it out"),
    ],
)
def test_settings_of_single_weights_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        config(**changes)


def test_criteria_that_rank_no_channels_are_refused():
    for name, spec in pe.METHODS.items():
        wanted = dataclasses.replace(config(), method=name)
        if spec.channels:
            check(wanted)
        else:
            with pytest.raises(ConfigError, match="ranks single weights only"):
                check(wanted)


def test_the_kind_is_part_of_the_fingerprint_and_its_default_is_not():
    assert pe.RunConfig().fingerprint == pe.RunConfig(kind="weights").fingerprint
    assert config().fingerprint != config(kind="weights").fingerprint
    assert pe.RunConfig.from_dict(config().to_dict()) == config()


def test_layers_keep_to_their_own_settings(tmp_path):
    """By patterns, which pass over the classifier, whose outputs stay."""
    layers = {"0.0": "dense", "*": 0.5, "1.0": 0.25}
    made = config(layers=layers, sparsity=0.66, epochs=0, channel_multiple=1)
    result = pe.run(made, out=tmp_path).to_dict()
    widths = {width["layer"]: width["after"] for width in result["structure"]["widths"]}
    assert widths == {"0.0": 16, "1.0": 24, "2.0": 32, "3.0": 32, "6": 10}
    settings = {layer["name"]: layer.get("setting") for layer in result["layers"]}
    assert settings == {
        "0.0.weight": "dense", "1.0.weight": 0.25, "2.0.weight": 0.5, "3.0.weight": 0.5,
        "6.weight": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": {"conv1": "dense"}}, "no layer called 'conv1'"),
        ({"layers": {"6": 0.5}}, "No channels of layer '6' can be removed"),
        ({"layers": {"[0-3].0": "dense"}, "sparsity": 0.9}, "change what layers have"),
        ({"layers": {"[0-3].0": 0.9}, "sparsity": 0.2}, "settings of layers alone remove"),
        (
            {"sparsity": 0.99},
            r"at least 3.1 % of them; ask for a sparsity of 0.969 \(96.9.%\) or",
        ),
    ],
)
@pytest.mark.parametrize("method", ["snip", "magnitude_trained"])
def test_what_cannot_be_met_is_refused_before_any_work(method, changes, message, tmp_path):
    heard: list[Event] = []
    with pytest.raises(ConfigError, match=message):
        pe.run(config(method=method, **changes), heard.append, out=tmp_path)
    stages = [event.stage for event in heard if isinstance(event, StageStarted)]
    assert stages == ["data", "model"]
