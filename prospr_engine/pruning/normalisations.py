"""What takes the place of normalisation in a trial of which weights are connected.

Normalising would hide small signals behind large ones. What has to stay is which channels depend on
which: a layer norm makes each of its features depend on all others, even one without any input.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH_OR_INSTANCE = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
SMALL = 1e-4
"""Of constants, and of what channels pass on to each other: signals still dominate."""

Forward = Callable[[Tensor], Tensor]


def linear_forward(module: nn.Module) -> Forward | None:
    """The forward that replaces that of ``module``; None if it is no normalisation.

    Channels keep their values; they get a constant where there is a bias, since training may move
    it from zero, and a little of the mean of those they are normalised with.
    """
    if isinstance(module, BATCH_OR_INSTANCE):
        shift = 0.0 if module.bias is None else SMALL
        return lambda x: x + shift
    if isinstance(module, nn.GroupNorm):
        return _group_norm(module)
    if isinstance(module, nn.LayerNorm):
        axes, shift = _last(module.normalized_shape), 0.0 if module.bias is None else SMALL
        return lambda x: x + SMALL * x.mean(axes, keepdim=True) + shift
    if isinstance(module, nn.RMSNorm):  # multiplies, so that zeros stay zeros
        axes = _last(module.normalized_shape)
        return lambda x: x + SMALL * x * x.mean(axes, keepdim=True)
    if isinstance(module, nn.LocalResponseNorm):
        return lambda x: x * 1
    return None


def _last(shape: tuple[int, ...] | torch.Size) -> tuple[int, ...]:
    return tuple(range(-len(shape), 0))


def _group_norm(module: nn.GroupNorm) -> Forward:
    groups, shift = module.num_groups, 0.0 if module.bias is None else SMALL

    def forward(x: Tensor) -> Tensor:
        means = x.reshape(len(x), groups, -1).mean(2).repeat_interleave(x.shape[1] // groups, 1)
        return x + SMALL * means.view(*x.shape[:2], *[1] * (x.dim() - 2)) + shift

    return forward
