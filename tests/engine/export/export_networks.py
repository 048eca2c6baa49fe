"""Small networks of every kind that must export, with random masks."""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    """A small vision transformer block: patches, positions, attention, layer norm."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.positions = nn.Parameter(torch.randn(1, 4, 16))
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.head(x.mean(1))


class TiedWithUnused(nn.Module):
    """Two layers share a weight; a third takes no part in the answer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.auxiliary = nn.Linear(6, 2)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x.flatten(1)).relu()))


def _batch_norm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def _group_norm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


NETWORKS = {
    "batch_norm": (_batch_norm, (3, 8, 8)),
    "group_norm": (_group_norm, (3, 8, 8)),
    "conv1d": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)),
        (2, 8),
    ),
    "conv3d": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)),
        (2, 4, 4, 4),
    ),
    "attention": (Attention, (3, 8, 8)),
    "tied": (TiedWithUnused, (1, 2, 3)),
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)), (6,)),
}


def build(name, seed=0):
    """A network, its input shape, and random masks already applied to it."""
    torch.manual_seed(seed)
    make, shape = NETWORKS[name]
    model = make()
    model.train()
    if name == "batch_norm":
        model(torch.randn(16, *shape))  # so that the running statistics are not 0 and 1
    masks = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            masks[f"{path}.weight"] = torch.rand(module.weight.shape) > 0.7
    masks.pop("second.weight", None)
    with torch.no_grad():
        for key, mask in masks.items():
            model.get_parameter(key).mul_(mask)
    return model, shape, masks
