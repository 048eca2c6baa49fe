"""The control "random": each layer's scores, given to weights at random."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def random(scores: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Noise drawn from ``seed`` decides which weights of a layer get its highest scores."""
    generator = torch.Generator().manual_seed(seed)

    def redrawn(values: Tensor) -> Tensor:
        noise = torch.rand(values.numel(), generator=generator, dtype=torch.float64)
        places = noise.argsort(descending=True).to(values.device)
        highest_first = values.flatten().sort(descending=True).values
        return torch.empty_like(highest_first).scatter_(0, places, highest_first).view(values.shape)

    return {name: redrawn(values) for name, values in scores.items()}
