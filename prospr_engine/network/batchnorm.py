"""Batch normalisation whose second derivative takes a few passes over the data.

torch differentiates the backward of batch norm as a composition of some twenty element-wise
operations, a large part of a Hessian-vector product on a CPU. Both derivatives have closed
forms in which every pass over the data is either torch's own fused kernel or one addition of
tensors scaled per channel.

Notation, per channel, over the m values that share it: x̂ = (x − mean)·r with r = 1/std,
y = γ x̂ + β. For a cotangent v on y, torch's kernel computes

    gx = γ r (v − ⟨v⟩ − x̂ ⟨v x̂⟩),   gγ = Σ v x̂,   gβ = Σ v        (⟨·⟩ is the mean)

The map v → gx is symmetric, so its own cotangent u goes back through the same kernel.

On a CPU, torch's kernels add up in the order of the memory when the channels lie last, and lose
three to four digits in sums over a hundred thousand values: SNIP scores of a ResNet-20 in float32
were off by 1 %. ``Tensor.sum`` does not, and takes next to no time. So sums come from there, and
what must have the mean zero is brought to it.
"""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from prospr_engine.network.convolution import Needed, transforming

_normalise = torch.ops.aten.native_batch_norm
_backward = torch.ops.aten.native_batch_norm_backward


def use_fast_batch_norm(model: nn.Module, needed: Needed) -> None:
    """Let the batch norms of ``model`` use these derivatives in train mode, where the second is
    ``needed``, in place.

    Meant for a scratch copy: running statistics are no longer updated.
    """
    for module in model.modules():
        if type(module) in {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d}:
            module.forward = MethodType(partial(_forward, needed), module)


def _forward(needed: Needed, self: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    self._check_input_dim(x)
    # torch itself says what is wrong with another number of channels.
    plain = not needed.second or transforming()
    if plain or not self.training or x.shape[1] != self.num_features:
        return type(self).forward(self, x)
    if x.numel() == x.shape[1]:
        # torch's own sentence for a batch of one value per channel.
        raise ValueError(f"Expected more than 1 value per channel when training, got {x.shape}")
    affine = self.weight is not None
    weight = self.weight if affine else x.new_ones(x.shape[1])
    bias = self.bias if affine else x.new_zeros(x.shape[1])
    return _BatchNorm.apply(x, weight, bias, self.eps)


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Any:
        y, mean, inverse_std = _standardised(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean, inverse_std)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        x, weight, mean, inverse_std = ctx.saved_tensors
        return *_BatchNormBackward.apply(v, x, weight, mean, inverse_std, ctx.eps), None


class _BatchNormBackward(Function):
    @staticmethod
    def forward(
        ctx: Any, v: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, r: Tensor, eps: float
    ) -> Any:
        gx, g_weight, g_bias = _pull_back(v, x, gamma, mean, r, eps)
        ctx.save_for_backward(v, x, gamma, mean, r, g_weight, g_bias)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return gx, g_weight, g_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Any, u_weight: Any, u_bias: Any) -> Any:
        """Cotangents of v, x and γ, for cotangents u on gx, u_weight on gγ and u_bias on gβ."""
        v, x, gamma, mean, r, g_weight, g_bias = ctx.saved_tensors
        m = x.numel() // x.shape[1]
        u = torch.zeros_like(x) if u is None else u
        u_weight = torch.zeros_like(gamma) if u_weight is None else u_weight
        u_bias = torch.zeros_like(gamma) if u_bias is None else u_bias

        # ⟨v x̂⟩, ⟨v⟩ are known from the forward pass; ⟨u x̂⟩, ⟨u⟩ come with the kernel.
        bu, u_xhat_sum, u_sum = _pull_back(u, x, gamma, mean, r, ctx.eps)
        v_xhat, v_mean = g_weight / m, g_bias / m
        u_xhat, u_mean = u_xhat_sum / m, u_sum / m
        # ⟨u, gx⟩ = γ r m · covariance
        covariance = _channel_dot(u, u_mean, v, ctx.eps) / m - u_xhat * v_xhat

        # v enters gx, gγ = Σ v x̂ and gβ = Σ v:  grad_v = B(u) + u_weight x̂ + u_bias.
        grad_v = torch.addcmul(
            _per_channel(u_bias - u_weight * r * mean, x), x, _per_channel(u_weight * r, x)
        ).add_(bu)

        # x enters through x̂ (cotangent t = a v + b u per channel, pulled back through the
        # normalisation) and through r (the last term of c).
        a = u_weight - gamma * r * u_xhat
        b = -gamma * r * v_xhat
        t_mean = a * v_mean + b * u_mean
        t_xhat = a * v_xhat + b * u_xhat
        c = -r * t_xhat - gamma * r * r * covariance  # coefficient of x̂
        grad_x = torch.addcmul(
            _per_channel(-r * t_mean - c * r * mean, x), x, _per_channel(c * r, x)
        )
        grad_x.addcmul_(v, _per_channel(r * a, x)).addcmul_(u, _per_channel(r * b, x))

        return grad_v, grad_x, r * m * covariance, None, None, None


def _standardised(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """y, mean and 1/std."""
    if _adds_up_well(x):
        return _normalise(x, weight, bias, None, None, True, 0.0, eps)
    mean = _mean(x)
    variance = _mean((x - _per_channel(mean, x)).square_())
    y = _normalise(x, weight, bias, mean, variance, False, 0.0, eps)[0]
    return y, mean, (variance + eps).rsqrt()


def _pull_back(
    v: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, r: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """gx, gγ and gβ for a cotangent v on y."""
    gx, g_weight, g_bias = _backward(
        v, x, gamma, None, None, mean, r, True, eps, [True, True, True]
    )
    if not _adds_up_well(x):
        g_bias = v.sum(_over(v))
        gx.sub_(_per_channel(_mean(gx), x))
    return gx, g_weight, g_bias


def _adds_up_well(x: Tensor) -> bool:
    """Do torch's kernels? In float64 there are digits to lose, and published figures rest on them:
    where a channel is empty, FORCE's masks are made of these very rounding errors."""
    return x.device.type != "cpu" or x.is_contiguous() or x.dtype == torch.float64


def _over(x: Tensor) -> list[int]:
    """All dimensions but the channels."""
    return [d for d in range(x.dim()) if d != 1]


def _mean(x: Tensor) -> Tensor:
    return x.mean(_over(x))


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))


def _channel_dot(u: Tensor, u_mean: Tensor, v: Tensor, eps: float) -> Tensor:
    """Σ (u − ⟨u⟩)·v over all but the channels: what the kernel calls gγ, with u for x and no
    scale. No temporary of the data's size, and in whatever layout the data have."""
    one = u.new_ones(u.shape[1])
    only_weight = [False, True, False]
    return _backward(v, u, one, None, None, u_mean, one, True, eps, only_weight)[1]
