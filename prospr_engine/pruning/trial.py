"""One trial of which weights are connected: a scratch copy answers two inputs.

Kept weights are drawn at random, normalisation is taken out and biases are small. A channel carries
a signal if it differs between the two inputs, and reaches the output if the gradient of a random
sum of outputs is not zero there. What cuts a signal off by its value lets part of it through.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from prospr_engine.errors import ModelError
from prospr_engine.network.answer import check_answer
from prospr_engine.network.foreign import cannot_take, explained, own_copy, set_mode
from prospr_engine.network.prunable import PrunableWeight
from prospr_engine.pruning.gates import OpenGates
from prospr_engine.pruning.normalisations import SMALL, linear_forward

Flags = dict[str, Tensor]
"""Booleans by the name of a weight, in its shape."""

POSITIVE, SIGNED = (0, 1), (2, 3, 4)
"""Draws with positive weights, whose signals rarely cancel, and with weights of both signs."""


@dataclass(frozen=True)
class Trial:
    """Per weight the kept ones that are connected to both ends; which outputs answer; and whether
    the network ``compared`` values, so that others may be connected for other values."""

    works: Flags
    answers: Tensor
    compared: bool


@dataclass
class _Use:
    """One call of a layer: input channels that carry a signal, outputs that reach the end."""

    layer: nn.Module
    carries: Tensor
    reaches: Tensor | None = None


def run_trial(
    model: nn.Module,
    masks: Flags,
    weights: Mapping[str, PrunableWeight],
    sample: Tensor,
    draw: int,
    comparisons: bool | None = None,
) -> Trial:
    """Run ``model``, of whose ``weights`` those in ``masks`` are kept, on inputs of the shape of
    ``sample``; ``comparisons`` is what comparisons of values say instead of the truth. Raises
    ``ModelError`` if it does not run."""
    try:
        return _run(model, masks, weights, sample, draw, comparisons, torch.float64)
    except ModelError:
        own = next(p.dtype for p in model.parameters() if p.is_floating_point())
        if own == torch.float64:
            raise
        return _run(
            model, masks, weights, sample, draw, comparisons, own
        )  # it insists on its format


def _run(
    model: nn.Module,
    masks: Flags,
    weights: Mapping[str, PrunableWeight],
    sample: Tensor,
    draw: int,
    comparisons: bool | None,
    dtype: torch.dtype,
) -> Trial:
    generator = torch.Generator().manual_seed(draw)
    scratch = _scratch(model, masks, generator, dtype, signed=draw in SIGNED)
    inputs = torch.rand(2, *sample.shape[1:], generator=generator, dtype=torch.float64) + 0.5
    if draw in SIGNED:
        inputs = inputs * _signs(inputs, generator)
    inputs = inputs.to(dtype)
    parameters = dict(scratch.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    open_gates = OpenGates(comparisons)
    uses: dict[str, list[_Use]] = defaultdict(list)
    for module in scratch.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            hook = _listener(uses[names[id(module.weight)]], open_gates)
            module.register_forward_hook(hook, with_kwargs=True)
    with (
        torch.enable_grad(),
        sdpa_kernel(SDPBackend.MATH),
        torch.random.fork_rng(devices=[]),
        explained(scratch, cannot_take(inputs), inputs),
    ):
        with open_gates:
            # With a gradient for the inputs, an answer without one was cut off.
            output = check_answer(scratch(inputs.requires_grad_().clone()))
        answers = _differs(output, -1)
        factors = torch.rand(output.shape, generator=generator, dtype=torch.float64) + 0.5
        if output.requires_grad:
            total = (output * factors.to(dtype)).sum()
            with open_gates:  # checkpointing runs parts of the network again
                _differentiate(total)
        elif answers.any():
            raise ModelError(
                "its answer has no gradient, because its forward detaches it or runs in no_grad"
            )
    works = {name: _works(weight, uses[name], parameters[name]) for name, weight in weights.items()}
    works = {name: flags & masks[name] for name, flags in works.items()}
    return Trial(works, answers, open_gates.compared)


def _differentiate(value: Tensor) -> None:
    """``value.backward()``, which itself would leave the mode of open gates for its duration."""
    torch.autograd.graph._engine_run_backward(
        (value,), (torch.ones_like(value),), False, False, (),
        allow_unreachable=True, accumulate_grad=True,
    )  # fmt: skip


def _listener(uses: list[_Use], open_gates: OpenGates) -> Callable[..., Tensor]:
    def after(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        # Convolutions count channels from the front, linear layers from the back.
        dim = -1 if isinstance(module, nn.Linear) else 1
        given = args[0] if args else next(iter(kwargs.values()))
        output = _Rescaled.apply(output)
        with open_gates.paused():
            use = _Use(module, _differs(given, dim))
        uses.append(use)

        def reached(gradient: Tensor) -> None:
            with open_gates.paused():
                use.reaches = _any_but(gradient != 0, dim)

        if output.requires_grad:
            output.register_hook(reached)
        return output

    return after


def _works(weight: PrunableWeight, uses: list[_Use], parameter: nn.Parameter) -> Tensor:
    works = torch.zeros(weight.shape, dtype=torch.bool)
    for use in uses:
        if use.reaches is not None:
            works |= _both_ends(use.layer, weight.shape, use.carries, use.reaches)
    if not uses and parameter.grad is not None:
        # A layer whose weight is used without calling it, as attention uses its projection.
        works = parameter.grad != 0
    return works


def _scratch(
    model: nn.Module, masks: Flags, generator: torch.Generator, dtype: torch.dtype, signed: bool
) -> nn.Module:
    """Kept weights at random, normalisation taken out, small biases, no dropout."""
    scratch = evaluating(model)
    if dtype == torch.float64:
        scratch.double()  # leaves complex parameters alone, which ``to`` would make real
    for module in scratch.modules():
        if forward := linear_forward(module):
            # Not replaced: some layers read attributes of the normalisations they hold.
            module.forward = forward
    with torch.no_grad():
        for name, parameter in scratch.named_parameters():
            if not parameter.is_floating_point():
                continue
            moves = parameter.requires_grad
            parameter.requires_grad_()
            if name in masks:
                values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) + 0.5
                if signed:
                    values *= _signs(values, generator)
                # Divided by the fan-in, so that no softmax saturates to an exact zero gradient.
                parameter.copy_(values * masks[name] / max(1, parameter[:1].numel()))
            elif moves:  # zeros, such as the scale of a residual branch, may not stay zeros
                parameter.abs_().clamp_(min=SMALL)
            else:
                parameter.abs_()
        for module in scratch.modules():
            bias = module._parameters.get("bias")
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and bias is not None:
                # Large ones would drown the signal; without any, a gate would stay at zero.
                values = torch.rand(bias.shape, generator=generator, dtype=torch.float64) + 0.5
                bias.copy_(SMALL * values)
    return scratch


def evaluating(model: nn.Module) -> nn.Module:
    copy = own_copy(model).cpu()
    set_mode(copy, False)
    return copy


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, like.shape, generator=generator) * 2 - 1


class _Rescaled(torch.autograd.Function):
    """Divides by the largest value, forward and backward: deep networks neither overflow nor
    vanish, and what is zero stays zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _rescaled(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _rescaled(gradient)


def _rescaled(x: Tensor) -> Tensor:
    largest = torch.linalg.vector_norm(x, math.inf) if x.numel() else x.new_zeros(())
    return x / largest if largest else x.clone()


def _differs(values: Tensor, dim: int) -> Tensor:
    """Channels in which the two inputs differ by more than rounding."""
    values = values.detach()
    rounding = 1e-12 if values.dtype == torch.float64 else 1e-5
    tolerance = rounding * torch.linalg.vector_norm(values, math.inf, 0, keepdim=True)
    return _any_but((values[:1] - values[1:]).abs() > tolerance, dim)


def _any_but(flags: Tensor, dim: int) -> Tensor:
    return flags.movedim(dim, 0).flatten(1).any(1)


def _both_ends(layer: Any, shape: tuple[int, ...], carries: Tensor, reaches: Tensor) -> Tensor:
    """Positions whose input channel carries a signal and whose output channel reaches the end, as
    ``layer`` reads a weight of that shape: another may read it the other way round."""
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    both = carries.view(groups, 1, -1) & reaches.view(groups, -1, 1)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):  # so far (groups, out, in)
        both = both.transpose(1, 2)
    both = both.flatten(0, 1)
    return both.view(*both.shape, *[1] * (len(shape) - 2)).expand(shape)
