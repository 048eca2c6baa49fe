"""Networks in users' ONNX files: tried in another process, and refused with a reason."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import onnx
import pytest
import torch
from fakes import in_this_process
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.errors import ConfigError, EngineError, ModelError, ResourceError
from prospr_engine.guard import limits, sandbox
from prospr_engine.identity import file_settings, paths, tokens
from prospr_engine.models import MODELS, is_file, label_of, public_name
from prospr_engine.models.build import build, build_noted
from prospr_engine.models.imports import network_file
from prospr_engine.models.imports.network_file import check_file, check_fit, describe
from prospr_engine.models.measures import measure
from prospr_engine.models.outline import outline
from prospr_engine.pipeline.calibration import reading_for


def layer(nodes, tensors, out=3, opset=17, batch="n", shape=(1, 8, 8)):
    """Some nodes from "x" to "f", flat, and a linear layer behind them."""
    graph = helper.make_graph(
        [*nodes, helper.make_node("MatMul", ["f", "w"], ["y"], "head")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, *shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, out))],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def plain(scale=1.0, features=64, out=3, **others):
    weight = np.random.default_rng(0).normal(size=(features, out)).astype(np.float32) * scale
    return layer([helper.make_node("Flatten", ["x"], ["f"])], {"w": weight}, out, **others)


@pytest.fixture
def saved(tmp_path):
    def save(model, name="net.onnx"):
        data = model if isinstance(model, bytes) else model.SerializeToString()
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return save


@pytest.fixture(autouse=True)
def quickly(request, monkeypatch):
    """Without a process of its own, which takes seconds to start, but where it matters."""
    network_file._tried.cache_clear()
    if "sandboxed" not in request.fixturenames:
        monkeypatch.setattr(sandbox, "call", in_this_process)


def test_a_file_is_described(saved, sandboxed):
    found = describe(saved(plain()))
    assert (found.name, found.shape, found.classes) == ("net.onnx", (1, 8, 8), 3)
    assert (found.batch, found.output, found.channels_last) == (None, "logits", False)
    assert found.parameters == found.weights == 192


def test_it_is_tried_once_for_each_content(saved, monkeypatch):
    calls = []
    monkeypatch.setattr(
        sandbox, "call", lambda *given: calls.append(given) or in_this_process(*given)
    )
    file = saved(plain())
    describe(file)
    describe(saved(plain()))
    assert len(calls) == 1
    describe(saved(plain(2.0)))
    assert len(calls) == 2


def test_the_network_has_the_weights_of_the_file(saved):
    file = saved(plain())
    network = build(file, (1, 8, 8), 3, weights="pretrained").eval()
    images = torch.randn(5, 1, 8, 8)
    weight = numpy_helper.to_array(onnx.load(file).graph.initializer[0])
    wanted = images.flatten(1).numpy() @ weight
    assert np.allclose(network(images).detach().numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_fresh_weights_follow_from_the_seed_alone(saved):
    file = saved(plain(scale=100.0))
    first, again, other = (
        dict(build(file, (1, 8, 8), 3, seed).named_parameters()) for seed in (1, 1, 2)
    )
    (name,) = first
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    # He et al.: a variance of 2 / 64, whatever the file's.
    assert first[name].std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.2)


def test_the_outline_has_the_same_names_and_shapes(saved):
    file = saved(plain())
    small, whole = outline(file, (1, 8, 8), 3), build(file, (1, 8, 8), 3)
    shapes = [{n: p.shape for n, p in net.named_parameters()} for net in (small, whole)]
    assert shapes[0] == shapes[1]
    assert all(p.is_meta for p in small.parameters())
    assert measure(file, 1, 8, 3).weights == 192


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((3, 8, 8), "takes images with 1 channel, the data have 3 channels; read them as grey"),
        ((1, 32, 32), "images of 8×8 px, the data have 32×32 px; set the image size to 8"),
    ],
)
def test_what_does_not_fit(saved, shape, match):
    with pytest.raises(ModelError, match=match):
        build(saved(plain()), shape, 3)


@pytest.mark.parametrize("weights", ["fresh", "pretrained"])
def test_another_number_of_classes_gets_a_new_classifier(saved, weights):
    file = saved(plain())
    network, notes = build_noted(file, (1, 8, 8), 10, weights=weights)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    (note,) = notes
    assert "for 3 classes and the data have 10" in note
    assert ("was replaced by one for 10 classes" in note) == (weights == "fresh")
    shapes = [
        {n: p.shape for n, p in net.named_parameters()}
        for net in (network, outline(file, (1, 8, 8), 10))
    ]
    assert shapes[0] == shapes[1]


def test_a_network_without_a_classifier_keeps_its_classes(saved):
    found = dataclasses.replace(describe(saved(plain())), classifier={})
    check_fit(found, (1, 8, 8), 3)
    with pytest.raises(ModelError, match="has 3 classes, the data have 10, and no single layer"):
        check_fit(found, (1, 8, 8), 10)


def test_what_a_file_fixes_decides_how_images_are_read(saved):
    found = describe(saved(plain()))
    assert found.taken((3, 32, 32)) == (1, 8, 8)
    assert measure(saved(plain()), 3, 32, 3).weights == 192
    own = LoadingConfig()
    assert reading_for(own, found.shape) == LoadingConfig(image_size=8, colour="grey")
    assert reading_for(own, (3, None, None)) == LoadingConfig(colour="colour")
    chosen = LoadingConfig(image_size=16, colour="colour")
    assert reading_for(chosen, found.shape) == chosen
    assert reading_for(own, ()) == own


def torch_file() -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "match"),
    [
        (b"", "net.onnx", "is empty"),
        (b"\x80\x02}q\x00.", "net.onnx", "is a pickle"),
        (
            torch_file(),
            "net.onnx",
            "is a PyTorch file, not an ONNX file. If it has a network's weights",
        ),
        (b"\x02" + bytes(7) + b"{}", "net.onnx", "not an ONNX file. If it has a network's weights"),
        (b"GGUF\x03", "net.onnx", "is a GGUF model. It holds a language model"),
        (b"PK\x03\x04" + b"\0" * 40, "net.onnx", "is a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "net.h5", "is an HDF5 file, as Keras writes it"),
        (b"<!doctype html><html>", "net.onnx", "is a web page"),
        (b"nothing", "net.onnx", "is not an ONNX file, or is cut off"),
        (b"nothing", "net.txt", "is plain text; a network is given as an ONNX file"),
    ],
    ids=[
        "empty",
        "pickle",
        "torch",
        "safetensors",
        "gguf",
        "zip",
        "keras",
        "web page",
        "damaged",
        "text",
    ],
)
def test_other_files(saved, content, name, match):
    with pytest.raises(ModelError, match=match):
        describe(saved(content, name))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"There is no file gone\.onnx"):
        check_file(str(tmp_path / "gone.onnx"))
    with pytest.raises(ModelError, match="is a folder"):
        check_file(str(tmp_path))
    with pytest.raises(ConfigError, match="no longer available"):
        check_file(f"upload:{'0' * 64}/net.onnx")


def bomb(operator, count=1):
    """Nodes that make a tensor of 40 GB, or many of 1 GB, from a few bytes."""
    sizes = np.array([10**5, 10**5] if count == 1 else [16_384, 16_384], np.int64)
    tensors = {"w": np.ones((64, 3), np.float32), "one": np.ones((1, 1), np.float32)}
    nodes = [helper.make_node("Flatten", ["x"], ["g"])]
    last = "g"
    for i in range(count):
        tensors[f"sizes{i}"] = sizes
        given = [f"sizes{i}"] if operator == "ConstantOfShape" else ["one", f"sizes{i}"]
        nodes += [
            helper.make_node(operator, given, [f"huge{i}"]),
            helper.make_node("ReduceMax", [f"huge{i}"], [f"max{i}"], keepdims=0),
            helper.make_node("Add", [last, f"max{i}"], [f"g{i}"]),
        ]
        last = f"g{i}"
    nodes.append(helper.make_node("Identity", [last], ["f"]))
    return layer(nodes, tensors)


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile"])
@pytest.mark.parametrize("count", [1, 40])
def test_constants_that_grow(saved, sandboxed, operator, count):
    try:
        describe(saved(bomb(operator, count)))
    except (ModelError, ResourceError) as error:
        assert str(error).startswith("net.onnx")  # noqa: PT017
    else:
        assert count > 1  # one after the other, they fit


def test_results_that_grow_with_the_image(saved, sandboxed):
    sizes = np.array([1, 20_000, 20_000], np.int64)
    nodes = [
        helper.make_node("Flatten", ["x"], ["g"]),
        helper.make_node("ReduceMean", ["g"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Unsqueeze", ["m", "axis"], ["u"]),
        helper.make_node("Tile", ["u", "sizes"], ["t"]),
        helper.make_node("ReduceMax", ["t"], ["r"], axes=[2], keepdims=0),
        helper.make_node("Slice", ["r", "start", "end", "one"], ["f"]),
    ]
    tensors = {
        "w": np.ones((64, 3), np.float32),
        "sizes": sizes,
        "axis": np.array([2], np.int64),
        "start": np.array([0], np.int64),
        "end": np.array([64], np.int64),
        "one": np.array([1], np.int64),
    }
    with pytest.raises((ModelError, ResourceError), match="computes a result of"):
        describe(saved(layer(nodes, tensors)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(saved, value):
    model = plain()
    weight = np.ones((64, 3), np.float32)
    weight[3, 1] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    with pytest.raises(ModelError, match="contains NaN or infinite weights"):
        describe(saved(model))


def test_a_refusal_of_the_guard_reaches_the_user(saved):
    model = plain()
    model.functions.add(name="f", domain="d")
    with pytest.raises(ModelError, match=r"net\.onnx defines functions of its own"):
        build(saved(model), (1, 8, 8), 3)


def test_large_files_are_not_opened(saved, monkeypatch):
    monkeypatch.setattr(limits, "IMPORTED_BYTES", limits.Limit("x", 100, "bytes", ""))
    with pytest.raises(ModelError, match="may have at most"):
        check_file(saved(plain()))


# The setting


TOKEN = f"upload:{'a' * 64}/my net.onnx"


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("small_cnn", False),
        ("torchvision/resnet18", False),
        ("timm/resnet10t.c3_in1k", False),
        ("resnet2o", False),  # a misspelt name
        ("/home/somebody/net.onnx", True),
        ("net.onnx", True),
        (TOKEN, True),
    ],
)
def test_what_is_a_file(model, file):
    config = RunConfig(model=model)
    assert is_file(model) == file
    assert ("model" in file_settings(config)) == file
    assert ("model" in tokens(config)) == (model == TOKEN)
    assert ("model" in paths(config)) == (file and model != TOKEN)


def test_names_to_show_reveal_no_path():
    assert label_of("/home/somebody/net.onnx") == public_name("/home/somebody/net.onnx")
    assert label_of(TOKEN) == public_name(TOKEN) == "my net.onnx"
    assert (label_of("resnet20"), public_name("resnet20")) == ("ResNet-20", "resnet20")
    assert label_of("torchvision/resnet18") == "torchvision/resnet18"


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"did you mean 'resnet\d+'"):
        MODELS.find("resnet2o")


def test_the_row_of_a_file(saved):
    row = MODELS.find(saved(plain()))
    assert (row.label, row.pretrained) == ("net.onnx", True)
    with pytest.raises(EngineError, match="There is no file"):
        MODELS.find("gone.onnx")
