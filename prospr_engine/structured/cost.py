"""What a budget counts, and how much of it is left when channels are gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from prospr_engine.errors import ConfigError
from prospr_engine.network.flops import costs
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.registry import did_you_mean
from prospr_engine.structured.groups import ChannelGroup

Counts = NDArray[np.float64]
"""How many channels stay of each group."""

BUDGETS = {
    "parameters": "weights",
    "channels": "channels",
    "operations": "multiply-adds",
}
"""What a budget counts, and what it is called."""


@dataclass(frozen=True)
class LayerSize:
    """A weight of ``shape`` of the layer at path ``layer`` with that many ``outputs``, each number
    of which is used in ``uses`` multiply-adds for one input."""

    layer: str
    weight: str
    shape: tuple[int, ...]
    outputs: int
    uses: float


def layer_sizes(network: nn.Module, shape: tuple[int, ...]) -> tuple[LayerSize, ...]:
    """The sizes of all prunable layers, for inputs of ``shape`` (C, …)."""
    paths = {
        id(module.weight): path
        for path, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter)
    }
    parameters = dict(network.named_parameters())
    infos = {info.name: info for info in costs(network, shape).layers}
    return tuple(
        LayerSize(
            paths[id(parameters[name])],
            name,
            weight.shape,
            weight.out_channels,
            infos[name].macs / infos[name].parameters,
        )
        for name, weight in prunable_weights(network).items()
    )


class Cost:
    """What is left of a budget's measure when channels are gone.

    A weight's size is the product of its axes, each of which is its full length less what goes with
    the removed channels of every group: so no network has to be cut to know its size.
    """

    def __init__(
        self, groups: Sequence[ChannelGroup], sizes: Sequence[LayerSize], budget: str
    ) -> None:
        if budget not in BUDGETS:
            raise ConfigError(
                f"There is no budget of {budget!r}{did_you_mean(budget, [*BUDGETS])}; give one of "
                f"{', '.join(BUDGETS)}."
            )
        self.full = np.array([group.channels for group in groups], np.float64)
        self.by_channel = budget == "channels"
        if self.by_channel:
            self.factors = np.array(
                [sum(p.channels.shape[1] for p in group.producers) for group in groups], np.float64
            )
            self.total = float(self.factors @ self.full)
            return
        rows = {(size.weight, axis): 2 * row + axis
                for row, size in enumerate(sizes) for axis in (0, 1)}  # fmt: skip
        self.factors = np.array(
            [
                math.prod(size.shape[2:]) * (size.uses if budget == "operations" else 1)
                for size in sizes
            ]
        )
        self.lengths = np.array([length for size in sizes for length in size.shape[:2]], np.float64)
        self.per_channel = np.zeros((2 * len(sizes), len(groups)))
        for column, group in enumerate(groups):
            for part in group.slices:
                if (part.tensor, part.axis) in rows:
                    self.per_channel[rows[part.tensor, part.axis], column] += part.indices.shape[1]
        self.total = self.of(self.full)

    def of(self, kept: Counts) -> float:
        """The measure with that many channels ``kept`` of each group."""
        if self.by_channel:
            return float(self.factors @ kept)
        lengths = self.lengths - self.per_channel @ (self.full - kept)
        return float(self.factors @ (lengths[0::2] * lengths[1::2]))
