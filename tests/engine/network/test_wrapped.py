"""Networks in wrappers and with unusual parts, against the plain network or autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import batch, seeded
from torch import nn
from torch.utils.checkpoint import checkpoint

import prospr_engine as pe
from prospr_engine.errors import ModelError

X, Y = batch((3, 8, 8), n=6)


def convnet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )


class Run(nn.Module):
    """A network whose forward is ``run(network, x)``."""

    def __init__(self, run):
        super().__init__()
        self.layers, self.run = convnet(), run

    def forward(self, x):
        return self.run(self.layers, x)


class Any(nn.Module):
    """As wrappers for parallel training are written."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def in_place_compiled():
    model = convnet()
    model.compile(backend="eager")
    return model


WRAPPED = {
    "compiled": (lambda: torch.compile(convnet(), backend="eager"), "_orig_mod."),
    "compiled in place": (in_place_compiled, ""),
    "part compiled": (
        lambda: nn.Sequential(torch.compile(convnet(), backend="eager"), nn.Identity()),
        "0._orig_mod.",
    ),
    "as in parallel": (lambda: Any(convnet()), "module."),
    "averaged": (lambda: torch.optim.swa_utils.AveragedModel(convnet()), "module."),
    "checkpointed": (
        lambda: Run(lambda net, x: checkpoint(net, x, use_reentrant=False)), "layers.",
    ),
    "vmap": (
        lambda: Run(lambda net, x: net(torch.vmap(lambda image: image * 1.0)(x))), "layers.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_change_neither_scores_nor_health(name):
    make, prefix = WRAPPED[name]
    plain, wrapped = seeded(convnet), seeded(make)
    for method in ("snip", "prospr"):
        expected = pe.score(plain, [(X, Y)], method)
        found = pe.score(wrapped, [(X, Y)], method)
        for layer, values in expected.items():
            assert torch.allclose(found[prefix + layer], values, rtol=1e-9, atol=1e-14)
    masks = expected.masks(0.9)
    renamed = {prefix + layer: mask for layer, mask in masks.items()}
    health, again = pe.examine(plain, masks, X), pe.examine(wrapped, renamed, X)
    assert health.effective_sparsity is not None
    assert again.effective_sparsity == health.effective_sparsity
    assert [layer.dead_channels for layer in again.layers] == [
        layer.dead_channels for layer in health.layers
    ]


def test_convolutions_within_vmap():
    """An image at a time, against autograd."""

    def body():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(0), nn.Linear(144, 3))

    class Each(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = body()

        def forward(self, x):
            return torch.vmap(self.layers)(x)

    model = seeded(Each)
    found = pe.score(model, [(X, Y)], "snip")
    loss = F.cross_entropy(model(X), Y)
    for name, values in found.items():
        weight = model.get_parameter(name)
        (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
        assert torch.allclose(values, (weight * slope).abs(), rtol=1e-9, atol=1e-14)


def test_a_parameter_that_is_a_buffer_too():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = convnet()
            self.register_buffer("again", self.layers[4].weight)

        def forward(self, x):
            return self.layers(x) + self.again.sum()

    found = pe.score(seeded(Twice), [(X, Y)], "snip")
    # The same number is added to all logits, on which the loss does not depend.
    expected = pe.score(seeded(convnet), [(X, Y)], "snip")
    for name, values in expected.items():
        assert torch.allclose(found[f"layers.{name}"], values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["snip", "prospr", "grasp"])
def test_embeddings_with_sparse_gradients(method):
    class Words(nn.Module):
        def __init__(self, sparse):
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 5, sparse=sparse), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.embed(x).mean(1).tanh())

    words = torch.randint(0, 9, (8, 4), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 3
    dense, sparse = (
        pe.score(seeded(lambda kind=kind: Words(kind)), [(words, labels)], method)["head.weight"]
        for kind in (False, True)
    )
    assert torch.allclose(dense, sparse, rtol=1e-9, atol=1e-14)


def test_a_train_that_changes_no_mode_is_passed_over():
    class Idle(Run):
        def train(self, mode=True):
            return None

    def run(net, x):
        return net(x)

    model, plain = seeded(lambda: Idle(run)), seeded(lambda: Run(run))
    for module in model.modules():
        module.training = False
    found, expected = (pe.score(m, [(X, Y)], "snip") for m in (model, plain))
    assert all(torch.equal(found[name], values) for name, values in expected.items())


def test_a_forward_that_insists_on_the_number_of_inputs_is_scored_in_float64():
    def run(net, x):
        return net(x).view(6, 3)

    model = seeded(lambda: Run(run)).float()
    scores = pe.score(model, [(X.float(), Y)], "prospr")
    assert scores.diagnostics.trusted
    plain = pe.score(seeded(lambda: Run(lambda net, x: net(x))).float(), [(X.float(), Y)], "prospr")
    for name, values in plain.items():
        assert torch.allclose(scores[name], values, rtol=1e-3, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_parameters_without_numbers_are_silent():
    class Empty(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.side = convnet(), nn.Linear(3, 0, bias=False)

        def forward(self, x):
            return self.layers(x) + self.side(x.mean((2, 3))).sum(1, keepdim=True)

    model = seeded(Empty)
    scores = pe.score(model, [(X, Y)], "snip")
    assert scores.diagnostics.trusted
    assert not scores.diagnostics.silent
    texts = [finding.text for finding in pe.examine(model, scores.masks(0.5), X).findings]
    assert not any("side" in text for text in texts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda out: out.argmax(1), "int64.*before they are rounded"),
        (lambda out: out > 0, "torch.bool"),
        (lambda out: torch.complex(out, out), "complex"),
        (lambda out: out.to_sparse(), r"to_dense\(\)"),
        (lambda out: out[:, :0], r"\(6, 0\)"),
        (lambda out: out.mean(1), r"\(6,\).*second axis"),
        (lambda out: out.t(), r"\(3, 6\).*transpose"),
    ],
)
def test_other_answers_are_refused(change, says):
    model = seeded(lambda: Run(lambda net, x: change(net(x))))
    for method in ("snip", "grasp"):
        with pytest.raises(ModelError, match=says):
            pe.score(model, [(X, Y)], method)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Sequential(torch.jit.script(nn.Conv2d(3, 4, 3)), nn.Flatten(),
                               nn.Linear(144, 3)), "'0' is TorchScript"),
        (lambda: torch.ao.quantization.quantize_dynamic(convnet(), {nn.Linear}),
         r"'4' \(Linear\) is quantised"),
        (lambda: stored(convnet(), lambda w: w.to_sparse()), "4.weight.*sparse.*to_dense"),
        (lambda: stored(convnet(), lambda w: w.to(torch.float8_e4m3fn)), "'4'.*float8"),
        (lambda: nn.Linear, "class Linear; give an instance"),
        (lambda: convnet().state_dict(), "loaded into"),
    ],
)  # fmt: skip
def test_other_models_are_refused(make, says):
    for method in ("snip", "magnitude"):
        with pytest.raises(ModelError, match=says):
            pe.score(make(), [(X.float(), Y)], method)


def stored(model, change):
    model[4].weight = nn.Parameter(change(model[4].weight.detach()), requires_grad=False)
    return model


@pytest.mark.parametrize("numbers", [torch.uint8, torch.bool, torch.int64])
def test_whole_numbers_get_the_remedy_that_helps(numbers):
    with pytest.raises(ModelError, match=rf"real numbers, as x.float\(\).*{numbers}"):
        pe.score(seeded(convnet).float(), [(X.to(numbers), Y)], "snip")


def test_a_wrong_number_of_channels_is_named_before_differentiating():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 6, 8), nn.BatchNorm2d(1), nn.Flatten()))
    with pytest.raises(ModelError, match=r"layer '1' \(BatchNorm2d\).*6 elements not 1"):
        pe.score(model, [(X, Y)], "snip")
