"""Linear layers, and products of matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prospr_engine.models.imports.onnx.graph import Constant, Node
from prospr_engine.models.imports.onnx.homes import Change, Reshaped, Scaled, Transposed
from prospr_engine.models.imports.onnx.registry import Layer, Use, layer, operator
from prospr_engine.models.imports.onnx.shape_values import operand

TURNED = Transposed((1, 0))


@layer("MatMul")
def product(use: Use) -> Layer | None:
    """Times a matrix of weights; a bias that is added then is the third input (see ``fuse``)."""
    weight, bias = use.weight(1), use.weight(2)
    shape = use.shapes[0]
    if weight is None or len(weight.shape) != 2 or shape is None or len(shape) < 2:
        return None
    inputs, outputs = weight.shape
    tensors: dict[str, Any] = {"weight": (1, (TURNED,))}
    if bias is not None:
        tensors["bias"] = (2, _flattened(bias))
    return Layer(nn.Linear(inputs, outputs, bias=bias is not None), tensors)


@operator("MatMul")
def matmul(node: Node, x: Any, y: Any, bias: Any = None) -> Tensor:
    made = torch.matmul(x, y)
    return made if bias is None else made + bias


@layer("Gemm")
def general_product(use: Use) -> Layer | None:
    weight, node = use.weight(1), use.node
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if weight is None or len(weight.shape) != 2 or node.get("transA", 0) or alpha == 0:
        return None
    turned = bool(node.get("transB", 0))
    outputs, inputs = weight.shape if turned else weight.shape[::-1]
    changes: list[Change] = [] if turned else [TURNED]
    if alpha != 1:
        changes.append(Scaled(alpha))
    tensors: dict[str, Any] = {"weight": (1, changes)}
    has_bias = use.has(2) and beta != 0
    if has_bias:
        bias = use.weight(2)
        if bias is None or bias.values.size != outputs:
            return None
        tensors["bias"] = (2, [*_flattened(bias), *([Scaled(beta)] if beta != 1 else [])])
    return Layer(nn.Linear(inputs, outputs, bias=has_bias), tensors)


@operator("Gemm")
def gemm(node: Node, x: Tensor, y: Tensor, bias: Any = None) -> Tensor:
    x = x.T if node.get("transA", 0) else x
    y = y.T if node.get("transB", 0) else y
    made = torch.matmul(x, y) * node.get("alpha", 1.0)
    return made if bias is None else made + node.get("beta", 1.0) * operand(bias)


def _flattened(bias: Constant) -> list[Change]:
    return [] if len(bias.shape) == 1 else [Reshaped(bias.shape, (bias.values.size,))]


@operator("Einsum")
def einsum(node: Node, *inputs: Any) -> Tensor:
    return torch.einsum(node.get("equation"), *inputs)
