"""Random: the baseline that looks at neither the network nor the data."""

from __future__ import annotations

import torch

from prospr_engine.network.batches import Batch
from prospr_engine.network.device import float64_device
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency


def random(network: Network, batches: list[Batch], on_step: OnStep, *, seed: int) -> Saliency:
    """Uniform noise in [0, 1), drawn on the CPU so that a seed means the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    device = float64_device(network.device)
    values = {
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(device)
        for name, weight in network.prunable.items()
    }
    return Saliency(values=values, signed=values)
