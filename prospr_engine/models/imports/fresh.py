"""New weights for a network that was imported with its own."""

from __future__ import annotations

import math

import torch
from torch import nn

from prospr_engine.models.imports.onnx.network import ImportedNetwork, Stored
from prospr_engine.models.zoo.init import he_init

PRODUCTS = frozenset({"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"})
SCALES = frozenset({"Mul", "Div"})
SHIFTS = frozenset({"Add", "Sub", "Sum"})
TOKENS = frozenset({"Concat", "Expand", "Tile", "Where"})
SLOPES = frozenset({"PRelu"})
"""Operators, by what a tensor that belongs to no layer is to them."""
EMBEDDING = 0.02
"""The deviation of new embeddings of positions and tokens, as in vision transformers (Touvron et
al. 2021, https://arxiv.org/abs/2012.12877). Tokens begin at zero in torchvision, close to it in
some of timm's; several of them would then stay alike."""
SLOPE = 0.25
"""Of PReLU (He et al. 2015)."""


def redraw(network: ImportedNetwork) -> None:
    """Draw the weights of ``network`` anew, in place, from the global random state.

    Convolutions and linear layers are drawn as in the built-in zoo (``he_init``), normalisations
    begin as PyTorch's do. What a tensor in no layer gets follows from its use: matrices are drawn
    like linear layers; scales are one (also those of residual branches, which begin near zero in
    some networks: no criterion could rank what is behind them) and biases zero; embeddings of
    positions and tokens, such as that of the class, are drawn from N(0, 0.02²). Others are drawn
    from a normal distribution with their own mean and deviation; single numbers stay.
    """
    he_init(network)
    uses = _uses(network)
    for path, module in network.named_modules():
        weight = isinstance(module, nn.modules.conv._ConvNd | nn.Linear)
        reset = getattr(module, "reset_parameters", None)
        if reset is not None and not weight:
            reset()
        elif not weight:
            for name, tensor in module.named_parameters(recurse=False):
                own = f"{path}.{name}" if path else name
                _draw(tensor, *uses.get(own, (frozenset(), 0)))


def _uses(network: ImportedNetwork) -> dict[str, tuple[frozenset[str], int]]:
    """By name of a tensor: the operators that read it, and its place among the inputs of the
    last."""
    found: dict[str, tuple[frozenset[str], int]] = {}
    for step in network.steps:
        for place, argument in enumerate(step.arguments):
            if isinstance(argument, Stored):
                before, _ = found.get(argument.path, (frozenset(), 0))
                found[argument.path] = before | {step.node.operator}, place
    return found


@torch.no_grad()
def _draw(tensor: nn.Parameter, operators: frozenset[str], place: int) -> None:
    if tensor.numel() <= 1:
        return
    axes = sum(size > 1 for size in tensor.shape)
    if operators & PRODUCTS:
        tensor.normal_(0.0, math.sqrt(2.0 / _fan_in(tensor, operators, place)))
    elif operators & SLOPES:
        tensor.fill_(SLOPE)
    elif operators & SCALES:
        tensor.fill_(1.0)
    elif operators & SHIFTS and axes < 2:
        tensor.zero_()
    elif operators & (SHIFTS | TOKENS):
        tensor.normal_(0.0, EMBEDDING)
    else:
        tensor.copy_(torch.randn_like(tensor) * tensor.std() + tensor.mean())


def _fan_in(tensor: nn.Parameter, operators: frozenset[str], place: int) -> int:
    """How many inputs each result of the product is a sum of."""
    if "Conv" in operators:
        return math.prod(tensor.shape[1:])
    return tensor.shape[-1] if place == 0 or tensor.ndim < 2 else tensor.shape[-2]
