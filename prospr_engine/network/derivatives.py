"""Differentiating a network twice: which kernels allow it, and what lacks a second derivative."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from prospr_engine.errors import ScoringError
from prospr_engine.network.device import exact_kernels
from prospr_engine.network.point import Point

REENTRANT = "CheckpointFunctionBackward"
"""What autograd calls a checkpoint of the re-entrant kind."""


class MissingDerivative(ScoringError):  # noqa: N818  (nothing else went wrong)
    """An operation of the network has no second derivative."""

    def __init__(self, what: str):
        super().__init__(f"An operation of this network has no second derivative ({what}).")


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Let attention use kernels that can be differentiated twice, and a GPU exact ones: ten bits
    are too few for a ranking."""
    with sdpa_kernel(SDPBackend.MATH), exact_kernels():
        yield


def use_smooth_hard_sigmoid(model: nn.Module) -> None:
    """torch cannot differentiate its hard sigmoid twice, on which MobileNetV3 rests; the same
    function out of others it can."""
    for module in model.modules():
        if type(module) is nn.Hardsigmoid:
            module.forward = _hard_sigmoid  # type: ignore[method-assign, assignment]


def _hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


def refuse_missing_derivatives(gradient: Point) -> None:
    """Find functions marked ``once_differentiable`` in the graph of a gradient.

    torch puts a node there that raises when it is reached; but the node hides what lies behind
    it, so a product with chosen parameters never reaches it and comes out wrong in silence.
    """
    seen = set()
    open_nodes = [g.grad_fn for g in gradient]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::Error":
            raise MissingDerivative("a function marked once_differentiable")
        open_nodes.extend(following for following, _ in node.next_functions)


def differentiate(value: Tensor, point: Point, create_graph: bool = False) -> Point:
    """The gradient of ``value`` at ``point``, zeros where it does not depend on it."""
    if not value.requires_grad:  # no parameter has a say
        return [torch.zeros_like(tensor) for tensor in point]
    found = torch.autograd.grad(value, point, create_graph=create_graph, allow_unused=True)
    if any(slope is None for slope in found) and REENTRANT in _functions(value):
        raise ScoringError(
            "The network uses re-entrant checkpointing, which hides its weights from the gradient; "
            "call torch.utils.checkpoint with use_reentrant=False."
        )
    return [
        # Embeddings may give sparse gradients, on which too few operations are defined.
        torch.zeros_like(tensor) if slope is None else slope.to_dense()
        for slope, tensor in zip(found, point, strict=True)
    ]


def _functions(value: Tensor) -> set[str]:
    """The names of the functions in the graph of ``value``."""
    seen, names, open_nodes = set(), set(), [value.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.add(node.name())
            open_nodes.extend(following for following, _ in node.next_functions)
    return names
