"""Results written into a user's own graph: only values may differ, and the file proves itself."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_files import without_ours
from torch import nn

from prospr_engine.errors import ExportError
from prospr_engine.export import runtime
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.export import write_file
from prospr_engine.export.interface import TRANSPOSE, Interface, Place, Template
from prospr_engine.export.own_graph import put
from prospr_engine.export.traced import trace_into, trace_network
from prospr_engine.export.verify import verify
from prospr_engine.pruning.masks import Masks

HOMES = {
    "conv.weight": "stem/kernel:0",
    "conv.bias": "stem/bias",
    "dense.weight": "head/kernel:0",
    "dense.bias": "head/bias",
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.dense = nn.Linear(8 * 36, 3)

    def forward(self, x):
        return self.dense(torch.relu(self.conv(x)).flatten(1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Net()


def own_model(network, batch="n", opset=18, ir=8, listed=False, typed=False):
    """The network as another exporter may write it: channels last, a transposed matrix, softmax at
    the end, names of its own."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    tensors = [
        numpy_helper.from_array(state["conv.weight"], HOMES["conv.weight"]),
        numpy_helper.from_array(state["conv.bias"], HOMES["conv.bias"]),
        numpy_helper.from_array(state["dense.weight"].T.copy(), HOMES["dense.weight"]),
        numpy_helper.from_array(state["dense.bias"], HOMES["dense.bias"]),
    ]
    if typed:
        values = state["conv.weight"].reshape(-1).tolist()
        name, shape = HOMES["conv.weight"], state["conv.weight"].shape
        tensors[0] = helper.make_tensor(name, TensorProto.FLOAT, shape, values)
    tensors[3].doc_string = "as trained in May"
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["image"], ["t"], "nchw", perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["t", *map(HOMES.get, ("conv.weight", "conv.bias"))], ["c"]),
            helper.make_node("Relu", ["c"], ["r"], doc_string="rectified"),
            helper.make_node("Flatten", ["r"], ["f"]),
            helper.make_node("MatMul", ["f", HOMES["dense.weight"]], ["m"], "head/matmul"),
            helper.make_node("Add", ["m", HOMES["dense.bias"]], ["a"]),
            helper.make_node("Softmax", ["a"], ["probability"], axis=1),
        ],
        "their graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (batch, 8, 8, 1))],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, (batch, 3))],
        tensors,
        "their words",
    )
    if listed:
        for tensor in tensors:
            shape = list(tensor.dims)
            graph.input.append(helper.make_tensor_value_info(tensor.name, 1, shape))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)],
        ir_version=ir,
        producer_name="theirs",
    )
    helper.set_model_props(model, {"author": "somebody", "licence": "CC0"})
    return model


def template_of(model, batch=None):
    def fill(graph, state):
        values = {HOMES[name]: array for name, array in state.items()}
        values[HOMES["dense.weight"]] = np.ascontiguousarray(state["dense.weight"].T)
        put(graph, values, ())

    places = {name: Place(tensor) for name, tensor in HOMES.items()}
    places["dense.weight"] = Place(HOMES["dense.weight"], ((TRANSPOSE, (1, 0)),))
    interface = Interface("image", "probability", batch, channels_last=True, answer="softmax")
    return Template(model.SerializeToString(), interface, places, fill)


def pruned(network, masks=None):
    """A copy with other values, most of them zero, and its masks."""
    other = copy.deepcopy(network)
    torch.manual_seed(1)
    masks = Masks({
        name: torch.rand_like(tensor) < 0.2
        for name, tensor in other.named_parameters()
        if name.endswith("weight")
    })  # fmt: skip
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(0.1)
        masks.apply_to(other)
    return other, masks


def images(count=6):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def written(network, model, folder, encoding="dense", batch=None):
    other, masks = pruned(network)
    traced = trace_into(template_of(model, batch), other, images(), masks)
    path = folder / "model.onnx"
    proof = write_file(traced, path, encoding, {"sparsity": 0.8}, [images(8)])
    return other, masks, proof, path


@pytest.mark.parametrize("typed", [False, True], ids=["bytes", "numbers"])
def test_unchanged_weights_leave_every_byte_as_it_was(network, tmp_path, typed):
    model = own_model(network, typed=typed)
    traced = trace_into(template_of(model), network, images())
    write_file(traced, tmp_path / "model.onnx", "dense")
    found = onnx.load(tmp_path / "model.onnx")
    assert without_ours(found).SerializeToString() == model.SerializeToString()
    assert not any(node.metadata_props for node in found.graph.node)  # of format 10 and later


@pytest.mark.parametrize("typed", [False, True], ids=["bytes", "numbers"])
def test_only_values_change(network, tmp_path, typed):
    model = own_model(network, typed=typed)
    other, masks, proof, path = written(network, model, tmp_path)
    assert proof.ok, proof.failures
    found = without_ours(onnx.load(path))
    state = other.state_dict()
    for before, after in zip(model.graph.initializer, found.graph.initializer, strict=True):
        (name,) = (name for name, home in HOMES.items() if home == after.name)
        wanted = state[name].numpy()
        values = numpy_helper.to_array(after)
        assert np.array_equal(values, wanted.T if name == "dense.weight" else wanted)
        filled = [field.name for field, _ in before.ListFields()]
        assert [field.name for field, _ in after.ListFields()] == filled
        after.CopyFrom(before)
    assert found == model
    zeros = {layer.name: layer.zeros for layer in proof.layers}
    assert zeros == {name: int((~mask).sum()) for name, mask in masks.items()}


def test_the_file_answers_as_the_network(network, tmp_path):
    other, _, _, path = written(network, own_model(network), tmp_path)
    wanted = other(images()).softmax(1).detach().numpy()
    (found,) = runtime.run(path, [images().numpy().transpose(0, 2, 3, 1)])
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("batch", [None, 4])
def test_every_encoding_keeps_names_and_metadata(network, tmp_path, encoding, batch):
    model = own_model(network, batch or "n", listed=True)
    _, masks, proof, path = written(network, model, tmp_path, encoding, batch)
    assert proof.ok, proof.failures
    found = onnx.load(path)
    assert found.graph.input[0] == model.graph.input[0]
    assert found.graph.output[0] == model.graph.output[0]
    theirs = {prop.key: prop.value for prop in found.metadata_props}
    assert (theirs["author"], theirs["licence"]) == ("somebody", "CC0")
    again = verify(path, masks)
    assert again.ok, again.failures
    assert again.zeros >= again.zeros_expected > 0
    total = sum(mask.numel() for mask in masks.values())
    assert again.zeros_expected == total - sum(int(mask.sum()) for mask in masks.values())


@pytest.mark.parametrize(
    ("encoding", "opset", "ir", "match"),
    [
        ("compact", 17, 8, "opset 17, and this encoding needs opset 18"),
        ("int8", 12, 7, "needs opset 13"),
        ("native-sparse", 9, 5, "needs version 6"),
    ],
)
def test_encodings_that_the_graph_is_too_old_for(network, tmp_path, encoding, opset, ir, match):
    with pytest.raises(ExportError, match=match):
        written(network, own_model(network, opset=opset, ir=ir), tmp_path, encoding)


@pytest.mark.parametrize(("ir", "counted"), [(9, False), (10, True)])
def test_counts_in_nodes_where_the_format_knows_them(network, tmp_path, ir, counted):
    model = own_model(network, ir=ir)
    if counted:
        model.graph.node[1].metadata_props.add(key="namespace", value="stem")
    _, masks, proof, path = written(network, model, tmp_path)
    assert proof.ok, proof.failures
    found = {
        node.op_type: {prop.key: prop.value for prop in node.metadata_props}
        for node in onnx.load(path).graph.node
    }
    kept = str(int(masks["dense.weight"].sum()))
    assert found["MatMul"].get("kept") == (kept if counted else None)
    assert found["Conv"].get("namespace") == ("stem" if counted else None)


def tampered(path, change):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return {check.name for check in verify(path).failures}


def change_weight(model):
    tensor = model.graph.initializer[2]
    values = numpy_helper.to_array(tensor).copy()
    values[values == 0] = 1e-3
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (change_weight, {"weights", "zeros", "logits"}),
        (lambda m: setattr(m.metadata_props[0], "value", "nobody"), {"record"}),
        (lambda m: setattr(m.graph, "doc_string", "other words"), {"record"}),
        (lambda m: setattr(m.graph.node[2], "op_type", "Sigmoid"), {"graph", "logits"}),
        (lambda m: m.functions.add(name="f"), {"file"}),
        (lambda m: setattr(m.graph.input[0], "name", "x"), {"file"}),
    ],
    ids=["weight", "metadata", "words", "operator", "function", "input"],
)
def test_changes_are_noticed(network, tmp_path, change, failing):
    *_, path = written(network, own_model(network), tmp_path)
    assert failing <= tampered(path, change)


def test_weights_in_constant_nodes(network, tmp_path):
    model = own_model(network)
    tensor = model.graph.initializer[2]
    node = helper.make_node("Constant", [], [tensor.name], value=tensor)
    model.graph.node.insert(0, node)
    del model.graph.initializer[2]
    other, _, proof, path = written(network, model, tmp_path)
    assert proof.ok, proof.failures
    changed = numpy_helper.to_array(onnx.load(path).graph.node[0].attribute[0].t)
    assert np.array_equal(changed, other.dense.weight.detach().numpy().T)
    assert tampered(path, lambda m: m.graph.node[0].attribute[0].t.CopyFrom(tensor))


def test_what_other_nodes_compute_becomes_a_weight(network):
    model = own_model(network)
    name = HOMES["dense.weight"]
    tensor = model.graph.initializer[2]
    tensor.name = "quantised"
    model.graph.node.insert(0, helper.make_node("Identity", ["quantised"], [name]))
    wanted = np.ones((288, 3), np.float32)
    put(model, {name: wanted}, {name})
    assert model.graph.node[0].op_type == "Transpose"
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert np.array_equal(stored.pop(name), wanted)
    assert stored.keys() == {HOMES[n] for n in ("conv.weight", "conv.bias", "dense.bias")}


def test_tensors_that_do_not_fit_are_refused(network):
    model = own_model(network)
    with pytest.raises(ExportError, match="no tensor 'other'"):
        put(model, {"other": np.zeros(1, np.float32)}, ())
    with pytest.raises(ExportError, match="trained values are float32 of shape"):
        put(model, {HOMES["conv.bias"]: np.zeros(9, np.float32)}, ())


@pytest.mark.parametrize("listed", [False, True])
def test_another_number_of_classes_is_declared(network, listed):
    model = own_model(network, listed=listed)
    model.graph.value_info.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, ("n", 3)))
    values = {
        HOMES["dense.weight"]: np.ones((288, 7), np.float32),
        HOMES["dense.bias"]: np.ones(7, np.float32),
    }
    with pytest.raises(ExportError, match="trained values are float32 of shape"):
        put(onnx.ModelProto.FromString(model.SerializeToString()), values, (), (4, 7))
    put(model, values, (), (3, 7))
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 7
    (found,) = runtime.run(model.SerializeToString(), [np.zeros((2, 8, 8, 1), np.float32)])
    assert found.shape == (2, 7)


def test_images_of_another_size_are_refused(network):
    network.dense = nn.Linear(8 * 64, 3)
    model = own_model(network)  # declares images of 8 by 8 pixels
    with pytest.raises(ExportError, match="takes other images"):
        trace_into(template_of(model), network, torch.randn(2, 1, 10, 10))


@pytest.mark.parametrize("names", [("image", "scores"), ("relu", "linear"), ("logits", "input")])
def test_new_files_keep_the_names_of_input_and_output(network, tmp_path, names):
    traced = trace_network(network, images(), names=names)
    proof = write_file(traced, tmp_path / "model.onnx", "dense")
    assert proof.ok, proof.failures
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert ([v.name for v in graph.input], [v.name for v in graph.output]) == (
        [names[0]],
        [names[1]],
    )
    assert verify(tmp_path / "model.onnx").ok
