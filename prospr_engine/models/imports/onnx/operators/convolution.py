"""Convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.operators.windows import Bordered, Windows
from prospr_engine.models.imports.onnx.registry import Layer, Use, layer, operator

MODULES = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FUNCTIONS = (F.conv1d, F.conv2d, F.conv3d)


@layer("Conv")
def convolution(use: Use) -> Layer | None:
    weight = use.weight(1)
    if weight is None or (use.has(2) and use.weight(2) is None):
        return None
    outputs, inputs, *kernel = weight.shape
    windows, groups = _windows(use.node, kernel), use.node.get("group", 1)
    even = windows.is_even
    module = MODULES[len(kernel) - 1](
        inputs * groups,
        outputs,
        windows.kernel,  # type: ignore[arg-type]
        windows.strides,  # type: ignore[arg-type]
        windows.low if even else 0,  # type: ignore[arg-type]
        windows.dilations,  # type: ignore[arg-type]
        groups,
        bias=use.has(2),
    )
    tensors: dict[str, Any] = {"weight": (1, ())}
    if use.has(2):
        tensors["bias"] = (2, ())
    return Layer(module, tensors, before=None if even else Bordered(windows))


@operator("Conv")
def computed_convolution(node: Node, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    """With weights that are computed from others, such as standardised ones."""
    windows = _windows(node, weight.shape[2:])
    x = Bordered(windows)(x)
    convolve = FUNCTIONS[len(windows.kernel) - 1]
    return convolve(x, weight, bias, windows.strides, 0, windows.dilations, node.get("group", 1))


def _windows(node: Node, kernel: Any) -> Windows:
    if not 1 <= len(kernel) <= 3:
        raise ModelError(
            f"{node} has a kernel of {len(kernel)} axes; convolutions over 1 to 3 are read."
        )
    return Windows.of(node, kernel)


@dataclass(frozen=True)
class Cropped:
    """Cuts borders off a transposed convolution that was computed without any. ``sizes`` are those
    wanted, if the file says so instead of the borders."""

    windows: Windows
    sizes: tuple[int, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        rank = len(self.windows.kernel)
        low, high = [*self.windows.low], [*self.windows.high]
        if self.sizes:
            spare = [size - wanted for size, wanted in zip(x.shape[2:], self.sizes, strict=True)]
            less = [each // 2 for each in spare]
            more = [each - half for each, half in zip(spare, less, strict=True)]
            low, high = (less, more) if self.windows.same == "UPPER" else (more, less)
        for axis in range(rank):
            length = x.shape[axis + 2] - low[axis] - high[axis]
            x = x.narrow(axis + 2, low[axis], length)
        return x


@layer("ConvTranspose")
def transposed_convolution(use: Use) -> Layer | None:
    weight, node = use.weight(1), use.node
    if weight is None or (use.has(2) and use.weight(2) is None):
        return None
    inputs, outputs, *kernel = weight.shape
    rank, groups = len(kernel), node.get("group", 1)
    automatic = node.get("auto_pad", "NOTSET")
    windows = _windows(node.with_attributes(auto_pad="NOTSET"), kernel)
    added, sizes = [*node.get("output_padding", [0] * rank)], tuple(node.get("output_shape", ()))
    sizes = sizes[-rank:]
    shape = use.shapes[0]
    if automatic.startswith("SAME") and not sizes and shape is not None:
        sizes = tuple(s * stride for s, stride in zip(shape[2:], windows.strides, strict=True))
    if automatic == "SAME_UPPER":
        windows = Windows(**{**vars(windows), "same": "UPPER"})
    simple = not sizes and windows.low == windows.high
    module = TRANSPOSED[rank - 1](
        inputs,
        outputs * groups,
        windows.kernel,  # type: ignore[arg-type]
        windows.strides,  # type: ignore[arg-type]
        windows.low if simple else 0,  # type: ignore[arg-type]
        added,  # type: ignore[arg-type]
        groups,
        bias=use.has(2),
        dilation=windows.dilations,  # type: ignore[arg-type]
    )
    tensors: dict[str, Any] = {"weight": (1, ())}
    if use.has(2):
        tensors["bias"] = (2, ())
    return Layer(module, tensors, after=None if simple else Cropped(windows, sizes))
