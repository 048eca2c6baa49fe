"""The weights and multiply-adds of a network, layer by layer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prospr_engine.models.meta import meta_copy
from prospr_engine.network.foreign import cannot_take, explained, set_mode
from prospr_engine.network.prunable import prunable_weights

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
TRANSPOSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
OUT_PROJ_WEIGHT = 11  # its position in the arguments of F.multi_head_attention_forward


@dataclass(frozen=True)
class LayerInfo:
    """One convolution or linear layer.

    ``name`` is that of its weight (``"conv1.weight"``), ``kind`` the layer's class, ``shape`` the
    weight's shape, ``parameters`` the number of weights, ``macs`` the multiply-adds with them
    for one image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Totals:
    """Sums over layers: their number, weights, and multiply-adds for one image."""

    layers: int
    parameters: int
    macs: int


def summarise(model: nn.Module, shape: tuple[int, int, int]) -> list[LayerInfo]:
    """Every prunable layer of ``model``, in the order of its modules, for images of ``shape``.

    The model is not touched and nothing is computed (the meta device only tracks shapes).
    Raises ``ModelError`` if there is nothing to prune; the images must fit (see ``check``).
    """
    weights = prunable_weights(model)
    shadow = meta_copy(model)
    set_mode(shadow, False)
    names = {id(parameter): name for name, parameter in shadow.named_parameters()}
    dtype = next(shadow.parameters()).dtype
    x = torch.empty(1, *shape, dtype=dtype, device="meta")
    with torch.no_grad(), explained(shadow, cannot_take(x)), _MultiplyAdds(names) as counter:
        shadow(x)
    return [
        LayerInfo(name, weight.kind, weight.shape, math.prod(weight.shape), counter.macs[name])
        for name, weight in weights.items()
    ]


def totals(layers: Iterable[LayerInfo]) -> Totals:
    """The sums over ``layers``."""
    layers = list(layers)
    return Totals(
        len(layers), sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)
    )


class _MultiplyAdds(TorchFunctionMode):
    """Counts multiply-adds per weight.

    Module hooks would miss layers whose weight is used without calling the layer, as in
    Swin transformers and ``nn.MultiheadAttention``; function calls show them all.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names = names
        self.macs: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name == "linear" or name in CONVOLUTIONS:
            self._add(args, kwargs, out.numel())
        elif name in TRANSPOSED:
            self._add(args, kwargs, args[0].numel())
        elif name == "multi_head_attention_forward":
            weight = args[OUT_PROJ_WEIGHT]
            self._count(weight, args[0].numel() * weight.shape[0])
        return out

    def _add(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, times: int) -> None:
        weight = args[1] if len(args) > 1 else (kwargs or {})["weight"]
        self._count(weight, times * math.prod(weight.shape[1:]))

    def _count(self, weight: Tensor, macs: int) -> None:
        if id(weight) in self.names:
            self.macs[self.names[id(weight)]] += macs
