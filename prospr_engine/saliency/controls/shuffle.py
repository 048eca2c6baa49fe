"""The control "shuffle": each layer's scores in another order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def shuffle(scores: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The scores of each layer in an order drawn from ``seed``."""
    generator = torch.Generator().manual_seed(seed)

    def shuffled(values: Tensor) -> Tensor:
        order = torch.randperm(values.numel(), generator=generator)
        return values.flatten()[order.to(values.device)].view(values.shape)

    return {name: shuffled(values) for name, values in scores.items()}
