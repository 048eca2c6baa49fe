"""verify: what was spoilt is caught, with the check that failed and a sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from prospr_engine.errors import ConfigError, ExportError
from prospr_engine.export import node_counts, provenance
from prospr_engine.export.verify import verify


def edit(path, change):
    """Rewrite the file after ``change(model)``, without looking at external data."""
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())


def tensor(model, name):
    return next(t for t in model.graph.initializer if t.name == name)


def put(model, name, values):
    tensor(model, name).CopyFrom(numpy_helper.from_array(values, name))


def change_weight(name, pruned, to):
    def change(model):
        values = numpy_helper.to_array(tensor(model, name)).copy()
        place = tuple(np.argwhere((values == 0) == pruned)[0])
        values[place] = to(values[place])
        put(model, name, values)

    return change


def change_property(key, value):
    def change(model):
        next(p for p in model.metadata_props if p.key == key).value = value

    return change


def reseal(model):
    """What a careful forger does after an edit."""
    props = {p.key: p.value for p in model.metadata_props}
    change_property("prospr.seal", json.dumps(provenance.seal(props)))(model)


def failed(proof):
    assert not proof.ok
    assert all(check.text.endswith(".") for check in proof.checks)
    return {check.name for check in proof.failures}


def test_a_fresh_file_passes_and_says_what_it_is(exported):
    path, masks = exported
    proof = verify(path)
    assert proof.ok
    assert proof.provenance["method"] == "prospr"
    assert proof.provenance["sparsity"] == {"requested": 0.7}
    assert 0 <= proof.max_abs_error <= proof.tolerance
    assert proof.zeros == proof.zeros_expected == sum(int((~m).sum()) for m in masks.values())
    assert "masks" not in {check.name for check in proof.checks}
    assert verify(path, masks).ok


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (change_weight("3.weight", True, lambda w: np.float32(1e-30)), {"weights", "zeros"}),
        (change_weight("8.weight", False, lambda w: np.float32(0)), {"weights", "zeros"}),
        (change_weight("3.weight", False, lambda w: np.nextafter(w, w * 2)), {"weights"}),
        (change_weight("8.bias", False, lambda w: w + 50), {"weights", "logits"}),
        (change_weight("1.running_mean", False, lambda w: w + 1e-6), {"weights"}),
        (change_property("prospr.method", '"magnitude"'), {"record"}),
        (change_property("prospr.seal", '"00"'), {"record"}),
        (lambda m: m.metadata_props.add(key="accuracy", value="0.99"), {"record"}),
        (lambda m: setattr(m, "doc_string", "99 % accurate"), {"record"}),
        (lambda m: setattr(m.graph, "doc_string", "99 % accurate"), {"record"}),
        (lambda m: setattr(m.graph.initializer[0], "doc_string", "fine"), {"record"}),
        (lambda m: setattr(m, "producer_name", "somebody"), {"record"}),
        (lambda m: setattr(m, "producer_version", "9"), {"record"}),
        (lambda m: setattr(m, "model_version", 9), {"record"}),
        (lambda m: setattr(m, "domain", "somewhere"), {"record"}),
        (lambda m: setattr(m.graph, "name", "another"), {"record"}),
        (lambda m: m.metadata_props.add(key="prospr.accuracy2", value="1"), {"record"}),
        (lambda m: m.metadata_props.add(key="prospr.method", value='"prospr"'), {"onnx", "record"}),
    ],
)
def test_edits_are_caught(exported, change, names):
    path, _ = exported
    edit(path, change)
    assert failed(verify(path)) == names


def test_a_pruned_weight_that_came_back_is_counted(exported):
    path, masks = exported
    edit(path, change_weight("8.weight", True, lambda w: np.float32(1)))
    zeros = int((~masks["8.weight"]).sum())
    text = next(check.text for check in verify(path).failures if check.name == "zeros")
    assert text == f"8.weight has {zeros - 1} zeros, but {zeros} are recorded."


def test_zeros_moved_within_a_layer_are_caught(exported):
    path, masks = exported

    def swap(model):
        values = numpy_helper.to_array(tensor(model, "8.weight")).copy()
        put(model, "8.weight", np.ascontiguousarray(values[:, ::-1]))

    edit(path, swap)
    proof = verify(path, masks)
    assert failed(proof) >= {"weights", "zeros", "masks"}
    assert any("in other places" in check.text for check in proof.failures)


def test_a_changed_operator_is_caught(exported):
    path, _ = exported

    def change(model):
        node = next(n for n in model.graph.node if n.op_type == "Relu")
        node.op_type = "Abs"

    edit(path, change)
    assert failed(verify(path)) == {"graph", "logits"}


def test_a_layer_taken_away_is_caught(exported):
    path, _ = exported
    edit(path, lambda m: m.graph.initializer.remove(tensor(m, "8.weight")))
    proof = verify(path)
    assert failed(proof) >= {"onnx", "weights", "zeros"}
    assert proof.max_abs_error is None
    assert proof.to_dict()["layers"][-1]["zeros"] is None


def test_a_tensor_shorter_than_its_shape_is_caught(exported):
    path, _ = exported

    def cut(model):
        weight = tensor(model, "8.weight")
        weight.raw_data = weight.raw_data[:-4]

    edit(path, cut)
    assert failed(verify(path)) >= {"weights"}


@pytest.mark.parametrize("attribute", [False, True])
def test_external_data_is_refused_and_not_opened(exported, attribute, monkeypatch):
    path, _ = exported
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *a, **k: pytest.fail("was run"))
    monkeypatch.setattr("onnx.checker.check_model", lambda *a, **k: pytest.fail("was opened"))

    def point_outside(model):
        weight = tensor(model, "8.weight")
        if attribute:
            node = helper.make_node("Constant", [], ["extra"], value=TensorProto())
            model.graph.node.append(node)
            weight = model.graph.node[-1].attribute[0].t
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../etc/passwd")

    edit(path, point_outside)
    proof = verify(path)
    assert failed(proof) == {"file"}
    assert "another file, which was not opened" in proof.failures[0].text


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (helper.make_node("Gelu", ["logits"], ["x"], domain="com.microsoft"), "com.microsoft"),
        (
            helper.make_node(
                "If",
                ["c"],
                ["x"],
                then_branch=helper.make_graph([], "t", [], []),
                else_branch=helper.make_graph([], "e", [], []),
            ),
            "nested graph",
        ),
    ],
)
def test_what_cannot_be_judged_is_not_run(exported, node, says, monkeypatch):
    path, _ = exported
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *a, **k: pytest.fail("was run"))
    edit(path, lambda m: m.graph.node.append(node))
    proof = verify(path)
    assert failed(proof) == {"file"}
    assert says in proof.failures[0].text


def test_functions_and_other_inputs_are_refused(exported):
    path, _ = exported
    original = path.read_bytes()
    edit(path, lambda m: m.functions.add(name="f", domain="x"))
    assert failed(verify(path)) == {"file"}
    path.write_bytes(original)
    edit(path, lambda m: m.graph.input.add(name="second"))
    assert failed(verify(path)) == {"file"}
    path.write_bytes(original)

    def other_size(model):
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 4096

    edit(path, other_size)
    assert failed(verify(path)) == {"file"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 surely no model", "not an ONNX file"),
        (b"\x08\x0a", "has no operators"),
        ("truncated", "truncated|has no record"),
        ("half", "truncated"),
    ],
    ids=["empty", "zip", "no operators", "truncated", "half"],
)
def test_files_that_cannot_be_judged(exported, content, says):
    path, _ = exported
    whole = path.read_bytes()
    cuts = {"truncated": whole[:-1], "half": whole[: len(whole) // 2]}
    path.write_bytes(cuts.get(content, content))
    with pytest.raises(ExportError, match=says):
        verify(path)


def test_every_truncation_is_noticed(exported):
    path, _ = exported
    whole = path.read_bytes()
    for length in np.random.default_rng(0).integers(1, len(whole), 60):
        path.write_bytes(whole[:length])
        with pytest.raises(ExportError):
            verify(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ExportError, match="There is no file"):
        verify(tmp_path / "nothing.onnx")
    with pytest.raises(ExportError, match="is a folder"):
        verify(tmp_path)


def test_foreign_and_newer_files(exported):
    path, _ = exported
    original = path.read_bytes()
    edit(path, lambda m: m.ClearField("metadata_props"))
    with pytest.raises(ExportError, match="not exported by this engine"):
        verify(path)
    path.write_bytes(original)
    edit(path, change_property("prospr.format", "2"))
    with pytest.raises(ExportError, match="newer version"):
        verify(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prospr.format", "[]"),
        ("prospr.layers", "null"),
        ("prospr.layers", '[{"name": 1}]'),
        ("prospr.references", "[]"),
        ("prospr.references", '[{"shape": [1, 4], "logits": "!"}]'),
        ("prospr.input", "[3, -8, 8]"),
        ("prospr.input", "[99999, 99999, 99999]"),
        ("prospr.digests", "7"),
        ("prospr.method", "{not json"),
        ("prospr.layers", "[" * 100_000),
    ],
)
def test_a_record_that_cannot_be_read(exported, key, value):
    path, _ = exported
    edit(path, change_property(key, value))
    edit(path, reseal)
    with pytest.raises(ExportError, match="damaged"):
        verify(path)


def test_an_unknown_encoding(exported):
    path, _ = exported
    edit(path, change_property("prospr.encoding", '"quantum"'))
    with pytest.raises(ConfigError, match="quantum"):
        verify(path)


def test_a_forged_record_is_still_caught_by_the_masks(exported):
    """Who recomputes every digest fools the record, but not the masks."""
    path, masks = exported
    revive = change_weight("8.weight", True, lambda w: np.float32(1e-30))

    def forge(model):
        revive(model)
        record, _ = provenance.read(model)
        weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        layers = []
        for layer in record.layers:
            digest = provenance.bits_digest(weights[layer.name] != 0)
            kept = int((weights[layer.name] != 0).sum())
            layers.append(provenance.LayerRecord(layer.name, layer.shape, kept, 0, digest, digest))
        node_counts.write(model, layers)
        digests = {
            "weights": provenance.weights_digest(weights),
            "graph": provenance.graph_digest(model),
        }
        forged = provenance.Provenance(
            record.encoding,
            record.input_shape,
            tuple(layers),
            record.unused,
            {**record.digests, **digests},
            record.references,
            record.metadata,
        )
        provenance.write(forged, model)

    edit(path, forge)
    assert verify(path).ok
    proof = verify(path, masks)
    assert failed(proof) == {"masks"}
    assert "1 pruned weights of 8.weight are not zero" in proof.failures[0].text


def as_numpy(masks):
    return {name: mask.numpy() for name, mask in masks.items()}


def test_masks_beside_the_file_are_used(exported):
    path, masks = exported
    beside = path.parent / "masks.safetensors"
    save_file(as_numpy(masks), beside)
    assert "masks" in {check.name for check in verify(path).checks}
    assert verify(path).ok
    save_file({k: m.astype(np.uint8) for k, m in as_numpy(masks).items()}, beside)
    assert verify(path).ok


def test_masks_that_disagree_are_caught(exported):
    path, masks = exported
    beside = path.parent / "masks.safetensors"
    bits = as_numpy(masks)

    flipped = bits["8.weight"].copy()
    flipped[tuple(np.argwhere(flipped)[0])] = False
    save_file({**bits, "8.weight": flipped}, beside)
    assert failed(verify(path)) == {"masks"}

    widened = bits["8.weight"].copy()
    widened[tuple(np.argwhere(~widened)[0])] = True
    save_file({**bits, "8.weight": widened}, beside)
    assert failed(verify(path)) == {"masks"}

    save_file({k: v for k, v in bits.items() if k != "8.weight"}, beside)
    assert "only the file has a layer 8.weight" in verify(path).failures[0].text
    save_file({**bits, "9.weight": bits["8.weight"]}, beside)
    assert "only the masks have a layer 9.weight" in verify(path).failures[0].text
    save_file({**bits, "8.weight": bits["8.weight"].T.copy()}, beside)
    assert "differ in shape" in verify(path).failures[0].text
    save_file({k: v.astype(np.float32) for k, v in bits.items()}, beside)
    assert "not boolean" in verify(path).failures[0].text
    beside.write_bytes(b"no masks at all")
    assert "cannot be read" in verify(path).failures[0].text
    assert failed(verify(path, {})) == {"masks"}
    # Masks in the hand count for more than masks on the disk.
    assert verify(path, masks).ok


@pytest.mark.parametrize("module", ["prospr_engine.export", "prospr_engine.export.verify"])
def test_what_is_imported(module):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "torchvision", "onnxscript", "streamlit"}
    if module == "prospr_engine.export":
        assert not loaded & {"onnx", "onnxruntime", "numpy"}


def test_verifying_loads_no_torch(exported):
    path, masks = exported
    save_file(as_numpy(masks), path.parent / "masks.safetensors")
    script = (
        "import sys; from prospr_engine.export.verify import verify; proof = verify(sys.argv[1]);"
        "print(proof.ok, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("True False\n", "")


@pytest.mark.parametrize("bit", range(8))
def test_every_damaged_byte_of_the_masks_is_noticed(bit, exported):
    path, masks = exported
    beside = path.parent / "masks.safetensors"
    save_file(as_numpy(masks), beside)
    sound = beside.read_bytes()
    size = sum(mask.numel() for mask in masks.values())
    for place in np.random.default_rng(bit).integers(len(sound) - size, len(sound), 10):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << bit
        beside.write_bytes(damaged)
        assert failed(verify(path)) == {"masks"}


def test_tensors_of_torch_are_taken_as_masks(exported):
    path, masks = exported
    assert verify(path, {name: mask.clone() for name, mask in masks.items()}).ok
    assert verify(path, {name: mask.to(torch.uint8) for name, mask in masks.items()}).ok


def test_labels_that_no_version_wrote_are_noticed_in_files_of_earlier_ones(exported):
    """Before 0.5 the record had no digest of the rest."""
    path, _ = exported

    def as_before(model):
        digests = next(p for p in model.metadata_props if p.key == "prospr.digests")
        digests.value = json.dumps(
            {k: v for k, v in json.loads(digests.value).items() if k != "rest"}
        )
        reseal(model)

    edit(path, as_before)
    assert verify(path).ok
    edit(path, lambda model: model.metadata_props.add(key="accuracy", value="0.99"))
    (failure,) = verify(path).failures
    assert failure.name == "record"
    assert "accuracy" in failure.text
