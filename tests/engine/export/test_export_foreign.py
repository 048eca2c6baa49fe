"""Networks and samples as others have them: what must export, and what gets a sentence."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from prospr_engine.errors import ModelError
from prospr_engine.export.export import export_onnx

NAMES = ("mean", "std", "sub", "relu", "conv2d", "val_0", "linear", "input", "logits", "x")
"""Names that the exporter gives to values, too."""


class Named(nn.Module):
    """Buffers and layers called like operators of the graph."""

    def __init__(self):
        super().__init__()
        for number, name in enumerate(NAMES):
            self.register_buffer(name, torch.full((3, 1, 1), 0.1 * (number + 1)))
        self.getitem = nn.Conv2d(3, 4, 3)
        self.mul = nn.Linear(4, 2)

    def forward(self, x):
        for name in NAMES:
            x = x * 1.1 - getattr(self, name)
        x = torch.relu(self.getitem(x)).mean((2, 3))
        return self.mul(x)


def answers(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": x.numpy()})[0]


def test_weights_may_be_called_like_operators(tmp_path):
    torch.manual_seed(0)
    model, path = Named().eval(), tmp_path / "m.onnx"
    assert export_onnx(model, path, torch.randn(2, 3, 6, 6)).ok
    x = torch.randn(3, 3, 6, 6)
    assert np.allclose(answers(path, x), model(x).detach().numpy(), atol=1e-5)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    fixed = {"input", "logits"}  # the file's input and output
    for name, tensor in model.state_dict().items():
        if name not in fixed:
            assert np.array_equal(stored[name], tensor.numpy()), name
    assert not fixed & set(stored)


class Sequences(nn.Module):
    """Takes (N, T, E)."""

    def __init__(self, pool):
        super().__init__()
        self.pool, self.head = pool, nn.Linear(6, 3)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        if self.pool == "mean":
            return self.head(x.mean(tuple(range(1, x.dim() - 1))))  # would take a fourth axis
        assert x.dim() == 3
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_sequences_are_batches_not_images(pool, tmp_path):
    torch.manual_seed(0)
    model, path = Sequences(pool).eval(), tmp_path / "m.onnx"
    export_onnx(model, path, torch.randn(4, 5, 6))
    x = torch.randn(7, 5, 6)
    assert np.allclose(answers(path, x), model(x).detach().numpy(), atol=1e-5)


def test_a_network_may_change_its_input(tmp_path):
    class Changes(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return self.head(x.sub_(0.5).relu_())

    torch.manual_seed(0)
    model, path, sample = Changes().eval(), tmp_path / "m.onnx", torch.randn(4, 6)
    before = sample.clone()
    export_onnx(model, path, sample)
    assert torch.equal(sample, before)
    assert not model._forward_pre_hooks
    x = torch.randn(3, 6)
    wanted = torch.relu(x - 0.5) @ model.head.weight.T + model.head.bias
    assert np.allclose(answers(path, x), wanted.detach().numpy(), atol=1e-5)


def test_what_a_network_kept_is_no_obstacle(tmp_path):
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            self.seen = self.head(x)
            return self.seen * 1

    model = Keeps()
    model(torch.randn(2, 6))
    assert export_onnx(model, tmp_path / "m.onnx", torch.randn(2, 6)).ok


def spoilt(value):
    sample = torch.randn(2, 6)
    sample[1, 2] = value
    return sample


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (np.zeros((2, 6), np.float32), "from_numpy"),
        ([[0.0] * 6], "type list"),
        (None, "type NoneType"),
        (spoilt(float("nan")), "sample contains NaN"),
        (spoilt(float("inf")), "sample contains NaN"),
        (torch.zeros(2, 6, device="meta"), "meta"),
        (torch.zeros(2, 6, dtype=torch.complex64), "complex64"),
        (torch.tensor(1.0), r"shape \(\)"),
        (torch.zeros(2, 5), r"\(2, 5\).*What to do"),
    ],
)
def test_other_samples_get_a_sentence(sample, says, tmp_path):
    with pytest.raises(ModelError, match=says):
        export_onnx(nn.Sequential(nn.Linear(6, 3)), tmp_path / "m.onnx", sample)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "model",
    [torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)), None, nn.LazyLinear(3)],
)
def test_other_models_get_a_sentence(model, tmp_path):
    with pytest.raises(ModelError):
        export_onnx(model, tmp_path / "m.onnx", torch.randn(2, 6))
