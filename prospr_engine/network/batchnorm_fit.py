"""How well images fit the statistics that a batch norm remembers from training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prospr_engine.network.foreign import set_mode


class _Reached(Exception):  # noqa: N818 - not an error: the rest of the network is not needed
    pass


def mismatch(network: nn.Module, batches: Iterable[Tensor]) -> float | None:
    """How far the inputs of the first batch norm are from its running mean and variance, for
    ``batches`` of images as the network takes them: the symmetric Kullback-Leibler divergence of
    normal distributions (nats), the median over channels. 0 is what it was trained with.

    The first one follows a linear layer or two, so this tells how pixels were scaled, whatever the
    classifier is. None if no batch norm with statistics is reached. Leaves the network as it was.
    """
    norms = [m for m in network.modules() if isinstance(m, _NormBase)]
    reached: list[_Sums] = []

    def look(norm: nn.Module, args: tuple[Any, ...]) -> None:
        assert isinstance(norm, _NormBase)
        if norm.running_mean is not None and norm.running_var is not None:
            if not reached:
                reached.append(_Sums(norm))
            reached[0].add(args[0])
            raise _Reached

    modes = {module: module.training for module in network.modules()}
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    set_mode(network, False)
    try:
        with torch.inference_mode():
            for batch in batches:
                try:
                    network(batch)
                    return None
                except _Reached:
                    pass
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return reached[0].mismatch() if reached else None


class _Sums:
    """Of what a batch norm gets, by channel: nothing else of it is kept."""

    def __init__(self, norm: _NormBase) -> None:
        self.norm = norm
        self.count = 0
        self.sum = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        others = [axis for axis in range(x.ndim) if axis != 1]
        self.count += x.numel() // x.shape[1]
        self.sum = self.sum + x.sum(others, dtype=torch.float64).cpu()
        self.squares = self.squares + (x * x).sum(others, dtype=torch.float64).cpu()

    def mismatch(self) -> float:
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, known_mean = self.sum / self.count, norm.running_mean.double().cpu()
        variance = (self.squares / self.count - mean**2).clamp(min=0) + norm.eps
        known = norm.running_var.double().cpu() + norm.eps
        ratio = variance / known + known / variance - 2
        shift = (mean - known_mean) ** 2 * (1 / known + 1 / variance)
        return float(((ratio + shift) / 4).median())
