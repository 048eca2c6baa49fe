"""The families of torchvision: one network of each, cut and compared with itself."""

from __future__ import annotations

import pytest
import torch
from structured_scores import drawn

from prospr_engine.models.build import build
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.shrink import shrink
from prospr_engine.structured.surgery import replay

FAMILIES = {
    "resnet18": 32, "resnext50_32x4d": 32, "wide_resnet50_2": 32, "alexnet": 64, "vgg11_bn": 32,
    "mobilenet_v2": 64, "mobilenet_v3_small": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64,
    "densenet121": 64, "googlenet": 64, "inception_v3": 96, "shufflenet_v2_x0_5": 64,
    "regnet_x_400mf": 64, "regnet_y_400mf": 64, "mnasnet0_5": 64, "squeezenet1_1": 64,
    "convnext_tiny": 64, "vit_b_32": 64, "swin_t": 64, "swin_v2_t": 64, "maxvit_t": 224,
}  # fmt: skip
"""Each with a size of images that is large enough for it."""

INSIDE = {"convnext_tiny": ".block.3", "vit_b_32": ".mlp.0", "swin_t": ".mlp.0",
          "swin_v2_t": ".mlp.0"}  # fmt: skip
"""A layer norm looks at all channels of a residual stream: only the width within blocks can go."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_cut(name):
    shape = (3, FAMILIES[name], FAMILIES[name])
    network = build(f"torchvision/{name}", shape, 10, 0)
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    # It refuses what is not equal: on weights, biases and statistics as training leaves them.
    shrunk = shrink(network, x, drawn(network), "norm", 0.3)
    assert 0.66 < shrunk.parameters.after / shrunk.parameters.before <= 0.7
    assert not shrunk.whole
    again = replay(build(f"torchvision/{name}", shape, 10, 1), shrunk.removed, x)
    again.load_state_dict(shrunk.network.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(x), shrunk.network.eval()(x))
        assert shrunk.network.train()(torch.cat([x, x])) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", INSIDE)
def test_residual_streams_behind_a_layer_norm_stay_whole(name):
    shape = (3, FAMILIES[name], FAMILIES[name])
    network = build(f"torchvision/{name}", shape, 10, 0)
    groups = find_groups(network, torch.zeros(1, *shape))
    assert groups
    assert {group.name[-len(INSIDE[name]) :] for group in groups} == {INSIDE[name]}
