"""Which parameters of a network can be pruned: the weights of convolutions and linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import UninitializedParameter

from prospr_engine.errors import ModelError

RANKED = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


@dataclass(frozen=True)
class PrunableWeight:
    """One weight tensor, and how its axes are to be read.

    ``name`` is the parameter's name (``"layer1.0.conv1.weight"``), ``kind`` the class of the
    layer, ``shape`` as stored, ``out_dim`` the axis of the output channels, ``groups`` the
    number of groups of a convolution (1 for linear layers).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    out_dim: int
    groups: int

    @property
    def out_channels(self) -> int:
        # A transposed convolution stores (in, out / groups, …).
        return self.shape[self.out_dim] * (self.groups if self.out_dim == 1 else 1)

    def channel_sums(self, values: Tensor) -> Tensor:
        """Sum ``values`` (of the weight's shape) over each output channel: (out_channels,)."""
        if self.out_dim == 0:
            return values.flatten(1).sum(1)
        grouped = values.reshape(self.groups, -1, *self.shape[1:])  # (groups, in/groups, out, …)
        return grouped.transpose(1, 2).flatten(2).sum(2).flatten()


def prunable_weights(model: nn.Module) -> dict[str, PrunableWeight]:
    """The prunable weights of ``model`` by parameter name, in the order of its modules.

    A weight that several layers share appears once, under its first name. Packed projections
    of ``nn.MultiheadAttention`` are no layers of their own and stay dense; its output
    projection is a linear layer and counts. Raises ``ModelError`` if there is nothing to prune
    or if a weight is not a plain parameter.
    """
    refuse_computed_weights(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, PrunableWeight] = {}
    for path, module in model.named_modules():
        if not isinstance(module, _ConvNd | nn.Linear):
            continue
        weight = module.weight
        if isinstance(weight, UninitializedParameter):
            raise ModelError(
                f"Layer {path!r} is lazy and has no weights yet; run one batch through the "
                "model before pruning it."
            )
        if weight.dtype not in RANKED:
            raise ModelError(
                f"The weight of layer {path!r} is {weight.dtype}; only real numbers of 16, 32 or "
                "64 bits can be ranked."
            )
        name = names[id(weight)]
        if name not in found:
            found[name] = PrunableWeight(
                name=name,
                kind=type(module).__name__,
                shape=tuple(weight.shape),
                out_dim=1 if isinstance(module, _ConvTransposeNd) else 0,
                groups=module.groups if isinstance(module, _ConvNd) else 1,
            )
    if not found:
        flat = " It is a graph without layers: give the module that it was exported from."
        raise ModelError(
            "This model has nothing to prune: it holds no convolution and no linear layer."
            f"{flat * isinstance(model, torch.fx.GraphModule)}"
        )
    return found


def sizes_of(weights: Mapping[str, PrunableWeight]) -> dict[str, int]:
    """The number of elements of each of ``weights``, by name."""
    return {name: math.prod(weight.shape) for name, weight in weights.items()}


def refuse_computed_weights(model: nn.Module) -> None:
    """Raise ``ModelError`` for a layer whose weight is not a plain parameter."""
    for path, module in model.named_modules():
        if isinstance(module, _ConvNd | nn.Linear) and module._parameters.get("weight") is None:
            raise ModelError(_computed(path, module))


def _computed(path: str, module: nn.Module) -> str:
    """A sentence on a layer without a plain weight: what computes it, and how to undo that."""
    layer = f"model.get_submodule({path!r})" if path else "model"
    if "weight_orig" in module._parameters and "weight_mask" in module._buffers:
        what, remedy = "a mask of torch.nn.utils.prune", "prune.remove"
    elif "weight_g" in module._parameters:
        what, remedy = "torch.nn.utils.weight_norm", "remove_weight_norm"
    elif "weight_orig" in module._parameters:
        what, remedy = "torch.nn.utils.spectral_norm", "remove_spectral_norm"
    elif "parametrizations" in module._modules:
        what, remedy = "a parametrization", "parametrize.remove_parametrizations"
    else:
        return (
            f"The weight of layer {path!r} is not a parameter of the layer; make it one "
            "(torch.nn.Parameter) before pruning."
        )
    named = "" if remedy == "remove_spectral_norm" else ", 'weight'"
    return (
        f"The weight of layer {path!r} is computed by {what}; call torch.nn.utils.{remedy}"
        f"({layer}{named}) before pruning, which keeps its present values."
    )
