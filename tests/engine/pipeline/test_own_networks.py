"""Runs of networks from users' ONNX files: the same graph comes back, and all files stand alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from fakes import in_this_process
from onnx import TensorProto, helper, numpy_helper
from onnx_files import without_ours
from own_networks import keras_like, saved
from PIL import Image
from torch import nn

from prospr_engine.config import CHANNELS, LoadingConfig, RunConfig, ScoringConfig
from prospr_engine.errors import ExportError, ResourceError
from prospr_engine.export import runtime
from prospr_engine.export.verify import verify
from prospr_engine.guard import sandbox
from prospr_engine.io.files import digest_of
from prospr_engine.models.imports.network_file import describe
from prospr_engine.pipeline.cache import Shared
from prospr_engine.pipeline.checkpoint import export_again, load_network
from prospr_engine.pipeline.own_graph import template_for, template_of
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.pipeline.run import run
from prospr_engine.report.bundle import bundle

CONFIG = RunConfig(
    data="digits",
    sparsity=0.8,
    epochs=1,
    weights="pretrained",
    encodings=("dense",),
    loading=LoadingConfig(train_limit=200, test_limit=60),
    scoring=ScoringConfig(batch_size=32, options={"steps": 1}),
)


@pytest.fixture(autouse=True)
def untimed(monkeypatch):
    monkeypatch.setenv("PROSPR_TIMING", "0")
    monkeypatch.setattr(sandbox, "call", in_this_process)


def images(count=6):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run whose upload is gone since, the upload, and where it was."""
    folder = tmp_path_factory.mktemp("own")
    model = keras_like()
    file = folder / "secret folder" / "digits net.onnx"
    file.parent.mkdir()
    shared = Shared(folder / "shared")
    config = dataclasses.replace(
        CONFIG, model=saved(model, file), encodings=("dense", "compact", "int8")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPR_TIMING", "0")
        patch.setattr(sandbox, "call", in_this_process)
        result = run(config, out=folder / "run", shared=shared)
    file.unlink()
    return result, model, file, shared


def test_only_values_change(done):
    result, model, *_ = done
    found = without_ours(onnx.load(result.out / "model.onnx"))
    changed = 0
    for before, after in zip(model.graph.initializer, found.graph.initializer, strict=True):
        changed += before != after
        after.CopyFrom(before)
    assert found == model
    assert changed == len(model.graph.initializer)


def test_zeros_are_as_the_label_says(done):
    result, *_ = done
    masks = result.pruning.masks
    wanted = {name: int((~mask).sum()) for name, mask in masks.items()}
    assert sum(wanted.values()) == sum(mask.numel() for mask in masks.values()) - masks.kept
    tensors = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(result.out / "model.onnx").graph.initializer
    }
    zeros = sum(int((tensors[n] == 0).sum()) for n in tensors if "kernel" in n)
    assert zeros == sum(wanted.values())
    for export in result.exports.values():
        assert export.proof.ok
        assert export.proof.zeros_expected == zeros
        assert verify(export.path).ok


def test_the_file_answers_as_both_networks_saved(done):
    result, *_ = done
    network, label = load_network(result.out / "pruned.safetensors")
    wanted = network.eval()(images()).softmax(1).detach().numpy()
    (found,) = runtime.run(result.out / "model.onnx", [images().numpy().transpose(0, 2, 3, 1)])
    assert np.abs(found - wanted).max() < 1e-5
    assert load_network(result.out / "dense.safetensors")[0]
    assert label["model"] == "digits net.onnx"
    content = hashlib.sha256(done[1].SerializeToString()).hexdigest()
    assert label["model_file"] == f"sha256:{content}"


def test_files_for_others_do_not_reveal_the_folder(done):
    result, *_ = done
    for path in result.out.iterdir():
        if path.suffix != ".json":  # where the settings are
            assert b"secret folder" not in path.read_bytes(), path.name


def test_the_record_says_what_the_files_take(done):
    result, *_ = done
    graph = RunRecord.read(result.out / "result.json").graph
    assert graph is not None
    assert graph.own
    assert (graph.input, graph.output) == ("images:0", "probabilities")
    assert (graph.channels_last, graph.batch, graph.answer) == (True, None, "softmax")


@pytest.mark.parametrize("network", ["pruned", "dense"])
@pytest.mark.parametrize("encoding", ["dense", "compact", "int8"])
def test_files_can_be_written_without_the_upload(done, tmp_path, network, encoding):
    result, model, *_ = done
    proof = export_again(result.out, network, tmp_path / "again.onnx", encoding)
    assert proof.ok, proof.failures
    again = onnx.load(tmp_path / "again.onnx")
    assert again.graph.input[0] == model.graph.input[0]
    if encoding == "dense":
        assert [n.name for n in again.graph.node] == [n.name for n in model.graph.node]
    if network == "pruned" and encoding == "dense":
        first = onnx.load(result.out / "model.onnx")
        assert without_ours(again) == without_ours(first)


def test_the_program_of_a_bundle_feeds_the_file(done, tmp_path):
    result, *_ = done
    bundle(result.out, tmp_path / "all.zip")
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", "all.zip", "."], cwd=tmp_path, check=True
    )
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert folder.name.startswith("digits_net")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "black.png")
    told = subprocess.run(
        [sys.executable, "classify.py", "black.png"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() in result.data["classes"]
    card = (folder / "README.md").read_text("utf-8")
    assert "`images:0`" in card
    assert "(N, 8, 8, 1)" in card
    assert "a probability for each of 10 classes" in card
    assert "secret folder" not in card


def test_the_dense_network_is_shared_by_content(done, tmp_path):
    result, model, _, shared = done
    again = dataclasses.replace(
        result.config,
        model=saved(model, tmp_path / "other name.onnx"),
        sparsity=0.5,
        encodings=("dense",),
    )
    second = run(again, out=tmp_path / "run", shared=shared)
    assert second.seconds_of["training_dense"] == 0
    assert digest_of(second.out / "dense.safetensors") == digest_of(
        result.out / "dense.safetensors"
    )
    assert load_network(second.out / "dense.safetensors")[0]
    other = keras_like()
    values = numpy_helper.to_array(other.graph.initializer[0]) * 2
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "conv/kernel:0"))
    third = dataclasses.replace(again, model=saved(other, tmp_path / "other name.onnx"))
    assert run(third, out=tmp_path / "third", shared=shared).seconds_of["training_dense"] > 0


def test_a_fixed_batch_and_further_outputs_stay(tmp_path):
    model = keras_like(batch=4)
    features = helper.make_tensor_value_info("f", TensorProto.FLOAT, (4, 256))
    model.graph.output.insert(0, features)
    config = dataclasses.replace(CONFIG, model=saved(model, tmp_path / "net.onnx"))
    result = run(config, out=tmp_path / "run")
    assert result.graph is not None
    assert result.graph.own, result.graph
    assert result.graph.batch == 4
    assert result.graph.output == "probabilities"
    found = onnx.load(result.out / "model.onnx").graph
    assert found.input[0] == model.graph.input[0]
    assert [*found.output] == [*model.graph.output]
    assert verify(result.out / "model.onnx").ok


def test_a_graph_that_cannot_be_used_gives_a_reason_without_the_path(tmp_path, monkeypatch):
    file = saved(keras_like(), tmp_path / "net.onnx")
    assert template_for("small_cnn") == (None, "")
    template, reason = template_for(file)
    assert (template is not None, reason) == (True, "")

    def refuse(*given):
        raise ResourceError("net.onnx needs more memory.")

    monkeypatch.setattr(sandbox, "call", refuse)
    assert template_for(file) == (None, "net.onnx needs more memory.")
    (tmp_path / "net.onnx").unlink()
    template, reason = template_for(file)
    assert template is None
    assert "There is no file net.onnx" in reason
    assert str(tmp_path) not in reason


def test_encodings_that_the_opset_lacks_are_left_out(tmp_path):
    model = keras_like(opset=13)
    config = dataclasses.replace(
        CONFIG, model=saved(model, tmp_path / "net.onnx"), encodings=("dense", "compact")
    )
    result = run(config, out=tmp_path / "run")
    assert result.exports.keys() == {"dense"}
    assert "needs opset 18" in result.not_exported["compact"]


def test_images_and_classes_are_fitted(tmp_path):
    """A file for one colour image of 12 pixels and 4 classes, on grey digits of 8 pixels."""
    model = keras_like(batch=1, channels=3, side=12, classes=4)
    config = dataclasses.replace(
        CONFIG, model=saved(model, tmp_path / "net.onnx"), encodings=("dense", "int8")
    )
    result = run(config, out=tmp_path / "run")
    assert result.graph is not None
    assert result.graph.own, result.graph
    assert result.data["shape"] == [3, 12, 12]
    assert any("for 4 classes and the data have 10" in note for note in result.notes)
    graph = onnx.load(result.out / "model.onnx").graph
    assert graph.input[0] == model.graph.input[0]
    assert [d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == [1, 10]
    changed = [
        before.name
        for before, after in zip(model.graph.initializer, graph.initializer, strict=True)
        if before.dims != after.dims
    ]
    assert changed == ["dense/kernel:0", "dense/bias:0"]
    network, _ = load_network(result.out / "pruned.safetensors")
    assert network(torch.randn(2, 3, 12, 12)).shape == (2, 10)
    assert export_again(result.out, "pruned", tmp_path / "again.onnx", "int8").ok


def test_removed_channels_need_a_new_graph_with_the_same_names(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        model=saved(keras_like(), tmp_path / "net.onnx"),
        kind=CHANNELS,
        sparsity=0.5,
        channel_multiple=1,
    )
    result = run(config, out=tmp_path / "run")
    graph = onnx.load(result.out / "model.onnx").graph
    assert [v.name for v in graph.input] == ["images:0"]
    assert [v.name for v in graph.output] == ["probabilities"]
    assert result.graph is not None
    assert not result.graph.own
    assert "Channels were removed" in result.graph.reason
    assert verify(result.out / "model.onnx").ok
    network, _ = load_network(result.out / "pruned.safetensors")
    (found,) = runtime.run(result.out / "model.onnx", [images().numpy()])
    assert np.abs(found - network.eval()(images()).detach().numpy()).max() < 1e-4
    assert export_again(result.out, "pruned", tmp_path / "again.onnx", "compact").ok


def test_the_command_line(tmp_path):
    file = saved(keras_like(softmax=False), tmp_path / "net.onnx")
    command = [sys.executable, "-m", "prospr_engine", "run", "--model", file, "--data", "digits"]
    command += ["--epochs", "0", "--train-limit", "100", "--encodings", "dense", "--json"]
    command += ["--method", "magnitude", "--out", str(tmp_path / "run")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    values = json.loads(found.stdout)
    assert values["graph"]["own"], values["graph"]
    assert values["config"]["model"] == file


@pytest.mark.parametrize("command", ["run", "score"])
def test_the_command_line_refuses_hostile_files(tmp_path, command):
    model = keras_like()
    model.functions.add(name="f", domain="d")
    line = [sys.executable, "-m", "prospr_engine", command, "--model"]
    line += [saved(model, tmp_path / "evil.onnx"), "--data", "digits", "--out", str(tmp_path / "r")]
    found = subprocess.run(line, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "evil.onnx defines functions of its own" in found.stderr


@pytest.mark.parametrize("kind", ["weights", "channels"])
def test_layers_that_share_a_tensor(tmp_path, kind):
    """Exporters store equal tensors once, as the biases of an untrained network are."""
    model = keras_like()
    (second,) = (node for node in model.graph.node if node.name == "conv2")
    second.input[2] = "conv/bias:0"
    file = saved(model, tmp_path / "net.onnx")
    run(dataclasses.replace(CONFIG, model=file, kind=kind, sparsity=0.5), out=tmp_path / "run")
    assert verify(tmp_path / "run" / "model.onnx").ok
    for name in ("dense", "pruned"):
        network, _ = load_network(tmp_path / "run" / f"{name}.safetensors")
        assert network.eval()(images()).shape == (6, 10)
    if kind == "weights":
        names = {
            tensor.name for tensor in onnx.load(tmp_path / "run" / "model.onnx").graph.initializer
        }
        assert names == {tensor.name for tensor in model.graph.initializer}


@pytest.mark.filterwarnings("ignore")  # of the older exporter
def test_a_graph_in_training_mode_is_not_written_to(tmp_path):
    """Its batch norms use the statistics of each batch. The copies in a graph that was
    exported in eval mode, whose untrained tensors are equal, are written apart."""
    parts = [
        part
        for channels in (1, 4, 4)
        for part in (nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    ]
    network = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    modes = {"training": torch.onnx.TrainingMode.TRAINING, "kept": torch.onnx.TrainingMode.PRESERVE}
    files = {}
    for name, mode in modes.items():
        files[name] = tmp_path / f"{name}.onnx"
        network.train(name == "training")
        torch.onnx.export(network, (torch.randn(2, 1, 8, 8),), files[name], dynamo=False,
                          training=mode, do_constant_folding=False)  # fmt: skip
    copies = [node for node in onnx.load(files["kept"]).graph.node if node.op_type == "Identity"]
    assert copies
    assert template_of(files["kept"].read_bytes(), "kept.onnx")
    with pytest.raises(ExportError, match=r"in training mode.*Export it in eval mode"):
        template_of(files["training"].read_bytes(), "training.onnx")
    (note,) = [n for n in describe(str(files["training"])).notes if "training mode" in n]
    assert "as in eval mode" in note
