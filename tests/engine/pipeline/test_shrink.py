"""What holds for every criterion that ranks channels, through the public function."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import NETWORKS, batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, ModelError

METHODS = [name for name, spec in pe.METHODS.items() if spec.channels]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1, groups=24), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3),
    )  # fmt: skip


SHAPE = (2, 6, 6)


def weights(model: nn.Module) -> int:
    return sum(values.numel() for values in model.parameters() if values.dim() > 1)


@pytest.mark.parametrize("budget", ["parameters", "operations", "channels"])
@pytest.mark.parametrize("method", METHODS)
def test_every_criterion_that_ranks_channels_keeps_the_contract(method: str, budget: str):
    model, given = seeded(network), [batch(SHAPE, seed=i) for i in range(2)]
    x = given[0][0]
    before = copy.deepcopy(model.state_dict())
    scores = pe.score(model, given, method)
    shrunk = pe.shrink(model, x, scores, 0.4, budget=budget)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())

    small = shrunk.network
    assert weights(small) == shrunk.parameters.after < weights(model) == shrunk.parameters.before
    assert shrunk.achieved >= 0.4
    masked = copy.deepcopy(model)
    shrunk.masks.apply_to(masked)
    with torch.no_grad():
        for name, values in masked.named_parameters():
            mask = shrunk.masks.get(name.replace("bias", "weight"))
            if values.dim() == 1 and mask is not None:  # a bias goes with its channel
                values[~mask.flatten(1).any(1)] = 0
    gone = shrunk.removed
    for at, norm in ((0, masked[1]), (3, masked[4])):
        removed = list(gone.get(str(at), ()))
        norm.bias.data[removed] = 0
    torch.testing.assert_close(small.eval()(x), masked.eval()(x), rtol=1e-5, atol=1e-5)
    assert all(width.after % 8 == 0 for width in shrunk.widths[:-1])
    assert shrunk.widths[-1].after == 3
    assert gone.get("0") == gone.get("3")  # tied by the depthwise convolution

    again = pe.shrink(model, x, pe.score(model, given, method), 0.4, budget=budget)
    assert all(
        torch.equal(values, small.state_dict()[name])
        for name, values in again.network.state_dict().items()
    )


@pytest.mark.parametrize("method", [name for name in pe.METHODS if name not in METHODS])
def test_the_others_say_so(method: str):
    model = seeded(network)
    more = {"sparsity": 0.5, "rounds": 2} if pe.METHODS[method].iterative else {}
    scores = pe.score(model, [batch(SHAPE)], method, **more)
    with pytest.raises(ConfigError, match=r"ranks single weights only; .* one of .*, 'SNIP',"):
        pe.shrink(model, batch(SHAPE)[0], scores)


def test_a_function_of_the_callers_ranks_channels():
    def slope(net, batches, on_step):
        _, gradient = net.gradient(net.start, batches[0], 0)
        found = dict(zip(net.names, gradient, strict=True))
        return {name: found[name] for name in net.prunable}

    model = seeded(network)
    scores = pe.score(model, [batch(SHAPE)], slope)
    assert pe.shrink(model, batch(SHAPE)[0], scores, 0.3).achieved >= 0.3


def test_layers_have_settings_of_their_own():
    model, x = seeded(network), batch(SHAPE)[0]
    scores = pe.score(model, [batch(SHAPE)], "snip")
    kept = pe.shrink(model, x, scores, 0.3, layers={"6": "dense"})
    assert {width.layer: width.after for width in kept.widths}["6"] == 32
    half = pe.shrink(model, x, scores, 0.5, layers={"6*": 0.5})
    assert {width.layer: width.after for width in half.widths}["6"] == 16
    with pytest.raises(ConfigError, match="There is no layer called '66'"):
        pe.shrink(model, x, scores, 0.3, layers={"66": "dense"})
    with pytest.raises(ConfigError):
        pe.shrink(model, x, scores, 0.3, layers={"*": "dense"})


def test_snip_ranks_what_a_gate_behind_the_norm_would_do():
    """By autograd: the effect of a channel's gate g, which multiplies all that makes the channel,
    is that of a gate on its output, because all of it vanishes with the norm's scale and shift."""
    make, shape = NETWORKS["batch norm"]
    model = seeded(make)
    x, y = batch(shape)
    scores = pe.score(model, [(x, y)], "snip", precision="float64")
    assert scores.channels["0.weight"].abs().max() < 1e-4  # the norm undoes the scale of filters
    gate = torch.ones(4, dtype=torch.float64, requires_grad=True)
    double = copy.deepcopy(model).double().train()
    x64 = x.double()
    hidden = double[1](double[0](x64)) * gate.view(1, -1, 1, 1)
    torch.nn.functional.cross_entropy(double[2:](hidden), y).backward()
    effect = scores.channels["0.weight"] + scores.rest["1.weight"] + scores.rest["1.bias"]
    torch.testing.assert_close(effect.double(), gate.grad, rtol=1e-4, atol=1e-6)


def test_a_network_without_channels_to_spare_is_refused():
    model = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(8, 3)))
    scores = pe.score(model, [batch((2, 2, 2))], "snip")
    with pytest.raises(ModelError, match="No channels"):
        pe.shrink(model, batch((2, 2, 2))[0], scores)
