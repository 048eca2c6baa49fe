"""The closed-form derivatives against torch's own and against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prospr_engine.network.batchnorm import use_fast_batch_norm
from prospr_engine.network.convolution import Needed

SHAPES = [(5, 3), (4, 3, 7), (4, 3, 5, 5), (2, 3, 3, 2, 3)]
LAYERS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def pair(shape, affine=True):
    """torch's layer and ours, with the same weights."""
    generator = torch.Generator().manual_seed(0)
    layers = [LAYERS[len(shape)](3, affine=affine).double() for _ in range(2)]
    if affine:
        for values in zip(*(layer.parameters() for layer in layers), strict=True):
            drawn = torch.rand(3, generator=generator, dtype=torch.float64) + 0.5
            for value in values:
                value.data.copy_(drawn)
    use_fast_batch_norm(layers[1], Needed())
    x = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    return layers, x


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_gradient_and_second_derivative_are_torchs(shape, affine):
    (theirs, ours), x = pair(shape, affine)
    results = []
    for layer in (theirs, ours):
        inputs = [x, *layer.parameters()]
        y = layer(x)
        gradient = torch.autograd.grad(y.square().sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.pow(3).sum() for g in gradient), inputs)
        results.append([y, *gradient, *second])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_second_derivative_against_finite_differences(shape):
    (_, layer), x = pair(shape)
    weight, bias = layer.weight, layer.bias

    def apply(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradgradcheck(apply, (x, weight, bias))


def test_inputs_that_lie_scattered_in_memory():
    (theirs, ours), x = pair((4, 3, 6, 6))
    scattered = x.to(memory_format=torch.channels_last)[:, :, ::2]
    results = []
    for layer in (theirs, ours):
        gradient = torch.autograd.grad(layer(scattered).cos().sum(), x, create_graph=True)[0]
        results.append(torch.autograd.grad(gradient.pow(2).sum(), x)[0])
    torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_float32_keeps_its_digits_in_long_sums(layout):
    # As before a classifier that takes the mean of each channel: all cotangents of one sign, and
    # answers in which most of their sum cancels.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, 32, 32, generator=generator) + 1
    v = torch.rand(64, 8, 1, 1, generator=generator).expand(64, 8, 32, 32)
    results = []
    for dtype in (torch.float64, torch.float32):
        layer = nn.BatchNorm2d(8).to(dtype)
        use_fast_batch_norm(layer, Needed())
        layout_of = {"dtype": dtype, "memory_format": layout}
        inputs = [x.to(**layout_of).requires_grad_(), *layer.parameters()]
        first = torch.autograd.grad(layer(inputs[0]), inputs, v.to(**layout_of), create_graph=True)
        # The same on the way back: one sign, and a mean that is far from zero.
        u = [torch.ones_like(g) if g.dim() == 1 else (g.detach() * 1e3 + 1) for g in first]
        second = torch.autograd.grad(first, inputs[:2], u)
        results.append([*first, *second])
    for expected, found in zip(*results, strict=True):
        error = (found.double() - expected).norm() / expected.norm()
        assert error < 1e-4


def test_eval_mode_uses_running_statistics_as_ever():
    (theirs, ours), x = pair((4, 3, 5, 5))
    for layer in (theirs, ours):
        layer.running_mean.fill_(0.3)
        layer.eval()
    assert torch.equal(theirs(x), ours(x))


def test_one_value_per_channel_is_refused_as_torch_does():
    (_, ours), _ = pair((5, 3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours(torch.zeros(1, 3, dtype=torch.float64))
