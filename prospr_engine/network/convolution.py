"""Convolution whose second derivative is made of the kernels that training uses.

A convolution y = x ∗ w is linear in x and in w, and so are its derivatives: for a cotangent v
on y, gx is linear in (v, w) and gw in (v, x). Differentiating them once more therefore needs
nothing but the convolution itself and its two backward kernels, with cotangents in the place of
images or weights. torch's own second derivative goes through transposed copies and general
kernels instead, which cost more and fall out of the channels-last layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_backward = torch.ops.aten.convolution_backward

Geometry = tuple[list[int], list[int], list[int], int]
"""Stride, padding, dilation, groups."""


@dataclass
class Needed:
    """Which derivatives of a network are wanted at present."""

    second: bool = True

    @contextmanager
    def first_only(self) -> Iterator[None]:
        """Meanwhile layers need not prepare for a second derivative."""
        before, self.second = self.second, False
        try:
            yield
        finally:
            self.second = before


def use_fast_convolution(model: nn.Module, needed: Needed) -> None:
    """Let the convolutions of ``model`` use this second derivative where it is ``needed``, in
    place."""
    for module in model.modules():
        # Other paddings (circular, reflecting, "same") are left to torch.
        if (
            type(module) in {nn.Conv1d, nn.Conv2d, nn.Conv3d}
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
        ):
            forward = partial(_conv_forward, needed)
            module._conv_forward = MethodType(forward, module)  # type: ignore[assignment]


def _conv_forward(
    needed: Needed, self: Any, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    if not needed.second or transforming():
        return type(self)._conv_forward(self, x, weight, bias)
    batched = self.weight.dim() == x.dim()
    geometry = (list(self.stride), list(self.padding), list(self.dilation), self.groups)
    y = _Convolution.apply(x if batched else x[None], weight, geometry)
    if bias is not None:
        y = y + bias.view(-1, *[1] * (y.dim() - 2))
    return y if batched else y[0]


def transforming() -> bool:
    """Whether a network calls its layers from within ``torch.func`` (vmap, grad, jvp), which takes
    no functions with derivatives of their own."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _convolve(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    stride, padding, dilation, groups = geometry
    zero = [0] * len(stride)
    return torch.convolution(x, weight, None, stride, padding, dilation, False, zero, groups)


def _gradients(
    v: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    stride, padding, dilation, groups = geometry
    zero = [0] * len(stride)
    gx, gw, _ = _backward(
        v, x, weight, None, stride, padding, dilation, False, zero, groups, [*wanted, False]
    )
    return gx, gw


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return _convolve(x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        return *_ConvolutionBackward.apply(v, x, weight, ctx.geometry, wanted), None


class _ConvolutionBackward(Function):
    @staticmethod
    def forward(
        ctx: Any, v: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Any
    ) -> Any:
        ctx.save_for_backward(v, x, weight)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        return _gradients(v, x, weight, geometry, wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor | None, u_weight: Tensor | None) -> Any:
        """Cotangents of v, x and w, for cotangents u on gx and u_weight on gw."""
        v, x, weight = ctx.saved_tensors
        grad_v = grad_x = grad_weight = None
        if u is not None:
            grad_v = _convolve(u, weight, ctx.geometry)
            if ctx.needs_input_grad[2]:
                grad_weight = _gradients(v, u, weight, ctx.geometry, (False, True))[1]
        if u_weight is not None:
            term = _convolve(x, u_weight, ctx.geometry)
            grad_v = term if grad_v is None else grad_v.add_(term)
            if ctx.needs_input_grad[1]:
                grad_x = _gradients(v, x, u_weight, ctx.geometry, (True, False))[0]
        return grad_v, grad_x, grad_weight, None, None
