"""One step of training on a copy, before the run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.models import MODELS
from prospr_engine.models.build import build
from prospr_engine.models.rehearsal import rehearse


def batch(channels: int = 1, size: int = 8, count: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, channels, size, size, generator=generator)
    return x, torch.arange(count) % 3


def plain(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *more, nn.Linear(8, 3))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", ["small_cnn", "mlp", "resnet20"])
def test_networks_of_the_zoo_pass_and_stay_as_they_are(name):
    assert name in MODELS
    network = build(name, (1, 8, 8), 3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert rehearse(network, *batch()) == ()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_a_layer_that_breaks_the_numbers_is_named():
    network = plain(Function(lambda x: x / 0.0))
    with pytest.raises(ModelError, match=r"the loss is nan: the output of layer '2' \(Function\)"):
        rehearse(network, *batch())


def test_weights_that_no_gradient_reaches():
    with pytest.raises(ModelError, match="No gradient reaches the weights"):
        rehearse(nn.Sequential(plain(), Function(lambda x: x.detach())), *batch())
    (note,) = rehearse(plain(Function(lambda x: x.detach())), *batch())
    assert note.startswith("No gradient reaches 1.weight: the network does not use it")

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.BatchNorm1d(3), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x.flatten(1)[:, :3])

    with pytest.raises(ModelError, match=r"No gradient reaches idle.weight, nor any other"):
        rehearse(Unused(), *batch())


def test_a_forward_that_fails_names_the_layer():
    with pytest.raises(ModelError, match=r"layer '1' \(Linear\)"):
        rehearse(plain(), *batch(size=9))
