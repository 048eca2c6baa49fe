"""The counts of weights in the nodes that use them: right in every encoding, and verified."""

from __future__ import annotations

import json
import math

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import prospr_engine as pe
from prospr_engine.export import node_counts, provenance
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.verify import verify


class Twice(nn.Module):
    """A convolution, a weight used by two layers, and one that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.idle = nn.Linear(4, 4)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu().mean((2, 3))
        return self.second(self.first(x).relu())


class Attends(nn.Module):
    """Weights that are transposed, or cut into three, before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        return self.last(self.attention(x, x, x, need_weights=False)[0].mean(1))


def export(model, shape, path, encoding="dense"):
    torch.manual_seed(0)
    masks = {
        name: torch.rand(parameter.shape) < 0.3
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1
    }
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    inputs = torch.randn(2, *shape)
    proof = pe.export_onnx(
        model, path, inputs, encoding=encoding, masks=masks, calibration=[inputs]
    )
    assert proof.ok
    return masks


def counts(path):
    """What a viewer shows, by the type of the node, in the order of the file."""
    found = []
    for node in onnx.load(path).graph.node:
        if node.metadata_props:
            found.append((node.op_type, {p.key: p.value for p in node.metadata_props}))
    return found


def expected(mask):
    kept, total = int(mask.sum()), math.prod(mask.shape)
    return {"kept": str(kept), "total": str(total), "sparsity": f"{1 - kept / total:g}"}


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_every_use_of_a_weight_has_its_counts(encoding, tmp_path):
    masks = export(Twice(), (3, 6, 6), tmp_path / "model.onnx", encoding)
    found = counts(tmp_path / "model.onnx")
    assert [props for _, props in found] == [
        expected(masks["conv.weight"]),
        expected(masks["first.weight"]),
        expected(masks["first.weight"]),
    ]
    assert found[0][0] == "Conv"
    assert {name for name, _ in found[1:]} <= {"Gemm", "MatMul"}


def test_a_weight_that_is_transposed_or_cut_is_counted_where_it_is_used(tmp_path):
    masks = export(Attends(), (8, 2, 2), tmp_path / "model.onnx")
    found = counts(tmp_path / "model.onnx")
    assert {name for name, _ in found} <= {"Gemm", "MatMul", "Conv"}
    shown = [props for _, props in found]
    for name in ("attention.in_proj_weight", "attention.out_proj.weight", "last.weight"):
        assert expected(masks[name]) in shown


def test_the_bytes_of_a_repeated_export_are_the_same(tmp_path):
    for name in ("a", "b"):
        torch.manual_seed(1)
        export(Twice(), (3, 6, 6), tmp_path / name, "compact")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def rewritten(path, change, careful=True):
    """Apply ``change`` to the file, and, as a ``careful`` forger, to its digests and its seal."""
    model = onnx.load(path)
    change(model)
    props = {p.key: p for p in model.metadata_props}
    if careful:
        digests = json.loads(props["prospr.digests"].value)
        digests["graph"] = provenance.graph_digest(model)
        props["prospr.digests"].value = json.dumps(digests)
        seal = provenance.seal({p.key: p.value for p in model.metadata_props})
        props["prospr.seal"].value = json.dumps(seal)
    path.write_bytes(model.SerializeToString())
    return {check.name for check in verify(path).failures}


def first(model):
    return next(node for node in model.graph.node if node.metadata_props)


def set_kept(model):
    first(model).metadata_props[0].value = "1"


def drop_one(model):
    del first(model).metadata_props[1]


def say_twice(model):
    first(model).metadata_props.add(key="kept", value=first(model).metadata_props[0].value)


def say_elsewhere(model):
    node = next(node for node in model.graph.node if not node.metadata_props)
    node.metadata_props.add(key="kept", value="9")


@pytest.mark.parametrize("change", [set_kept, drop_one, say_twice, say_elsewhere])
def test_a_wrong_count_fails(change, exported):
    path, _ = exported
    assert rewritten(path, change) == {"nodes"}


def test_a_wrong_count_fails_the_digest_too(exported):
    path, _ = exported
    assert rewritten(path, set_kept, careful=False) == {"graph", "nodes"}


def test_a_file_of_an_earlier_version_has_no_counts_and_passes(exported):
    path, _ = exported

    def remove(model):
        for node in model.graph.node:
            del node.metadata_props[:]

    assert rewritten(path, remove) == set()
    assert "nodes" not in {check.name for check in verify(path).checks}


def test_the_shape_of_a_weight_is_no_use_of_it():
    helper = onnx.helper
    nodes = [
        helper.make_node("Shape", ["w"], ["s"]),
        helper.make_node("Reshape", ["input", "s"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["logits"]),
    ]
    values = [helper.make_tensor_value_info(name, 1, [2, 2]) for name in ("input", "logits")]
    weight = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
    model = helper.make_model(graph)
    record = provenance.LayerRecord("w", (2, 2), 3, 0, "", "")
    node_counts.write(model, [record])
    assert [len(node.metadata_props) for node in model.graph.node] == [0, 0, 3]
    assert {p.key: p.value for p in model.graph.node[2].metadata_props} == {
        "kept": "3",
        "total": "4",
        "sparsity": "0.25",
    }


def test_another_runtime_reads_such_a_file(exported):
    openvino = pytest.importorskip("openvino")
    path, _ = exported
    model = onnx.load(path)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    images = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # it would compute in bfloat16 where it can
    result = core.compile_model(core.read_model(path), "CPU", exact)(images)[0]
    (wanted,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": images})
    assert np.allclose(result, wanted, atol=1e-4)
