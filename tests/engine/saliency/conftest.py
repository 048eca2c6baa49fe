"""The reference networks, and what the criteria's published code says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch.nn.functional as F
from paths import GOLDEN
from safetensors.torch import load_file
from torch import Tensor, nn


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """Reads one of the files of reference scores."""
    return lambda name: load_file(GOLDEN / f"{name}.safetensors")


@pytest.fixture(scope="session")
def four_batches(golden):
    """Four batches of real images."""
    stored = golden("batches")
    return [(stored[f"x{i}"], stored[f"y{i}"]) for i in range(4)]


@pytest.fixture(scope="session")
def reference(golden, four_batches):
    """The reference network and its four real batches."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    ).double()  # fmt: skip
    net.load_state_dict(golden("weights"))
    return net, four_batches


class Residual(nn.Module):
    """No normalisation, a shortcut, a depthwise convolution, biases in most layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.pointwise = nn.Conv2d(6, 6, 1)
        self.down = nn.Conv2d(6, 10, 3, stride=2, padding=1, bias=False)
        self.head = nn.Linear(40, 10)

    def forward(self, x):
        x = F.relu6(self.stem(x))
        x = x + self.pointwise(F.relu6(self.depthwise(x)))
        return self.head(F.avg_pool2d(F.relu(self.down(x)), 2).flatten(1))


@pytest.fixture(scope="session")
def residual(golden):
    """The network without normalisation, and what the published code says of it."""
    stored = golden("residual")
    net = Residual().double()
    prefix = "network/"
    net.load_state_dict(
        {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}
    )
    return net, stored
