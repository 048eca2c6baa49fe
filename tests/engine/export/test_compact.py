"""Packed tensors are unpacked by runtimes, bit for bit, and take little more than they must."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import prospr_engine as pe
from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import ENCODINGS, StoredTensor, compact
from prospr_engine.export.encodings.compact import decode, pack
from prospr_engine.export.encodings.compact_size import packed
from prospr_engine.export.encodings.gaps import gap_coded
from prospr_engine.export.export import write_file
from prospr_engine.export.traced import Traced, trace_network
from prospr_engine.models.measures import known
from prospr_engine.pipeline.remainder import tensors_of

GENERATOR = np.random.default_rng(0)


def sparse(shape: tuple[int, ...], density: float) -> np.ndarray:
    values = GENERATOR.standard_normal(shape).astype(np.float32)
    return np.where(GENERATOR.random(shape) < density, values, np.float32(0))


def only(places: dict[int, float], size: int) -> np.ndarray:
    values = np.zeros(size, np.float32)
    for place, value in places.items():
        values[place] = value
    return values


TENSORS = {
    "dense": sparse((64, 32, 3, 3), 1.0),
    "half": sparse((64, 32, 3, 3), 0.5),
    "a tenth": sparse((64, 32, 3, 3), 0.1),
    "a thousandth": sparse((300, 700), 1e-3),
    "nothing": np.zeros((40, 50), np.float32),
    "the first": only({0: 1.5}, 5000),
    "the last": only({4999: -1.5}, 5000),
    "far apart": only({0: 1.0, 70_000: 2.0, 399_999: 3.0}, 400_000),
    "a full column": np.where(np.arange(400) % 100 == 0, sparse((400, 400), 1.0), np.float32(0)),
    "minus zero": only({7: -0.0, 900: 1e-45, 901: 3e38}, 4000),
    "a scalar": np.float32(0.25).reshape(()),
    "no element": np.zeros((0, 3), np.float32),
    "whole numbers": np.zeros((300,), np.int64),
    "64 bit": np.zeros((300,), np.float64),
}


def model(**tensors: np.ndarray) -> onnx.ModelProto:
    """Each tensor is handed out as it is."""
    outputs, nodes = [], []
    for name, values in tensors.items():
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        outputs.append(helper.make_tensor_value_info(f"out {name}", kind, values.shape))
        nodes.append(helper.make_node("Identity", [name], [f"out {name}"]))
    stored = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    graph = helper.make_graph(nodes, "tensors", [], outputs, stored)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Bit for bit."""
    return (first.dtype, first.shape, first.tobytes()) == (
        second.dtype,
        second.shape,
        second.tobytes(),
    )


@pytest.mark.parametrize("name", TENSORS)
def test_every_runtime_gets_back_what_was_packed(name: str):
    values = TENSORS[name]
    found = pack(model(w=values))
    onnx.checker.check_model(found, full_check=True)
    data = found.SerializeToString()
    assert same(onnxruntime.InferenceSession(data).run(None, {})[0], values)
    assert same(np.asarray(ReferenceEvaluator(found).run(None, {})[0]), values)
    assert same(decode(found)["w"], values)
    assert len(data) <= model(w=values).ByteSize()


@pytest.mark.parametrize("density", [0.5, 0.2, 0.1, 0.05, 0.02, 0.01])
def test_places_take_little_more_than_their_entropy(density: float):
    """Shannon's bound for weights in random places, besides four bytes for each of them."""
    values = sparse((512, 512, 3), density)
    kept = int((values != 0).sum())
    entropy = -(density * math.log2(density) + (1 - density) * math.log2(1 - density))
    least = 4 * kept + entropy * values.size / 8
    found = pack(model(w=values)).ByteSize()
    assert least < found < 1.04 * least + 2000


def test_gaps_add_up_to_the_places():
    places = np.array([0, 1, 700, 701, 90_000])
    gaps, at, bits = gap_coded(places, 4)
    assert gaps.max() < 2**bits
    assert np.cumsum(gaps)[at].tolist() == places.tolist()
    assert len(np.unique(np.cumsum(gaps))) == len(gaps)  # else one would overwrite another


def test_names_never_clash():
    values = TENSORS["a tenth"]
    tensors = {"w": values, ":0.bits": values * 2, ":int640": values * 3, "::1": values * 4}
    found = onnxruntime.InferenceSession(pack(model(**tensors)).SerializeToString()).run(None, {})
    assert all(map(same, found, tensors.values()))


def test_what_a_runtime_would_not_evaluate_beforehand_stays_dense(monkeypatch: Any):
    monkeypatch.setattr(compact, "MOST_VALUES", 1000)
    found = pack(model(small=sparse((1000,), 0.01), large=sparse((1001,), 0.01)))
    assert "large" in {tensor.name for tensor in found.graph.initializer}
    assert "small" not in {tensor.name for tensor in found.graph.initializer}


def test_half_precision_rounds_what_it_can_hold():
    fits, too_large = sparse((200, 200), 0.1), only({3: 1e6}, 4000)
    found = pack(model(fits=fits, too_large=too_large), np.float16)
    first, second = onnxruntime.InferenceSession(found.SerializeToString()).run(None, {})
    assert same(first, fits.astype(np.float16).astype(np.float32))
    assert same(second, too_large)
    assert same(decode(found)["fits"], first)


@pytest.mark.parametrize("damage", ["length", "op", "input"])
def test_what_cannot_be_unpacked_is_refused(damage: str):
    found = pack(model(w=TENSORS["a thousandth"]))
    nodes = {node.op_type: node for node in found.graph.node}
    if damage == "length":
        (length,) = [t for t in found.graph.initializer if t.name.endswith("x210000")]
        length.CopyFrom(numpy_helper.from_array(np.array([2**40], np.int64), length.name))
    elif damage == "op":
        nodes["ScatterElements"].op_type = "Loop"
    else:
        nodes["CumSum"].input[0] = "missing"
    with pytest.raises(ExportError, match="cannot be unpacked"):
        decode(found)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pruned network, dense and packed."""
    folder = tmp_path_factory.mktemp("encodings")
    network = pe.build_model("small_cnn", (1, 8, 8), 10, 0)
    masks = pe.score(network, [], method="random", seed=0).masks(0.9)
    masks.apply_to(network)
    names = ("dense", "compact", "compact-fp16")
    for name in names:
        path = folder / ENCODINGS[name].file()
        sample = torch.zeros(2, 1, 8, 8)
        proof = pe.export_onnx(network, path, sample, encoding=name, masks=masks)
        assert proof.ok
        assert proof.zeros == masks.total - masks.kept
    return {name: folder / ENCODINGS[name].file() for name in names}


def logits(path: Path) -> np.ndarray:
    images = np.random.default_rng(1).standard_normal((5, 1, 8, 8)).astype(np.float32)
    return onnxruntime.InferenceSession(str(path)).run(None, {"input": images})[0]


def test_compact_logits_are_those_of_the_dense_file(files: dict[str, Path]):
    assert same(logits(files["compact"]), logits(files["dense"]))
    exact = logits(files["dense"])
    assert abs(logits(files["compact-fp16"]) - exact).max() < 5e-3 * abs(exact).max()
    sizes = [files[name].stat().st_size for name in ("compact-fp16", "compact", "dense")]
    assert sizes == sorted(sizes)
    assert sizes[1] < sizes[2] / 4


@pytest.mark.parametrize("name", ["compact", "compact-fp16"])
def test_a_changed_weight_is_noticed(name: str, files: dict[str, Path], tmp_path: Path):
    changed = onnx.load(files[name])
    tensors = [t for t in changed.graph.initializer if t.name.endswith(".values")]
    tensor = max(tensors, key=lambda t: t.ByteSize())
    values = numpy_helper.to_array(tensor).copy()
    values[abs(values).argmax()] *= 2
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(changed, tmp_path / "changed.onnx")
    proof = pe.verify(tmp_path / "changed.onnx")
    assert {check.name for check in proof.checks if not check.ok} >= {"weights"}


@pytest.fixture(scope="module", params=[0.5, 0.9, 0.98])
def pruned(request: pytest.FixtureRequest) -> tuple[float, Traced]:
    """A sparsity, and a network of it: traced once, which takes longer than any file."""
    network = pe.build_model("resnet20", (1, 8, 8), 10, 0)
    masks = pe.score(network, [], method="random", seed=0).masks(request.param)
    masks.apply_to(network)
    inputs = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return request.param, trace_network(network, inputs, masks)


@pytest.mark.parametrize("name", ["compact", "compact-fp16", "int8", "native-sparse"])
def test_the_predicted_size_is_about_that_of_the_file(
    name: str, pruned: tuple[float, Traced], tmp_path: Path
):
    sparsity, traced = pruned
    path = tmp_path / "model.onnx"
    write_file(traced, path, name, calibration=[torch.from_numpy(traced.inputs[0])])
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path)
    measure = known("resnet20", 1, 8, 10)
    assert measure is not None
    size = ENCODINGS[name].load_sizer()
    found = size(*tensors_of(measure, 1 - sparsity))
    assert found.bytes == pytest.approx(path.stat().st_size, rel=0.1)
    assert found.zipped == pytest.approx((tmp_path / "model.zip").stat().st_size, rel=0.08)


@pytest.mark.parametrize("number", [2, 4])
def test_more_weights_never_take_less(number: int):
    sizes = [
        stored.bytes
        for kept in range(0, 10_001, 100)
        for stored in [packed(StoredTensor(10_000, kept), number)]
    ]
    assert sizes == sorted(sizes)
