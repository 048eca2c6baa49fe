"""Graphs as exporters write them that are not installed here, built by hand, and the compact and
quantised files of our own."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_files import assert_same_answers, legacy, randomised
from torch import nn

from prospr_engine.errors import ModelError
from prospr_engine.export.encodings import compact, native_sparse
from prospr_engine.models.imports.onnx import fold
from prospr_engine.models.imports.onnx.load import import_network, rebuild
from prospr_engine.network.prunable import prunable_weights


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) / 2


def images(*shape):
    return torch.from_numpy(values(*shape, seed=7))


def build(nodes, tensors, shape, outputs=("scores",), opset=17, domains=(), sparse=()):
    """``nodes`` are (operator, inputs, outputs) or with a dictionary of attributes and a name."""
    made = []
    for operator, inputs, results, *more in nodes:
        attributes = more[0] if more else {}
        made.append(helper.make_node(operator, inputs.split(), results.split(), **attributes))
        made[-1].name = made[-1].name or f"model/{made[-1].output[0].split(':')[0]}/{operator}"
    results = [
        each if not isinstance(each, str) else helper.make_tensor_value_info(each, 1, None)
        for each in outputs
    ]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        results,
        [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
        sparse_initializer=sparse,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def keras(batch, flatten):
    """As tf2onnx writes Keras: images with the channels last, Transpose in front, names with
    slashes and colons, depthwise convolutions, Clip for relu6, softmax at the end."""
    tensors = {
        "model/conv/kernel:0": values(8, 3, 3, 3),
        "model/conv/bias:0": values(8, seed=1),
        "model/dw/kernel:0": values(8, 1, 3, 3, seed=2),
        "model/bn/gamma:0": np.abs(values(8, seed=3)) + 0.5,
        "model/bn/beta:0": values(8, seed=4),
        "model/bn/mean:0": values(8, seed=5),
        "model/bn/var:0": np.abs(values(8, seed=6)) + 0.5,
        "zero": np.float32(0),
        "six": np.float32(6),
        "model/dense/MatMul/ReadVariableOp:0": values(8 * 16 if flatten else 8, 5, seed=8),
        "model/dense/BiasAdd/ReadVariableOp:0": values(5, seed=9),
        "const_fold_opt__7": np.array([batch if isinstance(batch, int) else -1, 8 * 16]),
    }
    nodes = [
        ("Transpose", "x", "nchw:0", {"perm": [0, 3, 1, 2]}),
        (
            "Conv",
            "nchw:0 model/conv/kernel:0 model/conv/bias:0",
            "model/conv/Conv2D:0",
            {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        ),
        ("Clip", "model/conv/Conv2D:0 zero six", "model/relu:0"),
        (
            "Conv",
            "model/relu:0 model/dw/kernel:0",
            "model/dw:0",
            {"group": 8, "pads": [1, 1, 1, 1]},
        ),
        (
            "BatchNormalization",
            "model/dw:0 model/bn/gamma:0 model/bn/beta:0 model/bn/mean:0 model/bn/var:0",
            "model/bn:0",
            {"epsilon": 1e-3},
        ),
    ]
    if flatten:
        nodes += [
            ("Transpose", "model/bn:0", "nhwc:0", {"perm": [0, 2, 3, 1]}),
            ("Reshape", "nhwc:0 const_fold_opt__7", "flat:0"),
        ]
    else:
        nodes += [
            ("GlobalAveragePool", "model/bn:0", "pooled:0"),
            ("Squeeze", "pooled:0 axes", "flat:0"),
        ]
        tensors["axes"] = np.array([2, 3])
    nodes += [
        ("MatMul", "flat:0 model/dense/MatMul/ReadVariableOp:0", "model/dense/MatMul:0"),
        ("Add", "model/dense/MatMul:0 model/dense/BiasAdd/ReadVariableOp:0", "logits:0"),
        ("Softmax", "logits:0", "scores"),
    ]
    return build(nodes, tensors, [batch, 8, 8, 3])


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("batch", [1, "unk__12"])
def test_keras(batch, flatten):
    imported = assert_same_answers(keras(batch, flatten), images(3, 3, 8, 8))
    assert imported.channels_last
    assert imported.shape == (3, 8, 8)
    assert imported.output == "softmax"
    assert imported.batch == (1 if batch == 1 else None)
    kinds = [type(module).__name__ for module in imported.network.modules()]
    assert kinds.count("Linear") == 1
    assert kinds.count("BatchNorm2d") == 1
    dense = next(n for n, m in imported.network.named_modules() if isinstance(m, nn.Linear))
    weight = imported.network.get_parameter(f"{dense}.weight")
    home = imported.homes[f"{dense}.weight"]
    assert home.name == "model/dense/MatMul/ReadVariableOp:0"
    assert np.array_equal(home.to_file(weight), weight.detach().numpy().T)
    assert imported.homes[f"{dense}.bias"].name == "model/dense/BiasAdd/ReadVariableOp:0"


def test_four_images_at_a_time():
    imported = assert_same_answers_in_fours(keras(4, True))
    assert imported.batch == 4


def assert_same_answers_in_fours(model):
    from prospr_engine.export import runtime

    imported, x = import_network(model, "net.onnx"), images(4, 3, 8, 8)
    expected = runtime.run(model.SerializeToString(), [x.permute(0, 2, 3, 1).numpy()])[0]
    with torch.no_grad():
        found = imported.network.eval()(x[:3]).softmax(1).numpy()
    np.testing.assert_allclose(found, expected[:3], atol=1e-5)
    return imported


def test_one_channel_last_and_preparation_in_the_file():
    """tf2onnx moves a single channel by Reshape; Keras' Rescaling and Normalization come first."""
    tensors = {
        "scale": np.float32(1 / 127.5),
        "mean": np.array([[[[0.4]]]], np.float32),
        "std": values(1, 8, 8, 1) + 2,
        "moved": np.array([-1, 1, 8, 8]),
        "w": values(4, 1, 8, 8),
        "flat": np.array([-1, 4]),
    }
    nodes = [
        ("Mul", "x scale", "a"),
        ("Sub", "a mean", "b"),
        ("Div", "b std", "c"),
        ("Reshape", "c moved", "d"),
        ("Conv", "d w", "e"),
        ("Reshape", "e flat", "scores"),
    ]
    model = build(nodes, tensors, ["N", 8, 8, 1])
    imported = assert_same_answers(model, images(2, 1, 8, 8))
    assert imported.channels_last
    assert imported.shape == (1, 8, 8)
    assert [home.name for home in imported.homes.values()] == ["std", "w"]
    assert len(list(imported.network.parameters())) == 1


def test_scores_in_a_map_of_one_pixel():
    nodes = [("Conv", "x w", "a"), ("GlobalAveragePool", "a", "b"), ("Softmax", "b", "scores")]
    model = build(nodes, {"w": values(5, 3, 1, 1)}, [1, 3, 8, 8], opset=12)
    imported = import_network(model, "net.onnx")
    assert (imported.output, imported.classes) == ("softmax", 5)
    assert imported.network(images(2, 3, 8, 8)).shape == (2, 5)


def test_paddle():
    """As Paddle2ONNX writes: Identity behind each weight, a scale and a shift as Mul and Add, hard
    swish and hard sigmoid out of other operators, Shape and Slice before Reshape."""
    tensors = {
        "conv2d_0.w_0": values(8, 3, 3, 3),
        "conv2d_1.w_0": values(4, 8, 1, 1, seed=1),
        "conv2d_1.b_0": values(4, seed=2),
        "conv2d_2.w_0": values(8, 4, 1, 1, seed=3),
        "linear_0.w_0": values(8, 6, seed=4),
        "linear_0.b_0": values(6, seed=5),
        "shift": values(8, 1, 1, seed=6),
        "scale": np.abs(values(8, 1, 1, seed=7)) + 0.5,
        "three": np.float32(3),
        "zero": np.float32(0),
        "six": np.float32(6),
        "0": np.array([0]),
        "1": np.array([1]),
        "minus": np.array([-1]),
        **{f"batch_norm2d_0.{w}": np.abs(values(8)) + 0.5 for w in "wbmv"},
    }
    nodes = [
        ("Identity", "conv2d_0.w_0", "w0"),
        ("Identity", "linear_0.w_0", "fc"),
        ("Identity", "scale", "scale.1"),
        ("Conv", "x w0", "c0", {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1]}),
        (
            "BatchNormalization",
            "c0 " + " ".join(f"batch_norm2d_0.{w}" for w in "wbmv"),
            "bn",
            {"epsilon": 1e-5, "momentum": 0.9},
        ),
        ("Add", "bn three", "plus"),  # hard swish
        ("Clip", "plus zero six", "clipped"),
        ("Mul", "bn clipped", "product"),
        ("Div", "product six", "hswish"),
        ("GlobalAveragePool", "hswish", "pooled"),  # squeeze and excitation
        ("Conv", "pooled conv2d_1.w_0 conv2d_1.b_0", "se0"),
        ("Relu", "se0", "se1"),
        ("Conv", "se1 conv2d_2.w_0", "se2"),
        ("HardSigmoid", "se2", "se3", {"alpha": 0.1666667, "beta": 0.5}),
        ("Mul", "hswish se3", "excited"),
        ("Mul", "excited scale.1", "scaled"),
        ("Add", "scaled shift", "shifted"),
        ("ReduceMean", "shifted", "mean", {"axes": [2, 3], "keepdims": 1}),
        ("Shape", "mean", "shape"),
        ("Slice", "shape 0 1", "batch"),
        ("Concat", "batch minus", "target", {"axis": 0}),
        ("Reshape", "mean target", "flat"),
        ("MatMul", "flat fc", "mm"),
        ("Add", "mm linear_0.b_0", "logits"),
        ("Softmax", "logits", "scores", {"axis": 1}),
    ]
    imported = assert_same_answers(
        build(nodes, tensors, ["N", 3, 8, 8], opset=13), images(2, 3, 8, 8)
    )
    assert imported.output == "softmax"
    assert len(prunable_weights(imported.network)) == 4
    homes = {home.name for home in imported.homes.values()}
    assert {"conv2d_0.w_0", "linear_0.w_0", "scale", "shift"} <= homes


def sklearn(last, outputs):
    """As skl2onnx writes an MLP: Cast, MatMul and Add with biases of one row, labels beside the
    probabilities."""
    tensors = {
        "coefficient": values(64, 16),
        "intercepts": values(1, 16, seed=1),
        "coefficient1": values(16, 10, seed=2),
        "intercepts1": values(1, 10, seed=3),
        "classes": np.arange(10),
        "shape_tensor": np.array([-1]),
    }
    nodes = [
        ("Cast", "x", "cast_input", {"to": 1}),
        ("MatMul", "cast_input coefficient", "mul_result"),
        ("Add", "mul_result intercepts", "add_result"),
        ("Relu", "add_result", "next_activations"),
        ("MatMul", "next_activations coefficient1", "mul_result1"),
        ("Add", "mul_result1 intercepts1", "add_result1"),
        ("Softmax", "add_result1", "out_activations_result", {"axis": 1}),
        ("ArgMax", "out_activations_result", "argmax_output", {"axis": 1}),
        *last,
    ]
    return build(nodes, tensors, [None, 64], outputs, opset=15, domains=["ai.onnx.ml"])


LABELS = helper.make_tensor_value_info("output_label", TensorProto.INT64, [None])
LABELLING = [
    ("ArrayFeatureExtractor", "classes argmax_output", "array", {"domain": "ai.onnx.ml"}),
    ("Reshape", "array shape_tensor", "output_label"),
]


def test_scikit_learn():
    model = sklearn([*LABELLING, ("Identity", "out_activations_result", "probabilities")],
                    [LABELS, "probabilities"])  # fmt: skip
    imported = import_network(model, "mlp.onnx")
    assert imported.shape == (1, 8, 8)
    assert (imported.classes, imported.output) == (10, "softmax")
    assert "'output_label'" in imported.notes[0]
    network = imported.network.eval()
    assert [type(m).__name__ for m in network.modules()].count("Linear") == 2
    x = images(3, 1, 8, 8)
    w, b, v, c = (numpy_helper.to_array(t) for t in model.graph.initializer[:4])
    hidden = np.maximum(x.flatten(1).numpy() @ w + b, 0) @ v + c
    with torch.no_grad():
        np.testing.assert_allclose(network(x).numpy(), hidden, atol=1e-5)


def test_labels_and_probabilities_in_a_map():
    zipped = ("ZipMap", "out_activations_result", "output_probability",
              {"domain": "ai.onnx.ml", "classlabels_int64s": [*range(10)]})  # fmt: skip
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(1, None))
    result = helper.make_value_info("output_probability", helper.make_sequence_type_proto(kind))
    with pytest.raises(ModelError, match="no class scores"):
        import_network(sklearn([*LABELLING, zipped], [LABELS, result]), "mlp.onnx")


def test_logits_beside_probabilities_and_other_outputs():
    model = sklearn([], ["add_result1", "out_activations_result", "argmax_output"])
    imported = import_network(model, "mlp.onnx")
    assert imported.output == "softmax"
    model = sklearn([], ["add_result1", "next_activations"])
    with pytest.raises(ModelError, match="several outputs"):
        import_network(model, "mlp.onnx")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(8 * 8 * 8, 4)

    def forward(self, x):
        return self.fc(self.drop(torch.relu(self.conv(x)).flatten(1)))


@pytest.fixture
def small():
    model = legacy(randomised(Small()), images(1, 3, 8, 8), free=True, opset=18)
    for tensor in model.graph.initializer:
        if tensor.name == "fc.weight":
            weights = numpy_helper.to_array(tensor).copy()
            weights[np.abs(weights) < 0.04] = 0
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return model


@pytest.mark.parametrize("encode", [compact.encode, compact.encode_half, native_sparse.encode])
def test_encoded_files_of_ours(small, encode):
    masks = {tensor.name: numpy_helper.to_array(tensor) != 0 for tensor in small.graph.initializer}
    encoded = encode(onnx.ModelProto.FromString(small.SerializeToString()), masks)
    assert encoded.ByteSize() < small.ByteSize()
    imported = assert_same_answers(encoded, images(2, 3, 8, 8))
    assert {*imported.network.state_dict()} == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    home = imported.homes["fc.weight"]
    assert home.computed
    assert home.name == "fc.weight"
    zero = imported.network.get_parameter("fc.weight") == 0
    assert 0.8 < zero.float().mean() < 1


def test_quantised_weights():
    tensors = {
        "q": np.arange(-20, 16, dtype=np.int8).reshape(12, 3),
        "scale": np.float32(0.05),
        "zero": np.int8(2),
    }
    nodes = [
        ("DequantizeLinear", "q scale zero", "w"),
        ("Transpose", "w", "wt", {"perm": [1, 0]}),
        ("Flatten", "x", "flat"),
        ("Gemm", "flat wt", "scores", {"transB": 1}),
    ]
    model = build(nodes, tensors, ["N", 3, 2, 2])
    # ONNX Runtime multiplies whole numbers here, and rounds the images for it.
    imported = assert_same_answers(model, images(2, 3, 2, 2), tolerance=5e-3)
    (home,) = imported.homes.values()
    assert home.computed
    assert (home.name, home.shape) == ("wt", (3, 12))
    (weight,) = imported.network.parameters()
    assert np.array_equal(home.to_file(weight), weight.detach().numpy())


def test_half_precision_weights():
    tensors = {"half": values(12, 3).astype(np.float16)}
    nodes = [("Cast", "half", "w", {"to": 1}), ("Flatten", "x", "f"), ("MatMul", "f w", "scores")]
    imported = assert_same_answers(build(nodes, tensors, ["N", 3, 2, 2]), images(2, 3, 2, 2))
    (home,) = imported.homes.values()
    assert (home.name, home.exact, home.computed) == ("half", False, False)
    (weight,) = imported.network.parameters()
    assert np.array_equal(home.to_file(weight), tensors["half"])


def test_a_weight_that_is_used_twice_is_one_parameter():
    """Once as it is and once transposed, which a layer of PyTorch cannot share."""
    nodes = [
        ("Transpose", "w", "wt", {"perm": [1, 0]}),
        ("Flatten", "x", "f"),
        ("MatMul", "f w", "a"),
        ("Relu", "a", "b"),
        ("MatMul", "b wt", "c"),
        ("MatMul", "c w", "scores"),
    ]
    model = build(nodes, {"w": values(12, 3)}, ["N", 3, 2, 2])
    imported = assert_same_answers(model, images(2, 3, 2, 2))
    assert len(list(imported.network.parameters())) == 1
    assert len(imported.homes) == 1


def test_scaled_weights():
    nodes = [("Flatten", "x", "f"), ("Gemm", "f w b", "scores", {"alpha": 0.5, "beta": 3.0})]
    tensors = {"w": values(12, 3), "b": values(3)}
    imported = assert_same_answers(build(nodes, tensors, ["N", 3, 2, 2]), images(2, 3, 2, 2))
    state = imported.network.state_dict()
    found = {home.name: (home.exact, home.to_file(state[n])) for n, home in imported.homes.items()}
    assert found["w"][0]
    assert not found["b"][0]
    assert np.array_equal(found["w"][1], tensors["w"])
    np.testing.assert_allclose(found["b"][1], tensors["b"], rtol=1e-6)


def test_dropout_is_restored():
    model = legacy(
        Small().train(), images(1, 3, 8, 8), free=True, training=torch.onnx.TrainingMode.TRAINING
    )
    imported = import_network(model, "net.onnx")
    (dropout,) = (m for m in imported.network.modules() if isinstance(m, nn.Dropout))
    assert dropout.p == 0.25


BIG = {
    "ConstantOfShape": [("ConstantOfShape", "huge", "c")],
    "Expand": [("Expand", "one huge", "c")],
    "Tile": [("Tile", "row repeats", "c")],
    "Range": [("Range", "zero far one64", "c")],
    "Add": [("Add", "row column", "c")],
    "MatMul": [("MatMul", "column row", "c")],
    "Pad": [("Pad", "row pads", "c")],
    "OneHot": [("OneHot", "indices depth pair", "c")],
    "Gather": [("Gather", "row many", "c", {"axis": 0})],
}


@pytest.mark.parametrize("name", BIG)
def test_small_files_that_ask_for_large_constants(name, monkeypatch):
    monkeypatch.setattr(fold, "MOST_ELEMENTS", 100_000)
    tensors = {
        "huge": np.array([10**6, 10**6]),
        "one": np.float32(1),
        "row": values(1, 400),
        "column": values(400, 1),
        "repeats": np.array([10**6, 10**6]),
        "pads": np.array([0, 0, 10**6, 0]),
        "zero": np.int64(0),
        "far": np.int64(10**9),
        "one64": np.int64(1),
        "indices": np.zeros(400, np.int64),
        "depth": np.int64(10**9),
        "pair": np.array([0, 1], np.float32),
        "many": np.zeros(400, np.int64),
    }
    nodes = [*BIG[name], ("Flatten", "x", "f"), ("MatMul", "f c", "scores")]
    with pytest.raises(ModelError, match=f"{name} .*makes a constant of"):
        import_network(build(nodes, tensors, ["N", 3, 2, 2]), "net.onnx")


def test_what_is_no_classifier_of_images():
    head = [("Flatten", "x", "f"), ("MatMul", "f w", "scores")]
    weights = {"w": values(12, 3)}
    cases = [
        (build([("Relu", "x", "scores")], {}, ["N", 3, 2, 2]), "shape N×3×2×2"),
        (build(head, {"w": values(12, 1)}, ["N", 3, 2, 2]), "at least two classes"),
        (build(head, weights, ["N", 3, 4]), "has 3 axes"),
        (build(head, weights, ["N", 50]), "50 values"),
    ]
    two = build(head, weights, ["N", 3, 2, 2])
    two.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))
    functions = build(head, weights, ["N", 3, 2, 2])
    functions.functions.add(name="Own", domain="own")
    old = build(head, weights, ["N", 3, 2, 2], opset=5)
    branch = helper.make_graph([], "then", [], [])
    loop = helper.make_node(
        "If", ["x"], ["scores"], "branch", then_branch=branch, else_branch=branch
    )
    flow = build(head, weights, ["N", 3, 2, 2])
    flow.graph.node.append(loop)
    outside = build(head, weights, ["N", 3, 2, 2])
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    short = build(head, weights, ["N", 3, 2, 2])
    short.graph.initializer[0].raw_data = b"1234"
    cases += [
        (two, "2 inputs"),
        (functions, "functions of its own"),
        (old, "version 5"),
        (flow, "If .node 'branch'.*control flow"),
        (outside, "lies in another file"),
        (short, "cannot be read"),
    ]
    for model, words in cases:
        with pytest.raises(ModelError, match=words):
            import_network(model, "net.onnx")


def test_what_is_no_skeleton():
    with pytest.raises(ModelError, match="no skeleton"):
        rebuild(b"something else")
