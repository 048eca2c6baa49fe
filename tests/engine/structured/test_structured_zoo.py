"""Every network of the zoo can be cut, and answers like itself with the same channels at zero."""

from __future__ import annotations

import copy

import pytest
import torch
from structured_scores import drawn

from prospr_engine.models import MODELS
from prospr_engine.models.build import build
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.shrink import shrink
from prospr_engine.structured.surgery import masked, replay

SHAPES = {"mlp": (1, 8, 8), "lenet5": (1, 8, 8), "small_cnn": (1, 8, 8)}
LARGE = {"resnet18", "resnet50", "vgg16_bn", "vgg19_bn"}


def as_trained(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Statistics and scales as training leaves them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
                for tensor in (module.bias, module.running_mean):
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) / 2)
    return network


def zoo():
    for name in MODELS:
        for sparsity in (0.3, 0.5, 0.8):
            slow = name in LARGE and (name != "resnet18" or sparsity != 0.5)
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(name, sparsity, marks=marks, id=f"{name}-{sparsity}")


@pytest.mark.parametrize(("name", "sparsity"), [*zoo()])
def test_the_small_network_answers_like_the_masked_large_one(name, sparsity):
    shape = SHAPES.get(name, (3, 16, 16))
    network = as_trained(build(name, shape, 10, 0)).eval()
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))

    # The narrowest have too few channels for blocks of eight.
    shrunk = shrink(
        network, x, drawn(network), "norm", sparsity, multiple=8 - 7 * (sparsity == 0.8)
    )

    small = shrunk.network.eval()
    kept = sum(w.shape.numel() for w in map(small.get_parameter, prunable_weights(small)))
    total = sum(w.shape.numel() for w in map(network.get_parameter, prunable_weights(network)))
    assert (kept, total) == (shrunk.parameters.after, shrunk.parameters.before)
    assert 0.9 * (1 - sparsity) <= kept / total <= 1 - sparsity
    zeroed = copy.deepcopy(network)
    shrunk.masks.apply_to(zeroed)
    for large in (masked(network, shrunk.groups, shrunk.kept), zeroed):
        with torch.no_grad():
            answers = large.eval()(x)
            torch.testing.assert_close(
                small(x), answers, rtol=1e-5, atol=1e-5 * answers.abs().max()
            )
    again = replay(build(name, shape, 10, 1), shrunk.removed, x)
    again.load_state_dict(small.state_dict())
    assert torch.equal(again.eval()(x), small(x))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
