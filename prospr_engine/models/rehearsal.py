"""One step of training on a copy of a network, before the run begins: what would fail after minutes
fails at once, with a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.format import listed
from prospr_engine.network.foreign import cannot_take, explained, named, own_copy, set_mode
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.network.seeding import seeded

SHOWN = 3


def rehearse(model: nn.Module, x: Tensor, y: Tensor) -> tuple[str, ...]:
    """Forward and backward, in train mode, for the batch ``x`` (N, C, H, W), normalised, with the
    classes ``y`` (N,). The model and the random state stay as they are.

    Returns sentences on layers that no gradient reaches. Raises ``ModelError`` if the forward
    fails, if the loss is not finite, or if no gradient reaches any prunable weight.
    """
    trial = own_copy(model)
    set_mode(trial, True)
    with seeded(0, x.device), torch.enable_grad(), _first_broken(trial) as broken:
        with explained(trial, cannot_take(x), x):
            loss = F.cross_entropy(trial(x.clone()), y)
        if not math.isfinite(loss.item()):
            where = f": the output of {broken[0]} is NaN or infinite" if broken else ""
            raise ModelError(
                f"On a first batch of images the loss is {loss.item():g}{where}. Choose another "
                "normalisation of the images, or check the weights."
            )
        if not loss.requires_grad:
            raise ModelError(
                "No gradient reaches the weights: the network's forward detaches its output, or "
                "computes it under torch.no_grad. It cannot be trained."
            )
        with explained(trial, "The backward pass of the network fails", x):
            loss.backward()
    prunable = prunable_weights(trial)
    missed = [name for name in prunable if trial.get_parameter(name).grad is None]
    if len(missed) == len(prunable):
        raise ModelError(
            f"No gradient reaches {missed[0]}, nor any other weight that could be pruned: the "
            "network's forward does not use them, or detaches what they compute."
        )
    if not missed:
        return ()
    them = "it" if len(missed) == 1 else "them"
    return (
        f"No gradient reaches {listed(missed, SHOWN)}: the network does not use {them} for its "
        "answer, so training changes nothing there.",
    )


@contextmanager
def _first_broken(model: nn.Module) -> Iterator[list[str]]:
    """The layers whose output was not finite, in the order in which they were called."""
    found: list[str] = []
    hooks = []

    def watch(path: str, module: nn.Module) -> None:
        def look(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            numbers = isinstance(output, Tensor) and output.is_floating_point()
            if numbers and not found and not bool(output.isfinite().all()):  # type: ignore[attr-defined]
                found.append(named(path, module))

        hooks.append(module.register_forward_hook(look))

    for path, module in model.named_modules():
        if not [*module.children()]:
            watch(path, module)
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
