"""Normalisations."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import Layer, Use, layer, operator

BATCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
INSTANCE = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}


@layer("BatchNormalization")
def batch_norm(use: Use) -> Layer | None:
    shape, node = use.shapes[0], use.node
    if shape is None or len(shape) not in BATCH:
        raise ModelError(f"{node} normalises a tensor of shape {shape}, which is no batch.")
    if any(use.weight(i) is None for i in (1, 2, 3, 4)):
        raise ModelError(
            f"{node} computes its weights or statistics from others; export the network in eval "
            "mode."
        )
    module = BATCH[len(shape)](
        use.weight(1).values.size,  # type: ignore[union-attr]
        eps=node.get("epsilon", 1e-5),
        # ONNX says how much of the old statistics stays, PyTorch how much goes.
        momentum=1 - node.get("momentum", 0.9),
    )
    names = ("weight", "bias", "running_mean", "running_var")
    return Layer(module, {name: (index, ()) for index, name in enumerate(names, 1)})


@layer("InstanceNormalization")
def instance_norm(use: Use) -> Layer | None:
    shape = use.shapes[0]
    if shape is None or len(shape) not in INSTANCE or None in (use.weight(1), use.weight(2)):
        return None
    module = INSTANCE[len(shape)](shape[1], use.node.get("epsilon", 1e-5), affine=True)
    return Layer(module, {"weight": (1, ()), "bias": (2, ())})


@operator("InstanceNormalization")
def computed_instance_norm(node: Node, x: Tensor, scale: Any, bias: Any) -> Tensor:
    return F.instance_norm(x, None, None, scale, bias, eps=node.get("epsilon", 1e-5))


@layer("LayerNormalization")
def layer_norm(use: Use) -> Layer | None:
    weight, shape, node = use.weight(1), use.shapes[0], use.node
    if shape is None or weight is None or weight.shape != shape[node.get("axis", -1) :]:
        return None
    tensors: dict[str, Any] = {"weight": (1, ())}
    if use.has(2):
        bias = use.weight(2)
        if bias is None or bias.shape != weight.shape:
            return None
        tensors["bias"] = (2, ())
    module = nn.LayerNorm(weight.shape, node.get("epsilon", 1e-5), bias=use.has(2))
    return Layer(module, tensors)


@operator("LayerNormalization")
def computed_layer_norm(node: Node, x: Tensor, scale: Any, bias: Any = None) -> Tensor:
    axis = node.get("axis", -1)
    made = F.layer_norm(x, x.shape[axis:], eps=node.get("epsilon", 1e-5)) * scale
    return made if bias is None else made + bias


@layer("GroupNormalization", since=21)
def group_norm(use: Use) -> Layer | None:
    """One weight for each channel."""
    shape = use.shapes[0]
    if shape is None or None in (use.weight(1), use.weight(2)):
        return None
    groups, epsilon = use.node.get("num_groups"), use.node.get("epsilon", 1e-5)
    module = nn.GroupNorm(groups, shape[1], epsilon)
    return Layer(module, {"weight": (1, ()), "bias": (2, ())})


@operator("GroupNormalization", since=18)
def group_norm_by_group(node: Node, x: Tensor, scale: Any, bias: Any) -> Tensor:
    """One weight for each group of channels, as the first version had it."""
    groups = node.get("num_groups")
    made = F.group_norm(x, groups, eps=node.get("epsilon", 1e-5))
    each = x.shape[1] // groups
    form = (1, -1, *[1] * (x.dim() - 2))
    spread = [torch.repeat_interleave(t, each).reshape(form) for t in (scale, bias)]
    return made * spread[0] + spread[1]


@operator("GroupNormalization", since=21)
def computed_group_norm(node: Node, x: Tensor, scale: Any, bias: Any) -> Tensor:
    return F.group_norm(x, node.get("num_groups"), scale, bias, node.get("epsilon", 1e-5))


@operator("RMSNormalization")
def rms_norm(node: Node, x: Tensor, scale: Any) -> Tensor:
    axes = tuple(range(node.get("axis", -1) % x.dim(), x.dim()))
    mean_square = x.square().mean(axes, keepdim=True)
    return x * torch.rsqrt(mean_square + node.get("epsilon", 1e-5)) * scale


@operator("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    axes = tuple(node.get("axes", [0, 2, 3]))
    if 0 in [axis % x.dim() for axis in axes]:
        raise ModelError(
            f"{node} lets the images of a batch influence each other, which no classifier may do."
        )
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + 1e-9).sqrt()


@operator("LRN")
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    size, alpha = node.get("size"), node.get("alpha", 1e-4)
    low = (size - 1) // 2  # PyTorch's own has the longer half in front
    squares = F.pad(x.square().unsqueeze(1), (0, 0) * (x.dim() - 2) + (low, size - 1 - low))
    window = (size, *[1] * (x.dim() - 2))
    if x.dim() == 3:
        summed = F.avg_pool2d(squares, window, 1)
    elif x.dim() == 4:
        summed = F.avg_pool3d(squares, window, 1)
    else:
        raise ModelError(f"{node} normalises a tensor of {x.dim()} axes; 3 or 4 are read.")
    return x / (node.get("bias", 1.0) + alpha * summed.squeeze(1)).pow(node.get("beta", 0.75))


@operator("LpNormalization")
def lp_norm(node: Node, x: Tensor) -> Tensor:
    return x / x.norm(node.get("p", 2), node.get("axis", -1), keepdim=True)


@layer("Dropout")
def dropout(use: Use) -> Layer | None:
    ratio = use.constant(1)
    share = float(ratio.values) if ratio is not None else use.node.get("ratio", 0.5)
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise ModelError(f"{use.node} drops a share of {share} of its inputs; give 0 to 1.")
    return Layer(nn.Dropout(share))
