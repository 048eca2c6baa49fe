"""The reference network, and what the criteria's published code says of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from paths import GOLDEN
from safetensors.torch import load_file
from torch import Tensor, nn


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """Reads one of the files of reference scores."""
    return lambda name: load_file(GOLDEN / f"{name}.safetensors")


@pytest.fixture(scope="session")
def reference(golden):
    """The reference network and its four real batches."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    ).double()  # fmt: skip
    net.load_state_dict(golden("weights"))
    stored = golden("batches")
    return net, [(stored[f"x{i}"], stored[f"y{i}"]) for i in range(4)]
