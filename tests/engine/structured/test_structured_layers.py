"""Layers with a setting of their own, when channels are removed."""

from __future__ import annotations

import re

import pytest
import torch
from structured_scores import drawn
from torch import nn

from prospr_engine.errors import ConfigError
from prospr_engine.models.build import build
from prospr_engine.structured.shrink import shrink

SAMPLE = torch.zeros(2, 3, 16, 16)


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 24, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def widths(layers: dict, sparsity: float = 0.5, **options) -> dict[str, int]:
    network = small()
    found = shrink(network, SAMPLE, drawn(network), "norm", sparsity, layers=layers, **options)
    return {
        path: module.weight.shape[0]
        for path, module in found.network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@pytest.mark.parametrize(
    ("layers", "sparsity", "expected"),
    [
        ({"0": "dense"}, 0.3, {"0": 16}),
        ({"0.weight": "dense", "4": 0.5}, 0.3, {"0": 16, "4": 12}),
        ({"[04]": 0.5}, 0.5, {"0": 8, "4": 12}),
        ({"*": 0.5, "0": 0.25}, 0.68, {"0": 12, "2": 16, "4": 12, "8": 5}),  # the outputs stay
    ],
)
def test_layers_keep_the_share_of_channels_that_was_set(layers, sparsity, expected):
    found = widths(layers, sparsity, multiple=1)
    assert {path: found[path] for path in expected} == expected


def test_the_others_meet_the_budget():
    network = small()
    found = shrink(
        network, SAMPLE, drawn(network), "norm", 0.5, "parameters", 1, {"0": "dense", "4": 0.25}
    )
    kept = sum(p.numel() for name, p in found.network.named_parameters() if "weight" in name)
    total = sum(p.numel() for name, p in network.named_parameters() if "weight" in name)
    assert 0.45 * total < kept <= 0.5 * total


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"conv": "dense"}, "no layer called 'conv'"),
        ({"9*": "dense"}, "The pattern '9*' matches no layer"),
        ({"0": "densee"}, "did you mean 'dense'"),
        ({"[02]": 0.5, "[24]": "dense"}, "'2' has two settings"),
        ({"8": 0.5}, "No channels of layer '8' can be removed"),
        ({"*": "dense"}, "change what layers have for themselves"),
    ],
)
def test_what_does_not_fit_is_refused(layers, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        widths(layers)


def test_layers_that_share_their_channels_have_one_setting():
    network = build("resnet20", (3, 16, 16), 10, 0)
    with pytest.raises(ConfigError, match="share their channels"):
        shrink(
            network, SAMPLE, drawn(network), "norm", 0.3,
            layers={"conv1": "dense", "stage1.0.conv2": 0.5},
        )  # fmt: skip
