"""Hostile and damaged ONNX files: each is refused with a reason, before anything is computed."""

from __future__ import annotations

import random
import time

import numpy as np
import onnx
import pytest
from fuzzing import TIMES
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import EngineError, ModelError
from prospr_engine.guard import limits
from prospr_engine.guard.onnx_model import check, inputs_of

NAME = "net.onnx"


def value(name, shape=("n", 1, 8, 8), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(opset=17, ir=8):
    """A flattened linear layer: eight by eight pixels to three classes."""
    weight = np.arange(192, dtype=np.float32).reshape(64, 3)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"], "flatten"),
            helper.make_node("MatMul", ["flat", "w"], ["y"], "matmul"),
        ],
        "net",
        [value("x")],
        [value("y", ("n", 3))],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def refused(changed, match):
    data = changed if isinstance(changed, bytes) else changed.SerializeToString()
    with pytest.raises(ModelError, match=match) as error:
        check(data, NAME)
    assert str(error.value).startswith((NAME, f"The input of {NAME}"))
    return str(error.value)


def test_a_network_passes_unchanged():
    wanted = model()
    assert check(wanted.SerializeToString(), NAME) == wanted


def test_weights_among_the_inputs_as_older_exporters_list_them():
    old = model(opset=9, ir=3)
    old.graph.input.append(value("w", (64, 3)))
    found = check(old.SerializeToString(), NAME)
    assert [each.name for each in inputs_of(found.graph)] == ["x"]


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04 a zip", b"\x80\x02}q\x00.", b"hello"],
    ids=["empty", "zip", "pickle", "text"],
)
def test_what_is_no_onnx_file(data):
    refused(data, "is not an ONNX file|contains no network")


def test_a_truncated_file():
    data = model().SerializeToString()
    refused(data[: len(data) // 2], "is not an ONNX file, or is cut off")


def test_values_in_another_file():
    net = model()
    tensor = net.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    refused(net, "in another file, which was not opened")


def test_values_in_another_file_without_saying_so():
    net = model()
    net.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    refused(net, "in another file, which was not opened")


def test_values_of_an_attribute_in_another_file():
    net = model()
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    net.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))
    refused(net, "in another file")


def test_nested_functions_are_not_written_out():
    """A kilobyte that stands for 10^20 operators."""
    net = model()
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    for depth in range(20):
        inner = ("f", f"g{depth - 1}") if depth else ("", "Identity")
        steps = [
            helper.make_node(inner[1], [f"v{i}"], [f"v{i + 1}"], domain=inner[0]) for i in range(10)
        ]
        net.functions.append(
            helper.make_function("f", f"g{depth}", ["v0"], ["v10"], steps, imports)
        )
    net.opset_import.append(helper.make_opsetid("f", 1))
    net.graph.node[0].CopyFrom(helper.make_node("g19", ["x"], ["flat"], domain="f"))
    started = time.process_time()
    refused(net, "defines functions of its own")
    assert time.process_time() - started < 5


def test_a_sparse_bomb():
    net = model()
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "bomb"),
        numpy_helper.from_array(np.zeros(1, np.int64), "places"),
        [2**20, 2**20],
    )
    net.graph.sparse_initializer.append(sparse)
    refused(net, "more than 150,000,000 numbers")


def test_many_sparse_tensors_that_are_large_together():
    net = model()
    for i in range(40):
        values = numpy_helper.from_array(np.ones(1, np.float32), f"bomb{i}")
        places = numpy_helper.from_array(np.zeros(1, np.int64))
        net.graph.sparse_initializer.append(
            helper.make_sparse_tensor(values, places, [1000, 10_000])
        )
    refused(net, "more than 150,000,000 numbers")


@pytest.mark.parametrize("dims", [[64, 4], [2**40, 2**40], [64], [], [-64, -3], [1] * 100])
def test_bytes_that_do_not_match_the_shape(dims):
    net = model()
    net.graph.initializer[0].dims[:] = dims
    refused(net, "is damaged|more than 150,000,000")


def test_numbers_that_do_not_match_the_shape():
    net = model()
    tensor = net.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 191)
    assert "has 191 numbers, not 192" in refused(net, "is damaged")


def test_a_tensor_that_is_stored_twice():
    net = model()
    net.graph.initializer[0].float_data.extend([1.0] * 192)
    refused(net, "stored in several ways")


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.COMPLEX64, 99])
def test_values_that_are_no_plain_numbers(kind):
    net = model()
    net.graph.initializer[0].data_type = kind
    refused(net, "which cannot be read")


def test_too_many_operators():
    net = model()
    node = helper.make_node("Identity", ["x"], [""])
    net.graph.node.extend([node] * 100_000)
    refused(net, "has 100,002 operators; at most 20,000")


def test_control_flow():
    net = model()
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])], "body", [], [value("z")]
    )
    net.graph.node[0].CopyFrom(
        helper.make_node("If", ["w"], ["flat"], then_branch=inner, else_branch=inner)
    )
    refused(net, r"contains a branch or a loop \(the operator 'If', node 'flat'\)")


def test_operators_of_a_runtime():
    net = model()
    net.graph.node[1].op_type, net.graph.node[1].domain = "FusedMatMul", "com.microsoft"
    net.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    net.graph.node[1].name = "head/fused"
    refused(net, r"ONNX standard: 'com\.microsoft\.FusedMatMul' \(node 'head/fused'\)\.")


def test_an_imported_domain_that_nothing_uses_is_fine():
    net = model()  # as tf2onnx writes it
    net.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    assert check(net.SerializeToString(), NAME)


@pytest.mark.parametrize("opset", [8, 1, 0, -3])
def test_old_opsets(opset):
    refused(model(opset), r"opsets from 9 on can be read")


def test_new_opsets_and_formats():
    refused(model(10_000), "newer than this software knows")
    net = model()
    net.ir_version = 10_000
    refused(net, "newer than this software knows")


def test_instructions_for_training():
    net = model()
    net.training_info.add()
    refused(net, "instructions for training")


@pytest.mark.parametrize("count", [0, 2])
def test_one_input(count):
    net = model()
    del net.graph.input[:]
    net.graph.input.extend(value(name) for name in ("x", "z")[:count])
    refused(net, f"has {count} inputs|which does not exist")


@pytest.mark.parametrize("shape", [(1, 3, 2**20, 2**20), (-1, 3, 8, 8)])
def test_inputs_that_are_too_large(shape):
    net = model()
    net.graph.input[0].CopyFrom(value("x", shape))
    refused(net, "too large")


def test_a_circle():
    net = model()
    net.graph.node[0].input[0] = "y"
    refused(net, "uses 'y', which comes after it")


def test_a_value_that_does_not_exist():
    net = model()
    net.graph.node[1].input[1] = "v"
    refused(net, "uses 'v', which does not exist")


def test_names_that_are_used_twice():
    net = model()
    net.graph.node[0].output[0] = "y"
    net.graph.node[1].input[0] = "y"
    refused(net, "'y' is the name of 2 values")
    net = model()
    net.graph.initializer.append(net.graph.initializer[0])
    refused(net, "'w' is the name of 2 values")


def test_a_name_without_end():
    net = model()
    net.graph.node[0].name = "n" * 100_000
    refused(net, "a name in it has 100,000 characters")


def test_a_name_that_is_not_text():
    data = model().SerializeToString().replace(b"matmul", b"\xff\xfematm")
    refused(data, "not text|is not an ONNX file")


def test_an_output_that_is_never_computed():
    net = model()
    net.graph.output[0].name = "z"
    refused(net, "its output 'z' is never computed")


def test_unknown_attributes():
    net = model()
    net.graph.node[0].attribute.append(helper.make_attribute("evil", 1))
    refused(net, "ONNX's own checker says")


def test_fields_of_the_future_are_dropped():
    wanted = model()
    data = wanted.SerializeToString() + b"\x82\x7d\x04evil"  # field 2000, four bytes
    assert onnx.ModelProto.FromString(data).SerializeToString() == data
    assert check(data, NAME).SerializeToString() == wanted.SerializeToString()


def test_a_file_that_is_too_large():
    with pytest.raises(ModelError, match=r"at most 512.MB"):
        check(bytes(limits.IMPORTED_BYTES.value + 1), NAME)


@pytest.mark.fuzz
def test_random_damage_is_refused_or_harmless():
    draw, data = random.Random(0), model().SerializeToString()
    passed = 0
    for _ in range(400 * TIMES):
        changed = bytearray(data)
        for _ in range(draw.choice([1, 1, 3])):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            check(bytes(changed), NAME)
            passed += 1
        except EngineError:
            pass
    assert passed > 100 * TIMES  # most bytes are those of weights
