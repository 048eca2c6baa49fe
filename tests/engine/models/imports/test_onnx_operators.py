"""Single operators, with attributes drawn at random, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import ModelError
from prospr_engine.export import runtime
from prospr_engine.models.imports.onnx.load import import_network

FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
CHANNELS = 3


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def classifier(nodes, tensors, channels, opset=20, sides=(7, 6)):
    """A file that takes images and ends in a linear layer over the mean of "y", of ``channels``."""
    end = [
        helper.make_node("ReduceMean", ["y"], ["mean"], axes=[2, 3], keepdims=0)
        if opset < 18
        else helper.make_node("ReduceMean", ["y", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "head"], ["scores"]),
    ]
    tensors = {**tensors, "head": values(channels, 4, seed=9)}
    if opset >= 18:
        tensors["axes"] = np.array([2, 3])
    return model([*nodes, *end], tensors, [None, CHANNELS, *sides], opset)


def model(nodes, tensors, shape, opset=20, outputs=("scores",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n or "N" for n in shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def check(made: onnx.ModelProto, count=2, tolerance=1e-5):
    shape = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim][1:]
    x = values(count, *shape, seed=5)
    network = import_network(made, "net.onnx").network.eval()
    expected = runtime.run(made.SerializeToString(), [x])[0]
    with torch.no_grad():
        found = network(torch.from_numpy(x)).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1, np.abs(expected).max()))
    for parameter in network.parameters():
        assert parameter.requires_grad
    return network


windows = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.lists(st.integers(0, 2), min_size=4, max_size=4),
        "auto_pad": st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
    }
)


def borders(drawn, **more):
    """The attributes of a window; borders either given or worked out."""
    explicit = {"pads": drawn["pads"]} if drawn["auto_pad"] == "NOTSET" else {}
    return {"auto_pad": drawn["auto_pad"], "strides": drawn["strides"], **explicit, **more}


@FEW
@given(windows, st.sampled_from([1, 3]), st.booleans())
def test_conv(drawn, groups, has_bias):
    assume(drawn["auto_pad"] in ("NOTSET", "VALID") or drawn["dilations"] == (1, 1))
    attributes = borders(drawn, dilations=drawn["dilations"], group=groups)
    tensors = {"w": values(6, CHANNELS // groups, *drawn["kernel"])}
    tensors |= {"b": values(6, seed=1)} if has_bias else {}
    node = helper.make_node("Conv", ["x", *tensors], ["y"], **attributes)
    network = check(classifier([node], tensors, 6))
    assert any(isinstance(module, torch.nn.Conv2d) for module in network.modules())


@FEW
@given(windows, st.booleans(), st.integers(0, 1))
def test_conv_transpose(drawn, has_bias, added):
    drawn["auto_pad"] = "NOTSET"
    assume(all(n < s for n, s in zip((added, added), drawn["strides"], strict=True)))
    attributes = borders(drawn, dilations=drawn["dilations"], output_padding=[added, added])
    tensors = {"w": values(CHANNELS, 4, *drawn["kernel"])}
    tensors |= {"b": values(4, seed=1)} if has_bias else {}
    node = helper.make_node("ConvTranspose", ["x", *tensors], ["y"], **attributes)
    check(classifier([node], tensors, 4))


@FEW
@given(windows, st.booleans())
def test_max_pool(drawn, ceil):
    kernel = drawn["kernel"]
    drawn["pads"] = [min(n, kernel[i % 2] - 1) for i, n in enumerate(drawn["pads"])]
    assume(drawn["auto_pad"] in ("NOTSET", "VALID") or drawn["dilations"] == (1, 1))
    # ONNX Runtime cannot work out the borders of windows with gaps between them.
    gaps = any(s > k for s, k in zip(drawn["strides"], kernel, strict=True))
    assume(drawn["auto_pad"] in ("NOTSET", "VALID") or not gaps)
    attributes = borders(drawn, kernel_shape=kernel, dilations=drawn["dilations"])
    node = helper.make_node("MaxPool", ["x"], ["y"], ceil_mode=int(ceil), **attributes)
    check(classifier([node], {}, CHANNELS))


@FEW
@given(windows, st.booleans(), st.booleans())
def test_average_pool(drawn, ceil, whole):
    kernel = drawn["kernel"]
    drawn["pads"] = [min(n, kernel[i % 2] - 1) for i, n in enumerate(drawn["pads"])]
    attributes = borders(drawn, kernel_shape=kernel, count_include_pad=int(whole))
    node = helper.make_node("AveragePool", ["x"], ["y"], ceil_mode=int(ceil), **attributes)
    check(classifier([node], {}, CHANNELS))


@FEW
@given(
    st.booleans(),
    st.booleans(),
    st.sampled_from([1.0, 0.5, 1.7]),
    st.sampled_from([1.0, 0.25, 0.0]),
    st.sampled_from([(5,), (1, 5), (1,), ()]),
)
def test_gemm(turned, flat, alpha, beta, bias):
    tensors = {"w": values(*((5, 12) if turned else (12, 5))), "b": values(*bias, seed=1)}
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node(
            "Gemm", ["flat", "w", "b"], ["scores"], transB=int(turned), alpha=alpha, beta=beta
        ),
    ]
    check(model(nodes, tensors, [None, 3, 2, 2]))


REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]
REDUCTIONS += ["ReduceProd", "ReduceSumSquare", "ReduceLogSumExp"]


@FEW
@given(
    st.sampled_from(REDUCTIONS),
    st.sampled_from([[2, 3], [-1, -2], [3, 2]]),
    st.booleans(),
    st.sampled_from([13, 18]),
)
def test_reductions(operator, axes, keep, opset):
    as_input = opset >= 18 or operator == "ReduceSum"
    more = {} if as_input else {"axes": axes}
    inputs = ["x", "along"] if as_input else ["x"]
    nodes = [
        helper.make_node(operator, inputs, ["r"], keepdims=int(keep), **more),
        helper.make_node("Flatten", ["r"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    tensors = {"head": values(CHANNELS, 4)}
    tensors |= {"along": np.array(axes)} if as_input else {}
    check(model(nodes, tensors, [None, CHANNELS, 3, 4], opset))


@FEW
@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([1, 2, 3, -1, -2]), st.booleans())
def test_slice(start, stop, step, negative):
    assume(len(range(7)[start:stop:step]) > 0)
    tensors = {
        "starts": np.array([start]),
        "ends": np.array([stop]),
        "along": np.array([-2 if negative else 2]),
        "steps": np.array([step]),
    }
    node = helper.make_node("Slice", ["x", *tensors], ["y"])
    check(classifier([node], tensors, CHANNELS))


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@FEW
@given(
    st.sampled_from(["nearest", "linear"]),
    st.sampled_from(COORDINATES),
    st.sampled_from(ROUNDINGS),
    st.sampled_from([(0.5, 1.0), (2.0, 2.0), (1.5, 3.0), (0.7, 1.3)]),
    st.booleans(),
)
def test_resize(mode, coordinates, rounding, scales, by_size):
    tensors = {"roi": np.zeros(0, np.float32)}
    if by_size:
        sizes = [int(n * s) for n, s in zip((7, 6), scales, strict=True)]
        tensors |= {"scales": np.zeros(0, np.float32), "sizes": np.array([2, CHANNELS, *sizes])}
    else:
        tensors |= {"scales": np.array([1, 1, *scales], np.float32)}
    node = helper.make_node(
        "Resize",
        ["x", *tensors],
        ["y"],
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    check(classifier([node], tensors, CHANNELS))


ACTIVATIONS = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.3},
    "Elu": {"alpha": 0.7},
    "Selu": {},
    "Celu": {"alpha": 1.5},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "Sigmoid": {},
    "Tanh": {},
    "Softplus": {},
    "Softsign": {},
    "Mish": {},
    "Gelu": {"approximate": "tanh"},
    "ThresholdedRelu": {"alpha": 0.4},
    "Shrink": {"lambd": 0.4, "bias": 0.1},
    "Erf": {},
    "Abs": {},
    "Exp": {},
    "Neg": {},
    "Floor": {},
    "Ceil": {},
    "Round": {},
    "Sign": {},
    "Sin": {},
    "Cos": {},
    "Atan": {},
    "Softmax": {"axis": 1},
    "LogSoftmax": {"axis": -1},
    "LpNormalization": {"axis": 1, "p": 2},
    "MeanVarianceNormalization": {"axes": [2, 3]},
    "LRN": {"size": 3},
    "Identity": {},
    "GlobalMaxPool": {},
    "GlobalAveragePool": {},
    "Dropout": {},
    "DepthToSpace": {"blocksize": 1},
}


@pytest.mark.parametrize("operator", ACTIVATIONS)
def test_of_one_input(operator):
    node = helper.make_node(operator, ["x"], ["y"], **ACTIVATIONS[operator])
    check(classifier([node], {}, CHANNELS))


@pytest.mark.parametrize("opset", [9, 12, 13])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_softmax_of_rows_or_along_an_axis(opset, axis):
    node = helper.make_node("Softmax", ["x"], ["y"], axis=axis)
    check(classifier([node], {}, CHANNELS, opset))


ARITHMETIC = ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum"]


@FEW
@given(
    st.sampled_from(ARITHMETIC),
    st.sampled_from([(), (1,), (3, 1, 1), (1, 3, 1, 1), (6,), (7, 6)]),
    st.booleans(),
)
def test_arithmetic(operator, shape, swapped):
    tensors = {"c": np.abs(values(*shape)) + 0.5}
    inputs = ["p", "c"][:: -1 if swapped else 1]
    nodes = [
        helper.make_node("Exp", ["x"], ["p"]),
        helper.make_node(operator, inputs, ["y"]),
    ]
    network = check(classifier(nodes, tensors, CHANNELS))
    assert len(list(network.parameters())) == (2 if np.prod(shape) > 1 else 1)


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (1, 3, 1, 1), (1, 7, 6)])
def test_prelu(shape):
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    network = check(classifier([node], {"slope": values(*shape)}, CHANNELS))
    assert len(list(network.parameters())) == 2


NORMALISING = {
    "BatchNormalization": ({"epsilon": 1e-3}, 4, 15),
    "InstanceNormalization": ({"epsilon": 1e-3}, 2, 15),
    "GroupNormalization": ({"num_groups": 3}, 2, 21),
}


@pytest.mark.parametrize("operator", NORMALISING)
def test_normalisation(operator):
    attributes, count, opset = NORMALISING[operator]
    tensors = {f"t{i}": np.abs(values(3, seed=i)) + 0.5 for i in range(count)}
    node = helper.make_node(operator, ["x", *tensors], ["y"], **attributes)
    check(classifier([node], tensors, CHANNELS, opset), tolerance=1e-4)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (6,)), (2, (7, 6)), (1, (3, 7, 6))])
def test_layer_norm(axis, shape):
    tensors = {"w": values(*shape), "b": values(*shape, seed=1)}
    node = helper.make_node("LayerNormalization", ["x", "w", "b"], ["y"], axis=axis)
    network = check(classifier([node], tensors, CHANNELS), tolerance=1e-4)
    assert any(isinstance(module, torch.nn.LayerNorm) for module in network.modules())


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 0, 1], [0, 1, 0, 1, 0, 1, 2, 0]])
def test_pad(mode, pads):
    tensors = {"pads": np.array(pads)}
    node = helper.make_node("Pad", ["x", "pads"], ["y"], mode=mode)
    check(classifier([node], tensors, CHANNELS + pads[1] + pads[5]))


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("indices", [[2, 0, -1], [[0, 1], [1, 1]], 1])
def test_gather(axis, indices):
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["g"], axis=axis),
        helper.make_node("Flatten", ["g"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    size = np.zeros((3, 4, 5)).take(np.array(indices), axis if axis < 0 else axis - 1).size
    tensors = {"i": np.array(indices), "head": values(size, 4)}
    check(model(nodes, tensors, [None, 3, 4, 5]))


def test_split_concat_transpose_tile_and_einsum():
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=2, num_outputs=2),
        helper.make_node("Concat", ["b", "a"], ["c"], axis=-2),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("Tile", ["t", "twice"], ["u"]),
        helper.make_node("Einsum", ["u", "w"], ["y"], equation="nchw,cd->ndhw"),
    ]
    tensors = {"twice": np.array([1, 1, 1, 2]), "w": values(CHANNELS, 5)}
    check(classifier(nodes, tensors, 5))


def test_shapes_of_the_image_in_arithmetic():
    """Padding to a multiple, as exporters write it: shapes are cast, divided and multiplied."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "two", "four"], ["sides"]),
        helper.make_node("Cast", ["sides"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "half"], ["halved"]),
        helper.make_node("Floor", ["halved"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Slice", ["shape", "zero", "two"], ["first"]),
        helper.make_node("Concat", ["first", "whole"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest"),
    ]
    tensors = {"zero": np.array([0]), "two": np.array([2]), "four": np.array([4])}
    tensors["half"] = np.array([0.5], np.float32)
    check(classifier(nodes, tensors, CHANNELS))


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("NonMaxSuppression", ["x"], ["y"]), "NonMaxSuppression"),
        (helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), "com.microsoft::Gelu"),
        (helper.make_node("LSTM", ["x"], ["y"], hidden_size=3), "LSTM"),
        (helper.make_node("QuantizeLinear", ["x", "head"], ["y"]), "quantised"),
        (helper.make_node("Resize", ["x", "", "head"], ["y"], mode="cubic",
                          coordinate_transformation_mode="tf_crop_and_resize"), "tf_crop"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_named(node, words):
    node.name = "the_node"
    with pytest.raises(ModelError) as caught:
        import_network(classifier([node], {}, CHANNELS), "net.onnx")
    assert words in str(caught.value)
    assert "the_node" in str(caught.value)
    assert str(caught.value).startswith("net.onnx: ")
