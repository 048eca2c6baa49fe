"""Find the layer that made a criterion fail.

Every function runs the network once more on a few inputs and returns a phrase for a sentence, such
as "layer 'norm' (LayerNorm)".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prospr_engine.network.batches import Batch
from prospr_engine.network.derivatives import (
    MissingDerivative,
    refuse_missing_derivatives,
    twice_differentiable,
)
from prospr_engine.network.foreign import named
from prospr_engine.network.functional import Network

FEW = 2
"""Inputs that are enough to show where it goes wrong; train mode needs two."""


@dataclass(frozen=True)
class _Call:
    """A module of the network and the arguments of one call to it."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def named(self) -> str:
        return named(self.path, self.module)

    def differentiable(self) -> tuple[list[Tensor], list[Tensor]]:
        """Run the module alone once more: its outputs, and the leaves they depend on."""
        leaves: list[Tensor] = []

        def fresh(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.is_floating_point():
                return value
            # A copy, which may be differentiated even if it was computed in inference mode.
            leaves.append(value.detach().clone().requires_grad_())
            return leaves[-1].clone()  # which may be changed in place

        args = [fresh(value) for value in self.args]
        kwargs = {name: fresh(value) for name, value in self.kwargs.items()}
        answer = self.module(*args, **kwargs)
        return [tensor for tensor in _tensors(answer) if tensor.requires_grad], leaves


def lacks_second_derivative(network: Network, batch: Batch) -> str:
    """The smallest part of the network that cannot be differentiated twice; "" if each can."""
    x, y = batch
    few = x[:FEW], y[:FEW]
    for call in _calls(network, lambda: network.loss(network.start, few, 0)):
        if not _has_second_derivative(call):
            return call.named
    return ""


def turns_the_flow(network: Network, x: Tensor) -> str:
    """The smallest part of a network of positive numbers whose outputs fall as its inputs rise,
    or do not depend on them; "" if there is none."""
    for call in _calls(network, lambda: network.flow(network.start, x)):
        with torch.enable_grad(), twice_differentiable():
            answers, leaves = call.differentiable()
            if not answers or not leaves:
                continue
            slopes = torch.autograd.grad(
                answers,
                leaves,
                [torch.ones_like(answer) for answer in answers],
                allow_unused=True,
                materialize_grads=True,
            )
        size = sum(slope.abs().sum().item() for slope in slopes)
        falling = sum(-slope.clamp(max=0).sum().item() for slope in slopes)
        if not size or falling > 0.1 * size:
            return call.named
    return ""


def breaks(network: Network, batch: Batch) -> str:
    """A sentence about the first layer whose outputs are not finite, or all zero."""
    x, _ = batch
    if x.is_floating_point() and not x.isfinite().all():
        return "The calibration batch itself contains NaN or infinite values."
    found: list[str] = []

    def look(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, answer: Any) -> None:
            numbers = [tensor for tensor in _tensors(answer) if tensor.is_floating_point()]
            if found or not numbers:
                return
            if not all(bool(tensor.isfinite().all()) for tensor in numbers):
                found.append(
                    f"The first outputs that are not finite come from {named(path, module)}."
                )
            elif not any(bool(tensor.any()) for tensor in numbers):
                found.append(
                    f"The first outputs that are all zero come from {named(path, module)}."
                )

        return hook

    hooks = [m.register_forward_hook(look(path)) for path, m in network.model.named_modules()]
    try:
        network.loss(network.start, batch, 0)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def first_of(model: nn.Module, *kinds: type[nn.Module]) -> str:
    """The first layer of one of ``kinds``; "" if there is none."""
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            return named(path, module)
    return ""


def _calls(network: Network, run: Callable[[], Any]) -> list[_Call]:
    """The calls of each module while ``run`` runs the network, in the order in which they return:
    parts before the modules that contain them."""
    calls: list[_Call] = []

    def listen(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, answer: Any) -> None:
            calls.append(_Call(path, module, args, kwargs))

        return hook

    hooks = [
        module.register_forward_hook(listen(path), with_kwargs=True)
        for path, module in network.model.named_modules()
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _has_second_derivative(call: _Call) -> bool:
    with torch.enable_grad(), twice_differentiable():
        answers, leaves = call.differentiable()
        leaves += [p for p in call.module.parameters() if p.requires_grad]
        if not answers:
            return True
        try:
            # Of Σ answers², so that even what is linear has a second derivative.
            slopes = torch.autograd.grad(
                answers, leaves, answers, create_graph=True, allow_unused=True
            )
            curved = [slope for slope in slopes if slope is not None and slope.requires_grad]
            refuse_missing_derivatives(curved)
            if curved:
                torch.autograd.grad(curved, leaves, curved, allow_unused=True)
        except MissingDerivative:
            return False
        except RuntimeError as error:
            return "not implemented" not in str(error)
    return True


def _tensors(answer: Any) -> list[Tensor]:
    if isinstance(answer, Tensor):
        return [answer]
    if isinstance(answer, dict):
        answer = answer.values()
    elif not isinstance(answer, tuple | list):
        return []
    return [tensor for part in answer for tensor in _tensors(part)]
