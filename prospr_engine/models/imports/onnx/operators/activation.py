"""Activations. Those that PyTorch has as modules are modules, so that others find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.homes import Reshaped
from prospr_engine.models.imports.onnx.registry import Layer, Use, layer, operator
from prospr_engine.models.imports.onnx.shape_values import shape_value, single

MODULES: dict[str, Callable[[Node], nn.Module]] = {
    "Elu": lambda node: nn.ELU(node.get("alpha", 1.0)),
    "Gelu": lambda node: nn.GELU(node.get("approximate", "none")),
    "HardSwish": lambda node: nn.Hardswish(),
    "LeakyRelu": lambda node: nn.LeakyReLU(node.get("alpha", 0.01)),
    "Mish": lambda node: nn.Mish(),
    "Relu": lambda node: nn.ReLU(),
    "Softplus": lambda node: nn.Softplus(),
    "Softsign": lambda node: nn.Softsign(),
}


def _module(use: Use) -> Layer | None:
    shape = use.shapes[0]
    return None if shape is None else Layer(MODULES[use.node.operator](use.node))


layer(*MODULES)(_module)


@layer("PRelu")
def prelu(use: Use) -> Layer | None:
    slope, shape = use.weight(1), use.shapes[0]
    if slope is None or shape is None:
        return None
    size = slope.values.size
    # One slope in all, or one for each channel.
    aligned = (1,) * (len(shape) - len(slope.shape)) + slope.shape
    per_channel = (1, size) + (1,) * (len(shape) - 2)
    if size != 1 and (aligned != per_channel or len(slope.shape) > len(shape)):
        return None
    changes = [] if slope.shape == (size,) else [Reshaped(slope.shape, (size,))]
    return Layer(nn.PReLU(size), {"weight": (1, changes)})


@operator("PRelu")
def prelu_by_element(node: Node, x: Tensor, slope: Any) -> Tensor:
    return torch.clamp(x, min=0) + slope * torch.clamp(x, max=0)


@operator("Selu")
def selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.6732632), node.get("gamma", 1.050701)
    return gamma * F.elu(x, alpha)


@operator("Celu")
def celu(node: Node, x: Tensor) -> Tensor:
    return F.celu(x, node.get("alpha", 1.0))


@operator("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x))


@operator("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    limit, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    inner = torch.where(x < -limit, x + bias, torch.zeros_like(x))
    return torch.where(x > limit, x - bias, inner)


@operator("HardSigmoid")
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    # PyTorch's own has a fixed slope, and no second derivative.
    return torch.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0, 1)


@operator("Swish")
def swish(node: Node, x: Tensor) -> Tensor:
    return x * torch.sigmoid(node.get("alpha", 1.0) * x)


@operator("Clip")
def clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low = node.get("min") if low is None else single(low)
    high = node.get("max") if high is None else single(high)
    if isinstance(x, Tensor):
        return x if low is None and high is None else torch.clamp(x, low, high)
    x = shape_value(x)
    made = [each if low is None else torch.sym_max(each, low) for each in x.reshape(-1)]
    made = [each if high is None else torch.sym_min(each, high) for each in made]
    return shape_value(made).reshape(x.shape)


@operator("Softmax", "LogSoftmax", "Hardmax", since=13)
def softmax(node: Node, x: Tensor) -> Tensor:
    return _softmax(node, x, node.get("axis", -1))


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax_of_rows(node: Node, x: Tensor) -> Tensor:
    """Over all axes from ``axis`` on together, as before version 13."""
    axis = node.get("axis", 1) % max(x.dim(), 1)
    if axis == x.dim() - 1:
        return _softmax(node, x, axis)
    return _softmax(node, x.flatten(axis), axis).reshape(x.shape)


def _softmax(node: Node, x: Tensor, axis: int) -> Tensor:
    if node.operator == "Hardmax":
        raise ModelError(f"{node} has no gradient; export the network without it.")
    return F.softmax(x, axis) if node.operator == "Softmax" else F.log_softmax(x, axis)
