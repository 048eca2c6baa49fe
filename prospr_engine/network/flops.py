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

from prospr_engine.errors import ModelError
from prospr_engine.network.foreign import cannot_take, explained, own_copy, set_mode
from prospr_engine.network.meta import meta_copy
from prospr_engine.network.prunable import prunable_weights

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
TRANSPOSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
PRODUCTS = {"matmul", "__matmul__", "bmm", "mm"}
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


@dataclass(frozen=True)
class Costs:
    """The multiply-adds for one image: those of every prunable layer, and ``other``, those without
    a prunable weight (packed projections of attention, products of activations)."""

    layers: list[LayerInfo]
    other: int


def summarise(model: nn.Module, shape: tuple[int, ...]) -> list[LayerInfo]:
    """Every prunable layer of ``model``, in the order of its modules, for images of ``shape``.

    The model is not touched, and nothing is computed (the meta device only tracks shapes) unless
    its forward needs values.
    Raises ``ModelError`` if there is nothing to prune; the images must fit (see ``check``).
    """
    return costs(model, shape).layers


def costs(model: nn.Module, shape: tuple[int, ...]) -> Costs:
    """The same, and what else there is to compute."""
    weights = prunable_weights(model)
    try:
        counter = _counted(meta_copy(model), shape, "meta")
    except ModelError:
        if next(model.parameters()).is_meta:
            raise
        # Its forward looks at values, or makes tensors on a device of its own.
        counter = _counted(own_copy(model).cpu(), shape, "cpu")
    layers = [
        LayerInfo(name, weight.kind, weight.shape, math.prod(weight.shape), counter.macs[name])
        for name, weight in weights.items()
    ]
    return Costs(layers, counter.macs.total() - sum(layer.macs for layer in layers))


def operations(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """The multiply-adds of ``model`` for one image of ``shape``, those with zeros included."""
    found = costs(model, shape)
    return sum(layer.macs for layer in found.layers) + found.other


def _counted(network: nn.Module, shape: tuple[int, ...], device: str) -> _MultiplyAdds:
    """Run ``network`` on an input of ``shape`` on ``device``, where its weights are."""
    set_mode(network, False)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    x = torch.zeros(1, *shape, dtype=next(network.parameters()).dtype, device=device)
    with torch.no_grad(), explained(network, cannot_take(x), x), _MultiplyAdds(names) as counter:
        network(x)
    return counter


def totals(layers: Iterable[LayerInfo]) -> Totals:
    """The sums over ``layers``."""
    layers = list(layers)
    return Totals(
        len(layers), sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)
    )


class _MultiplyAdds(TorchFunctionMode):
    """Counts multiply-adds per weight; those without a parameter under "".

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
            self._attention(args[0], args[1], args[2], heads_first=False)
            for source in args[:3]:  # from (length, batch, channels)
                self.macs[""] += source.numel() * args[0].shape[-1]
        elif name == "scaled_dot_product_attention":
            self._attention(args[0], args[1], args[2], heads_first=True)
        elif name in PRODUCTS:
            self.macs[""] += out.numel() * args[0].shape[-1]
        return out

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, heads_first: bool) -> None:
        """Queries with keys, and the weights with values: over every pair of positions."""
        length = key.shape[-2 if heads_first else 0]
        others = math.prod(query.shape[:-1])
        self.macs[""] += others * length * (query.shape[-1] + value.shape[-1])

    def _add(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, times: int) -> None:
        weight = args[1] if len(args) > 1 else (kwargs or {})["weight"]
        self._count(weight, times * math.prod(weight.shape[1:]))

    def _count(self, weight: Tensor, macs: int) -> None:
        self.macs[self.names.get(id(weight), "")] += macs
