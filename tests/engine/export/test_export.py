"""export_onnx: names and bits kept, any batch size, the caller's model untouched, no trace of
an unverified file."""

from __future__ import annotations

import errno
import json
import random
import subprocess
import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_networks import NETWORKS, build
from onnx import numpy_helper
from torch import nn

from prospr_engine.errors import ConfigError, ExportError, ModelError, ResourceError
from prospr_engine.export import onnx_file
from prospr_engine.export import traced as graph
from prospr_engine.export.export import export_onnx
from prospr_engine.export.verify import verify


def initialisers(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_names_bits_and_logits(name, tmp_path):
    model, shape, masks = build(name)
    path = tmp_path / "model.onnx"
    proof = export_onnx(model, path, torch.randn(2, *shape), masks=masks)

    assert proof.ok
    assert proof.failures == ()
    assert {c.name for c in proof.checks} >= {"file", "onnx", "zeros", "masks", "logits", "sample"}
    found = initialisers(path)
    for key, parameter in model.named_parameters():
        if not key.startswith("auxiliary"):
            assert found[key].tobytes() == parameter.detach().numpy().tobytes(), key
    assert "second.weight" not in found
    assert set(found) <= set(model.state_dict())
    for key, mask in masks.items():
        if key in found:
            assert (found[key][~mask.numpy()] == 0).all()

    in_file = [key for key in masks if key in found]
    assert [layer.name for layer in proof.layers] == in_file
    assert proof.zeros == proof.zeros_expected == sum(int((~masks[k]).sum()) for k in in_file)
    assert path.stat().st_size == proof.bytes

    # The judge is the plain library, not this package.
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model.eval()
    for batch in (1, 3, 7):
        x = torch.randn(batch, *shape)
        (logits,) = session.run(["logits"], {"input": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(logits, model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_layers_without_part_in_the_answer_are_named(tmp_path):
    model, shape, masks = build("tied")
    proof = export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape), masks=masks)
    text = next(c.text for c in proof.checks if c.name == "zeros")
    assert "auxiliary.weight" in text


def test_the_file_holds_no_paths_of_this_machine(tmp_path):
    model, shape, masks = build("batch_norm")
    export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape), masks=masks)
    data = (tmp_path / "m.onnx").read_bytes()
    assert b".py" not in data
    assert b"stack_trace" not in data
    axis = onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim[0]
    assert axis.dim_param == "batch"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


class Drawing(nn.Module):
    """Draws random numbers in eval mode too, to no effect."""

    def forward(self, x):
        return x + 0 * torch.rand_like(x)


def test_model_mode_hooks_and_random_state_are_untouched(tmp_path):
    model, shape, _ = build("batch_norm")
    model[5].eval()  # a mixture of modes must come back as such
    model.insert(0, Drawing())
    calls = []
    model[1].weight.register_hook(calls.append)
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()

    export_onnx(model, tmp_path / "m.onnx", torch.randn(shape, generator=torch.Generator()))

    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_channels_last_weights_are_written_in_order(tmp_path):
    model, shape, masks = build("batch_norm")
    model = model.to(memory_format=torch.channels_last)
    assert export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape), masks=masks).ok
    weight = model[0].weight.detach().contiguous().numpy()
    assert (initialisers(tmp_path / "m.onnx")["0.weight"] == weight).all()


def test_a_sample_may_be_one_image_or_a_batch_of_signals(tmp_path):
    model, shape, _ = build("batch_norm")
    proof = export_onnx(model, tmp_path / "a.onnx", torch.randn(shape))
    assert proof.provenance["input"] == [3, 8, 8]
    model, shape, _ = build("conv1d")
    proof = export_onnx(model, tmp_path / "b.onnx", torch.randn(3, *shape))
    assert proof.provenance["input"] == [2, 8]


def test_without_masks_the_zeros_of_the_weights_count_as_pruned(tmp_path):
    model, shape, masks = build("batch_norm")
    proof = export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape))
    assert {layer.name: layer.kept for layer in proof.layers} == {
        key: int(mask.sum()) for key, mask in masks.items()
    }


def test_kept_weights_that_happen_to_be_zero_are_distinguished(tmp_path):
    model, shape, masks = build("batch_norm")
    place = tuple(masks["8.weight"].nonzero()[0])
    with torch.no_grad():
        model[8].weight[place] = 0.0
    proof = export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape), masks=masks)
    assert proof.ok
    assert (proof.zeros - proof.zeros_expected, proof.zeros_kept) == (1, 1)
    assert "1 kept" in next(c.text for c in proof.checks if c.name == "zeros")

    moved = onnx.load(tmp_path / "m.onnx")
    weight = next(t for t in moved.graph.initializer if t.name == "8.weight")
    values = np.ascontiguousarray(numpy_helper.to_array(weight)[:, ::-1])
    weight.CopyFrom(numpy_helper.from_array(values, "8.weight"))
    onnx.save(moved, tmp_path / "moved.onnx")
    failures = {check.name for check in verify(tmp_path / "moved.onnx").failures}
    assert failures >= {"weights", "zeros"}


def test_exports_at_once_from_two_threads(tmp_path):
    made = [build("batch_norm", seed) for seed in range(2)]
    proofs = {}

    def work(i):
        model, shape, masks = made[i]
        proofs[i] = export_onnx(model, tmp_path / f"{i}.onnx", torch.zeros(2, *shape), masks=masks)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {i: proof.ok for i, proof in proofs.items()} == {0: True, 1: True}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"encoding": "dens"}, ConfigError, "did you mean 'dense'"),
        ({"metadata": {"accuracy": float("nan")}}, ConfigError, "JSON"),
        ({"metadata": {"seal": "x"}}, ConfigError, "seal"),
        ({"masks": {"0.weight": torch.zeros(8, 3, 3, 3).bool()}}, ExportError, "apply the masks"),
        ({"masks": {"9.weight": torch.ones(2).bool()}}, ModelError, "9.weight"),
        ({"masks": {"8.weight": torch.ones(4, 8)}}, ConfigError, "boolean"),
        ({"sample": torch.randn(2, 5, 8, 8)}, ModelError, "sample of shape"),
        ({"sample": torch.randn(0, 3, 8, 8)}, ModelError, "empty"),
    ],
)
def test_wrong_arguments_get_a_sentence_and_leave_nothing(change, error, says, tmp_path):
    model, shape, masks = build("batch_norm")
    arguments = {"sample": torch.randn(2, *shape), "masks": masks, **change}
    with pytest.raises(error, match=says):
        export_onnx(model, tmp_path / "m.onnx", arguments.pop("sample"), **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: m.double(), "float64"),
        (lambda m: m[0].weight.data.fill_(float("nan")), "NaN or infinite"),
        (lambda m: [m[i].weight.data.fill_(1e30) for i in (1, 8)], "infinite logits"),
        (lambda m: setattr(m, "handle", (i for i in "ab")), "cannot be copied"),
    ],
)
def test_networks_that_cannot_be_exported(spoil, says, tmp_path):
    model, shape, _ = build("batch_norm")
    spoil(model)
    with pytest.raises(ExportError, match=says):
        export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape))
    assert list(tmp_path.iterdir()) == []


def test_more_than_two_gigabytes_is_refused_before_tracing(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "PROTOBUF_LIMIT", 2**24 + 100)
    monkeypatch.setattr(graph, "trace", lambda *_: pytest.fail("traced"))
    model, shape, _ = build("batch_norm")
    with pytest.raises(ExportError, match="2 GiB"):
        export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(x) if x.sum() > 0 else -self.linear(x)


class FixedBatch(Branching):
    def forward(self, x):
        return self.linear(x) * len(x)


def test_a_forward_that_depends_on_values_is_refused(tmp_path):
    with pytest.raises(ExportError, match="depends on the values"):
        export_onnx(Branching(), tmp_path / "m.onnx", torch.randn(2, 4))
    assert list(tmp_path.iterdir()) == []


def test_exports_are_silent(tmp_path):
    script = """
import sys, torch
from test_export import Branching, build
from prospr_engine.errors import ExportError
from prospr_engine.export.export import export_onnx
model, shape, masks = build("batch_norm")
assert export_onnx(model, sys.argv[1], torch.randn(2, *shape)).ok
try:
    export_onnx(Branching(), sys.argv[1], torch.randn(2, 4))
except ExportError:
    print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path / "m.onnx")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_file_that_fails_its_proof_never_gets_the_name(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"an earlier file")
    model, shape, masks = build("mlp")

    def revive(proto, bits):
        weight = proto.graph.initializer[0]
        values = numpy_helper.to_array(weight).copy()
        values[values == 0] = 1e-3
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        return proto

    monkeypatch.setattr("prospr_engine.export.encodings.dense.encode", revive)
    with pytest.raises(ExportError, match=r"verification and was kept as .*m\.onnx\.rejected"):
        export_onnx(model, path, torch.randn(2, *shape), masks=masks)
    assert path.read_bytes() == b"an earlier file"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.rejected"]


def test_an_exporter_that_changes_values_is_caught(tmp_path, monkeypatch):
    model, shape, _ = build("mlp")
    real = graph.trace

    def careless(network, batch):
        proto = real(network, batch)
        weight = next(t for t in proto.graph.initializer if t.name == "0.weight")
        values = numpy_helper.to_array(weight) * np.float32(1 + 2**-22)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        return proto

    monkeypatch.setattr(graph, "trace", careless)
    with pytest.raises(ExportError, match=r"changed the values of 0\.weight"):
        export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape))


def test_unwritable_places_get_a_sentence(tmp_path):
    model, shape, _ = build("mlp")
    with pytest.raises(ExportError, match="is a folder"):
        export_onnx(model, tmp_path, torch.randn(2, *shape))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="could not be written"):
        export_onnx(model, tmp_path / "file" / "m.onnx", torch.randn(2, *shape))


def test_a_full_disk_gets_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    model, shape, _ = build("mlp")
    with pytest.raises(ResourceError, match="disk is full"):
        export_onnx(model, tmp_path / "m.onnx", torch.randn(2, *shape))
    assert list(tmp_path.iterdir()) == []


def test_the_proof_is_json(tmp_path):
    model, shape, masks = build("mlp")
    metadata = {"method": "prospr", "class_names": ["a", "ü"], "seed": 3}
    proof = export_onnx(
        model, tmp_path / "m.onnx", torch.randn(2, *shape), masks=masks, metadata=metadata
    )
    output = json.loads(json.dumps(proof.to_dict()))
    assert output["provenance"]["class_names"] == ["a", "ü"]
    assert output["layers"][0].keys() == {"name", "total", "kept", "zeros"}
    assert output["path"] == str(tmp_path / "m.onnx")
