"""Arithmetic and comparisons, element by element, of tensors and of shape values."""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import operand, shape_value, tensor

Binary = Callable[[Any, Any], Any]


def _quotient(x: Any, y: Any) -> Any:
    """Whole numbers are divided as C does it, towards zero; sizes are never negative."""
    whole = not any(_is_real(value) for value in (x, y))
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        return torch.div(x, y, rounding_mode="trunc") if whole else x / y
    return x // y if whole else x / y


def _is_real(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.is_floating_point()
    return isinstance(value, float | torch.SymFloat)


def _larger(x: Any, y: Any) -> Any:
    return _extreme(x, y, torch.maximum, torch.sym_max)


def _smaller(x: Any, y: Any) -> Any:
    return _extreme(x, y, torch.minimum, torch.sym_min)


def _extreme(x: Any, y: Any, of_tensors: Binary, of_numbers: Binary) -> Any:
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        return of_numbers(x, y)
    like = x if isinstance(x, Tensor) else y
    return of_tensors(*(tensor(value, like).to(like.dtype) for value in (x, y)))


def _remainder(x: Any, y: Any) -> Any:
    either = isinstance(x, Tensor) or isinstance(y, Tensor)
    return torch.remainder(x, y) if either else x % y


def _truncated_remainder(x: Any, y: Any) -> Any:
    either = isinstance(x, Tensor) or isinstance(y, Tensor)
    return torch.fmod(x, y) if either else math.fmod(x, y)


BINARY: dict[str, Binary] = {
    "Add": python.add,
    "Sub": python.sub,
    "Mul": python.mul,
    "Div": _quotient,
    "Pow": python.pow,
    "Equal": python.eq,
    "Greater": python.gt,
    "GreaterOrEqual": python.ge,
    "Less": python.lt,
    "LessOrEqual": python.le,
    "And": python.and_,
    "Or": python.or_,
    "Xor": python.xor,
}


def combined(compute: Binary, x: Any, y: Any) -> Any:
    """``compute`` of two inputs, each a tensor, a shape value or a number."""
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        like = x if isinstance(x, Tensor) else y
        return compute(operand(x, like), operand(y, like))
    x, y = shape_value(x), shape_value(y)
    found = np.broadcast(x, y)
    made = np.empty(found.shape, object)
    made.reshape(-1)[:] = [compute(a, b) for a, b in found]
    return made


@operator(*BINARY)
def binary(node: Node, x: Any, y: Any) -> Any:
    return combined(BINARY[node.operator], x, y)


@operator("Mod")
def remainder(node: Node, x: Any, y: Any) -> Any:
    return combined(_truncated_remainder if node.get("fmod", 0) else _remainder, x, y)


@operator("Max", "Min", "Sum", "Mean")
def of_several(node: Node, *inputs: Any) -> Any:
    compute = {"Max": _larger, "Min": _smaller}.get(node.operator, python.add)
    made = reduce(lambda x, y: combined(compute, x, y), inputs)
    return made / len(inputs) if node.operator == "Mean" else made


UNARY: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any] | None]] = {
    "Abs": (torch.abs, abs),
    "Acos": (torch.acos, None),
    "Asin": (torch.asin, None),
    "Atan": (torch.atan, None),
    "Ceil": (torch.ceil, math.ceil),
    "Cos": (torch.cos, None),
    "Cosh": (torch.cosh, None),
    "Erf": (torch.erf, None),
    "Exp": (torch.exp, math.exp),
    "Floor": (torch.floor, math.floor),
    "IsInf": (torch.isinf, None),
    "IsNaN": (torch.isnan, None),
    "Log": (torch.log, math.log),
    "Neg": (torch.neg, python.neg),
    "Not": (torch.logical_not, python.not_),
    "Reciprocal": (torch.reciprocal, lambda x: 1 / x),
    "Round": (torch.round, round),
    "Sigmoid": (torch.sigmoid, None),
    "Sign": (torch.sign, None),
    "Sin": (torch.sin, None),
    "Sinh": (torch.sinh, None),
    "Sqrt": (torch.sqrt, lambda x: x**0.5),
    "Tan": (torch.tan, None),
    "Tanh": (torch.tanh, None),
}
"""What to do with a tensor, and with a number of a shape value."""


@operator(*UNARY)
def unary(node: Node, x: Any) -> Any:
    of_tensor, of_number = UNARY[node.operator]
    if isinstance(x, Tensor):
        return of_tensor(x)
    if of_number is None:
        return of_tensor(tensor(x))
    value = shape_value(x)
    made = np.empty(value.shape, object)
    made.reshape(-1)[:] = [of_number(each) for each in value.reshape(-1)]
    return made


@operator("Where")
def where(node: Node, condition: Any, x: Any, y: Any) -> Any:
    inputs = (condition, x, y)
    like = next((v for v in (x, y, condition) if isinstance(v, Tensor)), None)
    if like is not None:
        condition = tensor(condition, like).bool()
        return torch.where(condition, *(operand(value, like) for value in (x, y)))
    found = np.broadcast(*(shape_value(value) for value in inputs))
    made = np.empty(found.shape, object)
    made.reshape(-1)[:] = [a if chosen else b for chosen, a, b in found]
    return made


@operator("CumSum", adapts=True)
def cumulated(node: Node, x: Any, axis: Any, *, like: Tensor) -> Tensor:
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise ModelError(f"{node} adds up in reverse or exclusively, which is not supported.")
    return torch.cumsum(tensor(x, like), int(np.asarray(axis).reshape(-1)[0]))
