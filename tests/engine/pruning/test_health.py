from __future__ import annotations

import pytest
import torch
from helpers import Attentive, Tied
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ModelError
from prospr_engine.pruning.health import examine

IMAGE = torch.zeros(1, 2, 6, 6)


def chain():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def full(model):
    return {
        name: torch.ones_like(p, dtype=torch.bool)
        for name, p in model.named_parameters()
        if p.dim() > 1
    }


def by_name(health):
    return {layer.name: layer for layer in health.layers}


def test_a_dense_network_is_healthy():
    model = chain()
    health = examine(model, full(model), IMAGE)
    assert health.path
    assert health.sparsity == health.effective_sparsity == 0
    assert [finding.level for finding in health.findings] == ["fine"]


def test_weights_behind_and_before_a_cut_count_as_pruned():
    model, masks = chain(), full(chain())
    masks["0.weight"][1] = False  # channel 1 of the first layer gets nothing
    masks["8.weight"][:, 2] = False  # channel 2 of the second reaches nothing
    health = examine(model, masks, IMAGE)
    layers = by_name(health)
    assert layers["0.weight"].effective == 2 * 2 * 9
    assert layers["0.weight"].dead_channels == 1
    assert layers["3.weight"].effective == 3 * 2 * 9  # 3 outputs that matter × 2 inputs that live
    assert layers["3.weight"].dead_channels == 1
    assert layers["8.weight"].effective == 3 * 3
    assert health.path
    assert health.effective_sparsity > health.sparsity
    assert any("cut off" in finding.text for finding in health.findings)


def test_an_emptied_layer_breaks_the_path():
    model, masks = chain(), full(chain())
    masks["3.weight"][:] = False
    health = examine(model, masks, IMAGE)
    assert not health.path
    assert health.effective_sparsity == 1
    assert health.findings[0].level == "danger"
    assert "No path" in health.findings[0].text
    assert any(f.layer == "3.weight" and "lost all" in f.text for f in health.findings)


def test_classes_that_no_image_can_reach_are_a_danger():
    model, masks = chain(), full(chain())
    masks["8.weight"][1] = False
    health = examine(model, masks, IMAGE)
    assert (health.outputs, health.dead_outputs, health.path) == (3, 1, True)
    assert health.findings[0].level == "danger"
    assert "1 of 3 classes" in health.findings[0].text


def test_more_cut_off_than_connected_is_a_danger():
    model, masks = chain(), full(chain())
    masks["0.weight"][1:] = False
    masks["8.weight"][:, 1:] = False
    health = examine(model, masks, IMAGE)
    (finding,) = (f for f in health.findings if "cut off" in f.text)
    assert finding.level == "danger"


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, padding=1)
        self.inside = nn.Conv2d(2, 2, 3, padding=1)
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = x + torch.relu(self.inside(x))
        return self.head(x.mean((2, 3)))


def test_a_residual_path_survives_an_emptied_layer():
    model = Residual()
    masks = full(model)
    masks["inside.weight"][:] = False
    health = examine(model, masks, IMAGE)
    assert health.path
    layers = by_name(health)
    assert layers["first.weight"].effective == layers["first.weight"].total
    assert [f.level for f in health.findings if f.layer == "inside.weight"] == ["warning"]


def test_groups_of_a_convolution_are_distinguished():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(),
        nn.Linear(64, 3),
    )  # fmt: skip
    masks = full(model)
    masks["0.weight"][0] = False  # input channel 0 of the first group is dead
    masks["4.weight"][:, 48:] = False  # output channel 3 (16 pixels each) reaches nothing
    layers = by_name(examine(model, masks, IMAGE))
    # Group 0: 2 outputs × 1 live input; group 1: 1 output that matters × 2 inputs; 9 taps each.
    assert layers["2.weight"].effective == (2 * 1 + 1 * 2) * 9


def test_transposed_convolutions_are_read_the_right_way_round():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, groups=2), nn.Flatten(),
        nn.Linear(6 * 49, 3),
    )  # fmt: skip
    masks = full(model)
    masks["0.weight"][3] = False
    masks["4.weight"][:, :49] = False  # output channel 0 reaches nothing
    layer = by_name(examine(model, masks, IMAGE))["2.weight"]
    # Group 0: 2 inputs × 2 outputs that matter; group 1: 1 live input × 3 outputs; 4 taps each.
    assert layer.effective == (2 * 2 + 1 * 3) * 4
    assert (layer.channels, layer.dead_channels) == (6, 1)


@pytest.mark.parametrize("make", [Attentive, Tied])
def test_attention_and_tied_weights_are_connected(make):
    model = make()
    shape = (1, 5, 6) if make is Attentive else (1, 6)
    masks = pe.score(model, method="magnitude").masks(0)
    health = examine(model, masks, torch.zeros(shape))
    assert health.path
    assert health.effective_sparsity == 0


def test_a_constant_does_not_count_as_a_signal():
    class WithToken(nn.Module):
        """Adds learned constants, as transformers add positions."""

        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(6, 4)
            self.position = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.embed(x) + self.position)

    model = WithToken()
    masks = full(model)
    masks["embed.weight"][:] = False
    health = examine(model, masks, torch.zeros(1, 6))
    assert not health.path
    assert health.effective_sparsity == 1


def test_depth_neither_overflows_nor_vanishes():
    model = nn.Sequential(nn.Flatten(), *[nn.Linear(72, 72) for _ in range(300)], nn.Linear(72, 3))
    masks = full(model)
    health = examine(model, masks, IMAGE)
    assert health.path
    assert health.effective_sparsity == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.98]))
def test_effective_weights_are_those_on_a_path_in_a_plain_network(seed, sparsity):
    """Against the definition, by multiplying out which unit reaches which."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3)
    )
    masks = pe.score(model, method="random", seed=seed).masks(sparsity)
    layers = [masks[name].double() for name in masks]
    health = examine(model, masks, torch.zeros(1, 2, 2, 2))
    for index, layer in enumerate(health.layers):
        into = torch.ones(8, dtype=torch.float64)
        for weights in layers[:index]:
            into = weights @ into
        out = torch.ones(3, dtype=torch.float64)
        for weights in reversed(layers[index + 1 :]):
            out = weights.T @ out
        on_path = layers[index] * (out > 0)[:, None] * (into > 0)[None, :]
        assert layer.effective == int(on_path.sum())


def test_the_model_comes_back_untouched():
    model = chain().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    examine(model, full(model), IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not any(p.grad is not None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_masks_and_samples_that_do_not_fit_are_refused():
    model = chain()
    with pytest.raises(ModelError, match="does not have"):
        examine(model, {"nowhere": torch.ones(2, dtype=torch.bool)}, IMAGE)
    with pytest.raises(ModelError, match="numbers"):
        examine(model, full(model), IMAGE.long())
