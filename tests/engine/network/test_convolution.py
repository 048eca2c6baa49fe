"""The second derivative against torch's own and against finite differences."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from prospr_engine.network.convolution import Needed, use_fast_convolution

LAYERS = {
    "plain": (nn.Conv2d(2, 4, 3), (3, 2, 6, 6)),
    "strided, padded, without bias": (nn.Conv2d(2, 4, 3, 2, 1, bias=False), (3, 2, 7, 6)),
    "dilated, grouped": (nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2), (2, 4, 6, 6)),
    "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), (2, 4, 5, 5)),
    "one by one": (nn.Conv2d(3, 2, 1, stride=2), (2, 3, 5, 5)),
    "uneven": (nn.Conv2d(2, 3, (1, 3), (2, 1), (0, 1)), (2, 2, 5, 6)),
    "one dimension": (nn.Conv1d(2, 4, 3, padding=1), (3, 2, 6)),
    "three dimensions": (nn.Conv3d(1, 2, 2), (2, 1, 3, 3, 4)),
    "circular": (nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), (3, 2, 6, 6)),
    "same": (nn.Conv2d(2, 4, 3, padding="same"), (3, 2, 6, 6)),
    "unbatched": (nn.Conv2d(2, 4, 3), (2, 6, 6)),
}


@pytest.mark.parametrize("needs_image_gradient", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_value_gradient_and_second_derivative_are_torchs(name, needs_image_gradient):
    theirs, shape = LAYERS[name]
    theirs = copy.deepcopy(theirs).double()
    ours = copy.deepcopy(theirs)
    use_fast_convolution(ours, Needed())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    x.requires_grad_(needs_image_gradient)
    results = []
    for layer in (theirs, ours):
        inputs = [*([x] if needs_image_gradient else []), *layer.parameters()]
        y = layer(x)
        gradient = torch.autograd.grad(y.square().sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.pow(3).sum() for g in gradient), inputs)
        results.append([y, *gradient, *second])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["strided, padded, without bias", "depthwise", "one dimension"])
def test_second_derivative_against_finite_differences(name):
    layer, shape = LAYERS[name]
    layer = copy.deepcopy(layer).double()
    use_fast_convolution(layer, Needed())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    def apply(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    assert torch.autograd.gradgradcheck(apply, (x, layer.weight))
