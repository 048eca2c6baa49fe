"""Networks and samples as others have them: what must export, and what gets a sentence."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prospr_engine.errors import ExportError, ModelError
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


class Rest(nn.Module):
    """As wrappers for parallel training are written."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def convnet():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (Rest, "module."),
        (nn.DataParallel, "module."),
        (torch.optim.swa_utils.AveragedModel, "module."),
        (lambda net: torch.compile(net, backend="eager"), "_orig_mod."),
        (lambda net: nn.Sequential(torch.compile(net, backend="eager")), "0._orig_mod."),
    ],
)
def test_wrapped_networks(wrap, prefix, tmp_path):
    torch.manual_seed(0)
    plain, path = convnet().eval(), tmp_path / "m.onnx"
    assert export_onnx(wrap(plain), path, torch.randn(2, 3, 6, 6)).ok
    x = torch.randn(3, 3, 6, 6)
    assert np.allclose(answers(path, x), plain(x).detach().numpy(), atol=1e-5)
    stored = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert {prefix + name for name, _ in plain.named_parameters()} <= stored


class Masked(nn.Module):
    """Causal attention, whose mask is infinite by design."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.register_buffer("mask", torch.full((5, 5), -torch.inf).triu(1))

    def forward(self, x):
        weights = (x @ x.transpose(1, 2) + self.mask).softmax(2)
        return self.head((weights @ x).mean(1))


def test_buffers_may_be_infinite_by_design(tmp_path):
    torch.manual_seed(0)
    model, path = Masked().eval(), tmp_path / "m.onnx"
    assert export_onnx(model, path, torch.randn(2, 5, 4)).ok
    x = torch.randn(3, 5, 4)
    assert np.allclose(answers(path, x), model(x).detach().numpy(), atol=1e-5)


def diverged():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
    model[1].running_var[2] = torch.inf
    return model


class Parts(nn.Module):
    def __init__(self, run, **parts):
        super().__init__()
        self.layers, self.run = convnet(), run
        for name, part in parts.items():
            self.register_parameter(name, nn.Parameter(part))

    def forward(self, x):
        return self.run(self, x)


IMAGES = torch.randn(2, 3, 6, 6)


@pytest.mark.parametrize(
    ("model", "sample", "says"),
    [
        (diverged(), IMAGES, "1.running_var.*training diverges"),
        (Parts(lambda m, x: (m.layers(x) * m.w).abs(), w=torch.ones(2, dtype=torch.complex64)),
         IMAGES, "w is complex64.*real and its imaginary part"),
        (Parts(lambda m, x: m.layers(x) + torch.zeros(len(x), 2)), IMAGES, r"x\.shape\[0\]"),
        (Parts(lambda m, x: F.dropout(m.layers(x), 0.5, True)), IMAGES,
         "differently each time"),
        (nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2)),
         torch.zeros(2, 3, dtype=torch.int64), "looks up indices cannot be exported"),
        (Parts(lambda m, x: m.layers(x) + F.embedding(x[:, 0, 0, 0].long(), m.table),
               table=torch.ones(9, 2)), IMAGES.abs(), "between -2 and 2"),
    ],
)  # fmt: skip
def test_networks_without_a_file_get_the_reason(model, sample, says, tmp_path):
    with pytest.raises((ExportError, ModelError), match=says):
        export_onnx(model, tmp_path / "m.onnx", sample)
    assert not (tmp_path / "m.onnx").exists()
