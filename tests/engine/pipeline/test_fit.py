"""A network with a fixed input and the images: channels, size, classes and normalisation."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from fakes import in_this_process
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.config import CHANNELS, LoadingConfig, RunConfig, TrainingConfig
from prospr_engine.errors import ModelError
from prospr_engine.export import runtime
from prospr_engine.export.verify import verify
from prospr_engine.guard import sandbox
from prospr_engine.models.outline import outline
from prospr_engine.pipeline.checkpoint import export_again, load_network
from prospr_engine.pipeline.run import run
from prospr_engine.pipeline.setup import prepare


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setenv("PROSPR_TIMING", "0")
    monkeypatch.setattr(sandbox, "call", in_this_process)


def colour_network(path, channels=3, side=12, classes=7, metadata=None) -> str:
    """A convolution, and a matrix and a sum that make the scores, for images of a fixed size."""
    draw = np.random.default_rng(0)

    def tensor(name, *shape):
        values = draw.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "matrix"], ["m"], "scores"),
        helper.make_node("Add", ["m", "shift"], ["y"], "add"),
    ]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", channels, side, side))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", classes))],
        [
            tensor("kernel", 12, channels, 3, 3),
            tensor("matrix", 12, classes),
            numpy_helper.from_array(np.zeros(classes, np.float32), "shift"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    path.write_bytes(model.SerializeToString())
    return str(path)


def config(model: str, **changes) -> RunConfig:
    values = {"method": "magnitude", "sparsity": 0.5, "epochs": 1, "encodings": ("dense",)}
    loading = LoadingConfig(train_limit=200, test_limit=60)
    return RunConfig(model=model, **{**values, "loading": loading, "device": "cpu", **changes})


def test_images_are_read_as_the_network_needs_them(tmp_path):
    model = colour_network(tmp_path / "net.onnx")
    prepared = prepare(config(model))
    assert prepared.data.shape == (3, 12, 12)
    assert any("red, green and blue are the same" in note for note in prepared.data.notes)
    set_by_hand = LoadingConfig(image_size=16, train_limit=200, test_limit=60)
    with pytest.raises(ModelError, match="set the image size to 12"):
        prepare(config(model, loading=set_by_hand))


@pytest.mark.parametrize("weights", ["pretrained", "fresh"])
@pytest.mark.parametrize("kind", ["weights", CHANNELS])
def test_another_number_of_classes_gets_a_new_classifier(weights, kind, tmp_path):
    model = colour_network(tmp_path / "net.onnx")
    own = {"channel_multiple": 1} if kind == CHANNELS else {}
    out = tmp_path / "out"
    result = run(config(model, weights=weights, kind=kind, **own), out=out)
    told = any("7 classes" in note and "classifier is new" in note for note in result.notes)
    assert told == (weights == "pretrained")  # all weights are new otherwise
    assert verify(out / "model.onnx").ok
    written = onnx.load(out / "model.onnx").graph
    assert written.output[0].type.tensor_type.shape.dim[1].dim_value == 10
    assert result.record.graph is not None
    assert result.record.graph.own == (kind != CHANNELS)
    (tmp_path / "net.onnx").unlink()  # the files stand alone
    network, _ = load_network(out / "pruned.safetensors")
    x = torch.randn(3, 3, 12, 12)
    (answers,) = runtime.run(out / "model.onnx", [x.numpy()], result.record.graph.output)
    assert np.allclose(network.eval()(x).detach().numpy(), answers, atol=1e-5)
    assert export_again(out, "pruned", tmp_path / "again.onnx").ok


def test_given_weights_but_the_classifier_stay(tmp_path):
    model = colour_network(tmp_path / "net.onnx")
    network = prepare(config(model, weights="pretrained")).model
    theirs = {t.name: numpy_helper.to_array(t) for t in onnx.load(model).graph.initializer}
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert any(np.array_equal(p.detach().numpy(), theirs["kernel"]) for p in network.parameters())
    assert {(10, 12), (12, 10)} & {*shapes.values()}
    like = outline(model, (3, 12, 12), 10)
    assert {name: tuple(p.shape) for name, p in like.named_parameters()} == shapes


def test_a_network_of_as_many_classes_keeps_its_own_graph(tmp_path):
    model = colour_network(tmp_path / "net.onnx", channels=1, side=8, classes=10)
    result = run(config(model, weights="pretrained"), out=tmp_path / "out")
    assert result.record.graph is not None
    assert result.record.graph.own
    assert any("does not say which is which" in note for note in result.notes)
    assert result.accuracy_at_pruning.keys() == {"dense", "pruned"}


def test_a_file_of_ours_says_how_its_pixels_are_scaled(tmp_path):
    ours = {
        "prospr.preprocessing": '{"scale": 255, "mean": [0.25], "std": [0.5]}',
        "prospr.classes": str([str(i) for i in range(10)]).replace("'", '"'),
    }
    model = colour_network(tmp_path / "net.onnx", 1, 8, 10, metadata=ours)
    prepared = prepare(config(model, weights="pretrained"))
    assert (prepared.data.mean, prepared.data.std) == ((0.25,), (0.5,))
    assert not any("which is which" in note for note in prepared.notes)
    fresh = prepare(dataclasses.replace(config(model), weights="fresh"))
    assert fresh.normalisation == "data"


def test_new_weights_under_the_mask_are_drawn_anew(tmp_path):
    model = colour_network(tmp_path / "net.onnx")
    still = TrainingConfig(lr=0.0)
    given = config(model, weights="pretrained", control="reinit", training=still)
    run(given, out=tmp_path / "out")
    dense, pruned = (
        load_network(tmp_path / "out" / f"{name}.safetensors")[0].state_dict()
        for name in ("dense", "pruned")
    )
    kernels = [name for name, values in pruned.items() if values.ndim == 4]
    for name in kernels:
        kept = pruned[name] != 0
        assert kept.any()
        assert not torch.equal(pruned[name][kept], dense[name][kept])
    assert kernels
