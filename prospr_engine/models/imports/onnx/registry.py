"""The table of operators: what can be imported, by name and version.

An operator is a function of a node and its inputs, which runs at every forward pass:

    @operator("Relu")
    def relu(node, x): ...

A layer is a function that makes a module of PyTorch from a node whose weights are constants; it
returns None for a node that it cannot make one of, which then is an operator:

    @layer("Conv")
    def convolution(use): ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from prospr_engine.models.imports.onnx.graph import Constant, Node
from prospr_engine.models.imports.onnx.homes import Change

Run = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """A ``module`` on the meta device. ``tensors`` says, by the module's name for a parameter or
    statistic, which input of the node it is and what is done to it first. ``before`` and ``after``
    run around the module."""

    module: nn.Module
    tensors: Mapping[str, tuple[int, Sequence[Change]]] = field(default_factory=dict)
    before: Run | None = None
    after: Run | None = None


@dataclass(frozen=True, eq=False)
class Use:
    """A node in its place: its constant inputs, and the shapes of the others (None where it is no
    tensor)."""

    node: Node
    constants: Sequence[Constant | None]
    shapes: Sequence[tuple[int, ...] | None]

    def constant(self, index: int) -> Constant | None:
        return self.constants[index] if index < len(self.constants) else None

    def has(self, index: int) -> bool:
        """Whether the node has this input at all."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def weight(self, index: int) -> Constant | None:
        """A constant of real numbers."""
        found = self.constant(index)
        return found if found is not None and found.is_float else None


@dataclass(frozen=True, eq=False)
class Operator:
    """``run`` takes the node and its inputs; if it ``adapts``, also ``like``, the batch of images:
    for results whose number format or device no input says. Constant inputs of real numbers are
    weights, but for those that are ``settings``, by their place."""

    run: Run
    adapts: bool = False
    settings: Sequence[int] = ()


Make = Callable[[Use], Layer | None]
Function = TypeVar("Function", bound=Callable[..., Any])

_OPERATORS: dict[str, dict[int, Operator]] = {}
_LAYERS: dict[str, dict[int, Make]] = {}


def operator(
    *names: str, since: int = 1, adapts: bool = False, settings: Sequence[int] = ()
) -> Callable[[Function], Function]:
    """Registers a function for these operators, from version ``since`` of the operator set on."""

    def register(function: Function) -> Function:
        for name in names:
            _OPERATORS.setdefault(name, {})[since] = Operator(function, adapts, settings)
        return function

    return register


def layer(*names: str, since: int = 1) -> Callable[[Function], Function]:
    """Registers a function that makes layers of these operators."""

    def register(function: Function) -> Function:
        for name in names:
            _LAYERS.setdefault(name, {})[since] = function
        return function

    return register


def find_operator(node: Node) -> Operator | None:
    found: Operator | None = _newest(_OPERATORS, node)
    return found


def find_layer(node: Node) -> Make | None:
    found: Make | None = _newest(_LAYERS, node)
    return found


def _newest(table: Mapping[str, Mapping[int, Any]], node: Node) -> Any:
    versions = table.get(node.operator, {}) if not node.domain else {}
    known = [since for since in versions if since <= node.opset]
    return versions[max(known)] if known else None


def known_operators() -> list[str]:
    return sorted({*_OPERATORS, *_LAYERS})
