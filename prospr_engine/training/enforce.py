"""Pruned weights stay zero: in the weights, in their gradients and in the optimiser's memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from prospr_engine.errors import TrainingError
from prospr_engine.pruning.masks import matching_parameters


class MaskEnforcer:
    """Keeps a network masked while an optimiser trains it; a context manager.

    Entering sets the pruned weights to zero and masks their gradients from then on, so that
    neither momentum nor gradient clipping sees them. ``after_step`` clears whatever the
    optimiser (weight decay, momentum, adaptive state) put there anyway. Leaving without
    an error asserts that every pruned weight is exactly zero; ``TrainingError`` otherwise.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]):
        self._pruned = {
            name: (parameter, ~masks[name].to(parameter.device))
            for name, parameter in matching_parameters(model, masks).items()
        }

    def __enter__(self) -> MaskEnforcer:
        self._hooks = []
        for parameter, pruned in self._pruned.values():
            with torch.no_grad():
                parameter.masked_fill_(pruned, 0.0)
            # masked_fill, not a product: a gradient that is NaN there must not come through.
            hook = parameter.register_hook(lambda grad, pruned=pruned: grad.masked_fill(pruned, 0))
            self._hooks.append(hook)
        return self

    def after_step(self, optimizer: Optimizer) -> None:
        """Call after every ``optimizer.step()``."""
        with torch.no_grad():
            for parameter, pruned in self._pruned.values():
                parameter.masked_fill_(pruned, 0.0)
                for state in optimizer.state[parameter].values():
                    if isinstance(state, Tensor) and state.shape == pruned.shape:
                        state.masked_fill_(pruned, 0.0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise ``TrainingError`` if a pruned weight is not exactly zero."""
        for name, (parameter, pruned) in self._pruned.items():
            alive = int(parameter.detach()[pruned].count_nonzero())
            if alive:
                raise TrainingError(
                    f"{alive:,} pruned weights of {name} became non-zero in training; "
                    "this is a fault of the engine, please report it."
                )
