"""What is dead with nothing removed is not pruning's doing, and what cannot be told is not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ModelError
from prospr_engine.pruning.health import examine

SAMPLE = torch.zeros(2, 6)


class Hidden(nn.Module):
    """Linear, something between, linear."""

    def __init__(self, between, width=8):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(width, 3)
        self.between = between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


def full(model):
    return {
        f"{path}.weight": torch.ones(layer.weight.shape, dtype=torch.bool)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    }


def kth(x, k=2):
    """Of each row the k largest values, zeros elsewhere."""
    return torch.zeros_like(x).scatter(1, x.topk(k).indices, x.topk(k).values)


# name: what lies between, and the width of what comes out
EXACT = {
    "relu": (torch.relu, 8),
    "relu of the negative": (lambda x: torch.relu(-x), 8),
    "crelu": (lambda x: torch.cat([x.relu(), (-x).relu()], 1), 16),
    "sum of both": (lambda x: F.relu(x) + F.relu(-x), 8),
    "maxout": (lambda x: x.view(-1, 4, 2).max(2).values, 4),
    "maxout by amax": (lambda x: x.view(-1, 2, 4).amax(1), 4),
    "maxout of halves": (lambda x: torch.max(x[:, :4], x[:, 4:]), 4),
    "sign": (torch.sign, 8),
    "hardtanh": (F.hardtanh, 8),
    "hardtanh of much": (lambda x: F.hardtanh(100 * x), 8),
    "relu6": (lambda x: F.relu6(x * 50), 8),
    "clamp in place": (lambda x: (x * -3).clamp_(0, 1), 8),
    "where": (lambda x: torch.where(x > 0, 0.0 * x, x), 8),
    "maximum": (lambda x: torch.maximum(-x, torch.zeros(())), 8),
    "hardsigmoid": (lambda x: F.hardsigmoid(20 * x), 8),
    "threshold": (lambda x: F.threshold(x, 5.0, 0.0), 8),
    "softshrink": (lambda x: F.softshrink(x, 5.0), 8),
    "rounded": (torch.round, 8),
    "relu6 layer": (nn.ReLU6(), 8),
    "relu layer in place": (nn.ReLU(inplace=True), 8),
}
GATED = {
    "k winners": kth,
    "hard gates": lambda x: x * (x > 0.7).to(x.dtype),
    "gates of the mean": lambda x: x * (x > x.mean(1, keepdim=True)),
    "straight through": lambda x: x * (x > 0.7).to(x.dtype).detach(),
    "negative only": lambda x: x * (x < 0),
}


@pytest.mark.parametrize("name", EXACT)
def test_with_nothing_removed_nothing_is_cut_off(name):
    model = Hidden(*EXACT[name])
    health = examine(model, full(model), SAMPLE)
    assert health.path
    assert health.effective_sparsity == 0
    assert [finding.level for finding in health.findings] == ["fine"]


@pytest.mark.parametrize("name", [name for name, (_, width) in EXACT.items() if width == 8])
def test_what_is_cut_off_is_found_behind_any_rectifier(name):
    """The right number from the graph of a network of two layers."""
    model, masks = Hidden(*EXACT[name]), full(Hidden(*EXACT[name]))
    masks["first.weight"][:3] = False  # units 0, 1, 2 get nothing: 3 × 3 weights behind them
    masks["last.weight"][:, 3:5] = False  # units 3, 4 reach nothing: 2 × 6 weights before them
    layers = {layer.name: layer for layer in examine(model, masks, SAMPLE).layers}
    assert layers["first.weight"].effective == 5 * 6 - 2 * 6
    assert layers["last.weight"].effective == 3 * 6 - 3 * 3


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("sparsity", [0, 0.8])
def test_gates_that_depend_on_values_give_no_figure(name, sparsity):
    model = Hidden(GATED[name], 8)
    masks = pe.score(model, method="random").masks(sparsity)
    health = examine(model, masks, SAMPLE)
    assert health.effective_sparsity is None
    assert {layer.effective for layer in health.layers} == {None}
    assert {layer.dead_channels for layer in health.layers} == {None}
    assert health.findings[0].level == "warning"
    assert "not known" in health.findings[0].text
    assert not any("cut off from" in finding.text for finding in health.findings)


GATES = {
    "gelu gates": lambda x: x[:, :4] * F.gelu(x[:, 4:]),
    "bilinear": lambda x: x[:, :4] * x[:, 4:],
    "sigmoid gates": lambda x: F.glu(x, 1),
    "hard sigmoid gates": lambda x: x[:, :4] * F.hardsigmoid(x[:, 4:]),
    "gates of at least a half": lambda x: x[:, :4] * x[:, 4:].clamp(min=0.5),
}


def moves_the_answer(model, layer, place):
    """Whether changing one weight changes how much the answers to different inputs differ."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, *SAMPLE.shape[1:], generator=generator)

    def difference():
        with torch.no_grad():
            answers = model(x)
        return answers - answers[:1]

    before = difference()
    with torch.no_grad():
        layer.weight[place] += 1.0
    return not torch.allclose(before, difference(), atol=1e-6)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_gate_without_weights_is_where_its_bias_puts_it(name, bias):
    torch.manual_seed(0)
    model = Hidden(GATES[name], 4)
    model.first = nn.Linear(6, 8, bias=bias)
    masks = full(model)
    masks["first.weight"][4] = False  # the gate of unit 0
    with torch.no_grad():
        model.first.weight[4] = 0
    health = examine(model, masks, SAMPLE)
    alive = moves_the_answer(model, model.first, (0, 0))
    assert alive == (bias or "gates of" in name or "sigmoid" in name)
    assert sum(layer.effective for layer in health.layers) == (54 if alive else 54 - 6 - 3)


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.RMSNorm(8), nn.LayerNorm(8, bias=False)]
)
def test_normalisation_over_features_connects_them(norm):
    torch.manual_seed(0)
    model, masks = Hidden(norm), full(Hidden(norm))
    masks["first.weight"][0] = False
    with torch.no_grad():
        model.first.weight[0] = 0
    assert moves_the_answer(model, model.last, (0, 0))
    layers = {layer.name: layer for layer in examine(model, masks, SAMPLE).layers}
    assert layers["last.weight"].effective == 24
    masks["first.weight"][:4] = False  # all of the first of two groups
    layers = {layer.name: layer for layer in examine(model, masks, SAMPLE).layers}
    assert layers["last.weight"].effective == (12 if isinstance(norm, nn.GroupNorm) else 24)


def test_batch_norm_connects_nothing_but_can_open_a_gate():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.value = nn.Conv2d(2, 4, 1, bias=False), nn.Conv2d(2, 4, 1, bias=False)
            self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)

        def forward(self, x):
            return self.head((self.norm(self.gate(x)) * self.value(x)).mean((2, 3)))

    model = Gated()
    masks = full(model)
    masks["gate.weight"][0] = False  # training moves the bias of the norm from zero
    health = examine(model, masks, torch.zeros(2, 2, 4, 4))
    assert sum(layer.effective for layer in health.layers) == 8 - 2 + 8 + 12
    model.head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    masks = full(model)
    masks["value.weight"][0] = False
    layers = {layer.name: layer for layer in examine(model, masks, torch.zeros(2, 2, 4, 4)).layers}
    assert layers["head.1.weight"].effective == 9


def test_a_branch_whose_scale_starts_at_zero_takes_part():
    class ReZero(Hidden):
        def __init__(self):
            super().__init__(torch.relu)
            self.scale = nn.Parameter(torch.zeros(()))
            self.branch = nn.Linear(6, 6)

        def forward(self, x):
            return super().forward(x + self.scale * self.branch(x))

    model = ReZero()
    health = examine(model, full(model), SAMPLE)
    assert health.effective_sparsity == 0
    assert "take no part" not in health.findings[0].text
    model.scale.requires_grad_(False)  # for ever
    assert "36 weights" in examine(model, full(model), SAMPLE).findings[0].text


@pytest.mark.parametrize("weights", [1, 3])
def test_gates_that_only_pruning_closes_in_the_trial_give_no_figure(weights):
    """With nothing removed all gates are open for the values drawn; with little left, some are
    closed, and would be open for other values."""
    torch.manual_seed(0)
    model, masks = Hidden(lambda x: x * (x > 0.4)), full(Hidden(torch.relu))
    masks["first.weight"][1, weights:] = False
    masks["last.weight"][:, 2] = False
    with torch.no_grad():
        model.first.weight[1, weights:] = 0
        model.first.weight[1, :weights] = 2
    assert moves_the_answer(model, model.first, (1, 0))
    health = examine(model, masks, SAMPLE)
    assert (health.effective_sparsity, health.dead_outputs) == (None, 0)


def test_comparisons_that_close_nothing_do_not_matter():
    def checked(x):
        assert not bool((x > 1e6).any()), "too much"
        return x * (x > -1e6)

    model, masks = Hidden(checked), full(Hidden(torch.relu))
    masks["first.weight"][:3] = False
    health = examine(model, masks, SAMPLE)
    assert sum(layer.effective for layer in health.layers) == 5 * 6 + 3 * 5


def test_a_layer_without_part_in_the_answer_is_not_cut_off():
    class Auxiliary(Hidden):
        def __init__(self):
            super().__init__(torch.relu)
            self.auxiliary = nn.Linear(8, 5)

    model, masks = Auxiliary(), full(Auxiliary())
    health = examine(model, masks, SAMPLE)
    assert health.effective_sparsity == 0
    assert any("40 weights" in f.text and f.level == "fine" for f in health.findings)
    masks["first.weight"][:3] = False
    health = examine(model, masks, SAMPLE)
    assert sum(layer.effective for layer in health.layers) == 5 * 6 + 3 * 5 + 40


def test_tied_convolution_and_transposed_convolution():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Conv2d(2, 4, 3, bias=False)
            self.up = nn.ConvTranspose2d(4, 2, 3, bias=False)
            self.up.weight = self.down.weight
            self.head = nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.up(self.down(x).relu()).mean((2, 3)))

    model, masks = Tied(), full(Tied())
    del masks["up.weight"]
    assert examine(model, masks, torch.zeros(2, 2, 6, 6)).effective_sparsity == 0
    masks["head.weight"][:, 0] = False
    masks["down.weight"][1] = False
    layers = {layer.name: layer for layer in examine(model, masks, torch.zeros(2, 2, 6, 6)).layers}
    # Downwards each weight of the three units left is used, although channel 0 is not upwards.
    assert layers["down.weight"].effective == 3 * 2 * 9
    assert layers["head.weight"].effective == 3


def with_parameter(values):
    class With(Hidden):
        def __init__(self):
            super().__init__(torch.relu)
            self.odd = nn.Parameter(values, requires_grad=False)

    return With()


def keeping():
    def between(x):
        between.model.kept = x * 1
        return between.model.kept

    model = Hidden(between)
    between.model = model
    model(torch.randn(2, 6))
    between.model = nn.Module()
    return model


class ByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(input=self.first(input=x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_parameter(torch.arange(3)),
        lambda: with_parameter(torch.zeros(2, dtype=torch.complex64)),
        lambda: with_parameter(torch.zeros(0, 4)),
        lambda: with_parameter(torch.tensor(True)),
        keeping,
        ByName,
        lambda: Hidden(lambda x: torch.mm(x, torch.eye(8))),
        lambda: Hidden(lambda x: (x.float() @ torch.ones(8, 8)).relu()),
        lambda: Hidden(lambda x: torch.cat([x[:, :4], torch.zeros(len(x), 4)], 1) + x),
        lambda: Hidden(lambda x: x.mul_(2)),
        lambda: Hidden(F.relu_).double(),
        lambda: Hidden(torch.tanh).bfloat16(),
    ],
)
def test_odd_networks_are_examined(make):
    model = make()
    health = examine(model, full(model), SAMPLE)
    assert health.effective_sparsity == 0
    masks = full(model)
    masks["first.weight"][:] = False
    assert not examine(model, masks, SAMPLE).path


@pytest.mark.parametrize(
    ("model", "sample", "says"),
    [
        (Hidden(torch.relu), torch.zeros(2, 5).numpy(), "torch.Tensor"),
        (Hidden(torch.relu), torch.zeros(2, 5), "What to do"),
        (Hidden(torch.relu), torch.zeros(()), "cannot take"),
        (Hidden(lambda x: x.nothing), SAMPLE, "own forward"),
        (nn.Sequential(Hidden(torch.relu), nn.Identity()), SAMPLE.long(), "token indices"),
    ],
)
def test_what_cannot_be_run_gets_a_sentence(model, sample, says):
    with pytest.raises(ModelError, match=says):
        examine(model, full(model), sample)


def test_answers_of_several_tensors_get_a_sentence():
    class Several(Hidden):
        def forward(self, x):
            return super().forward(x), x

    model = Several(torch.relu)
    with pytest.raises(ModelError, match="tuple"):
        examine(model, full(model), SAMPLE)


def test_a_trial_that_fails_says_so():
    class Picky(Hidden):
        def forward(self, x):
            assert bool((self.first.weight < 0).any()), "positive"
            return super().forward(x)

    model = Picky(torch.relu)
    health = examine(model, full(model), SAMPLE)
    assert health.effective_sparsity is None
    assert "the trial failed" in health.findings[0].text


@pytest.mark.parametrize(
    "cut",
    [
        lambda x: x.detach(),
        torch.no_grad()(lambda x: x * 1),
        torch.inference_mode()(lambda x: x * 1),
    ],
)
def test_an_answer_without_a_gradient_is_not_blamed_on_the_weights(cut):
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

        def forward(self, x):
            return cut(self.layers(x))

    health = examine(Cut(), full(Cut()), SAMPLE)
    assert health.effective_sparsity is None
    assert "has no gradient" in health.findings[0].text


def test_weights_that_the_answer_does_not_depend_on_are_known():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Linear(6, 3)

        def forward(self, x):
            return x[:, :3]

    health = examine(Constant(), full(Constant()), SAMPLE)
    assert "18 weights" in health.findings[0].text
