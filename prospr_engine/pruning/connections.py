"""Which weights are connected to the input and to the output, found by running the network.

No graph is parsed. A scratch copy answers two inputs: kept weights are drawn at random,
normalisation is taken out and biases are zero. A channel carries a signal if it differs between the
two inputs, and reaches the output if the gradient of a random sum of outputs is not zero there.

What cuts a signal off by its value (rectifiers, clamps, signs, maxima, ``where``) is replaced by
functions that always let part of it through, so that only connections count. Gates written in other
ways, such as comparisons or the k largest values, cannot be replaced; ``connections`` notices them,
because what they close depends on the draw.
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
from prospr_engine.network.foreign import (
    cannot_take,
    check_logits,
    explained,
    logits_of,
    own_copy,
    set_mode,
)
from prospr_engine.network.prunable import PrunableWeight
from prospr_engine.pruning.gates import OpenGates

Flags = dict[str, Tensor]
"""Booleans by the name of a weight, in its shape."""

NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
POSITIVE, SIGNED = (0, 1), (2, 3, 4)
"""Draws with positive weights, whose signals rarely cancel, and with weights of both signs."""


@dataclass(frozen=True)
class Connections:
    """``works``: the kept weights that are not cut off by pruning, None if it cannot be told;
    ``outputs``: the number of outputs, of which pruning cut off ``dead``. ``apart``: weights that
    are connected to nothing even with nothing removed. ``doubt``: why it cannot be told."""

    works: Flags | None
    outputs: int
    dead: int
    apart: Flags
    doubt: str = ""


@dataclass(frozen=True)
class _Trial:
    works: Flags
    answers: Tensor


@dataclass
class _Use:
    """One call of a layer: input channels that carry a signal, outputs that reach the end."""

    layer: nn.Module
    carries: Tensor
    reaches: Tensor | None = None


def connections(
    model: nn.Module, masks: Flags, weights: Mapping[str, PrunableWeight], sample: Tensor
) -> Connections:
    """What ``masks`` do to the connections of ``model``. Raises ``ModelError`` if the model does
    not run on inputs of the shape of ``sample``, (N, …)."""
    full = {name: torch.ones_like(mask) for name, mask in masks.items()}
    try:
        pruned = _trial(model, masks, weights, sample, 0)
        if pruned.answers.all() and _same(pruned.works, masks):
            return Connections(pruned.works, len(pruned.answers), 0, {})
        dense = _trial(model, full, weights, sample, 0)
        if dense.answers.all() and _same(dense.works, full):
            dead = int((~pruned.answers).sum())
            return Connections(pruned.works, len(pruned.answers), dead, {})
        # Something is off with nothing removed. Is it so by design, or by the values drawn?
        always, ever, steady = dense.answers, pruned.answers, True
        for draw in [*POSITIVE[1:], *SIGNED]:
            if steady:
                trial = _trial(model, full, weights, sample, draw)
                always, steady = always & trial.answers, _same(trial.works, dense.works)
            if not ever.all():
                ever = ever | _trial(model, masks, weights, sample, draw).answers
    except ModelError as error:
        # If the network runs as it is, only the trial with other weights failed.
        answer = logits_of(_evaluating(model), _like(model, sample))
        return Connections(None, answer.shape[-1], 0, {}, f"the trial failed: {error}")
    dead = int((always & ~ever).sum())
    if not dense.answers.any():
        doubt = "even with nothing removed, no signal gets through it in a trial"
        return Connections(None, len(ever), 0, {}, doubt)
    if not steady:
        doubt = "which of its connections are open depends on the values of its inputs"
        return Connections(None, len(ever), dead, {}, doubt)
    apart = {name: ~works for name, works in dense.works.items()}
    works = {name: pruned.works[name] | (mask & apart[name]) for name, mask in masks.items()}
    return Connections(works, len(ever), dead, apart)


def _same(a: Flags, b: Flags) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


def _trial(
    model: nn.Module,
    masks: Flags,
    weights: Mapping[str, PrunableWeight],
    sample: Tensor,
    draw: int,
) -> _Trial:
    """Per weight, the kept ones that are connected to both ends; and which outputs answer."""
    try:
        return _run(model, masks, weights, sample, draw, torch.float64)
    except ModelError:
        own = next(p.dtype for p in model.parameters() if p.is_floating_point())
        if own == torch.float64:
            raise
        return _run(model, masks, weights, sample, draw, own)  # it insists on its format


def _run(
    model: nn.Module,
    masks: Flags,
    weights: Mapping[str, PrunableWeight],
    sample: Tensor,
    draw: int,
    dtype: torch.dtype,
) -> _Trial:
    generator = torch.Generator().manual_seed(draw)
    scratch = _scratch(model, masks, generator, dtype, signed=draw in SIGNED)
    inputs = torch.rand(2, *sample.shape[1:], generator=generator, dtype=torch.float64) + 0.5
    if draw in SIGNED:
        inputs = inputs * _signs(inputs, generator)
    inputs = inputs.to(dtype)
    parameters = dict(scratch.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    uses: dict[str, list[_Use]] = defaultdict(list)
    for module in scratch.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            hook = _listener(uses[names[id(module.weight)]])
            module.register_forward_hook(hook, with_kwargs=True)
    open_gates = OpenGates()
    with (
        torch.enable_grad(),
        sdpa_kernel(SDPBackend.MATH),
        torch.random.fork_rng(devices=[]),
        explained(scratch, cannot_take(inputs)),
    ):
        with open_gates:
            output = scratch(inputs.clone())
        if not isinstance(output, Tensor):
            check_logits(output, inputs)
        answers = _differs(output, -1)
        factors = torch.rand(output.shape, generator=generator, dtype=torch.float64) + 0.5
        if output.requires_grad:
            (output * factors.to(dtype)).sum().backward()
    works = {name: _works(weight, uses[name], parameters[name]) for name, weight in weights.items()}
    return _Trial({name: flags & masks[name] for name, flags in works.items()}, answers)


def _listener(uses: list[_Use]) -> Callable[..., Tensor]:
    def after(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        # Convolutions count channels from the front, linear layers from the back.
        dim = -1 if isinstance(module, nn.Linear) else 1
        given = args[0] if args else next(iter(kwargs.values()))
        output = _Rescaled.apply(output)
        use = _Use(module, _differs(given, dim))
        uses.append(use)
        if output.requires_grad:
            output.register_hook(lambda g: setattr(use, "reaches", _any_but(g != 0, dim)))
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
    """Kept weights at random, normalisation taken out, biases zero, no dropout."""
    scratch = _evaluating(model)
    if dtype == torch.float64:
        scratch.double()  # leaves complex parameters alone, which ``to`` would make real
    for module in scratch.modules():
        if isinstance(module, NORMALISATIONS):
            # Not replaced: some layers read attributes of the normalisations they hold.
            module.forward = _unchanged  # type: ignore[method-assign]
    with torch.no_grad():
        for name, parameter in scratch.named_parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_()
            if name in masks:
                values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) + 0.5
                if signed:
                    values *= _signs(values, generator)
                # Divided by the fan-in, so that no softmax saturates to an exact zero gradient.
                parameter.copy_(values * masks[name] / max(1, parameter[:1].numel()))
            elif parameter.is_floating_point():
                parameter.abs_()
        for module in scratch.modules():
            bias = module._parameters.get("bias")
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and bias is not None:
                bias.zero_()
    return scratch


def _evaluating(model: nn.Module) -> nn.Module:
    copy = own_copy(model).cpu()
    set_mode(copy, False)
    return copy


def _like(model: nn.Module, sample: Tensor) -> Tensor:
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.full((2, *sample.shape[1:]), 0.5, dtype=dtype)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, like.shape, generator=generator) * 2 - 1


def _unchanged(x: Tensor) -> Tensor:
    return x


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
