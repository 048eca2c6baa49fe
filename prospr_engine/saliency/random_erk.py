"""Random, Erdős–Rényi kernel: chance within a layer, but small layers keep more of their weights.

Evci et al., Rigging the Lottery, ICML 2020, https://arxiv.org/abs/1911.11134, section 3: the
density of a layer is ε · p with p = (sum of its dimensions) / (their product), at most 1; what a
full layer cannot take goes to the others in the same proportion, through ε.
"""

from __future__ import annotations

import math

import torch

from prospr_engine.network.batches import Batch
from prospr_engine.network.device import float64_device
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def random_erk(network: Network, batches: list[Batch], on_step: OnStep, *, seed: int) -> Saliency:
    """p / u, one ranking for every sparsity: u is evenly spread over (0, 1) within each layer, in
    an order drawn on the CPU, so that a layer keeps the share ε · p above the threshold 1 / ε,
    and all if that exceeds 1."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for number, (name, weight) in enumerate(network.prunable.items()):
        count = math.prod(weight.shape)
        # About ½, but not the same: layers of one shape would all round up or down together.
        start = 0.25 + 0.5 * (number * GOLDEN_RATIO % 1)
        u = (torch.randperm(count, generator=generator).to(torch.float64) + start) / count
        scores = sum(weight.shape) / count / u
        values[name] = scores.view(weight.shape).to(float64_device(network.device))
    return Saliency(values=values, signed=values)
