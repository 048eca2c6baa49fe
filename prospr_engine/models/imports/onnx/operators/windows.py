"""Windows that slide over an image: how much is added at its borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from prospr_engine.models.imports.onnx.graph import Node


@dataclass(frozen=True)
class Windows:
    """The attributes that convolutions and poolings share, one entry for each axis of space.
    ``same`` is "UPPER" or "LOWER" if the borders follow from the size of the image."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    same: str = ""

    @classmethod
    def of(cls, node: Node, kernel: Sequence[int]) -> Windows:
        rank = len(kernel)
        pads = node.get("pads", [0] * 2 * rank)
        low, high, same = tuple(pads[:rank]), tuple(pads[rank:]), ""
        strides = tuple(node.get("strides", [1] * rank))
        dilations = tuple(node.get("dilations", [1] * rank))
        automatic = node.get("auto_pad", "NOTSET")
        if automatic in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            low = high = (0,) * rank
            same = automatic.removeprefix("SAME_") if automatic != "VALID" else ""
        if same and all(stride == 1 for stride in strides):
            # The border is that of every image.
            total = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
            low, high = _halves(total, same)
            same = ""
        return cls(tuple(kernel), strides, dilations, low, high, same)

    def borders(self, sizes: Sequence[int]) -> tuple[list[int], list[int]]:
        """What to add before and after each axis of an image of these ``sizes``."""
        if not self.same:
            return [*self.low], [*self.high]
        total = []
        for size, kernel, stride, dilation in zip(
            sizes, self.kernel, self.strides, self.dilations, strict=True
        ):
            count = -(-size // stride)
            total.append(max((count - 1) * stride + (kernel - 1) * dilation + 1 - size, 0))
        low, high = _halves(total, self.same)
        return [*low], [*high]

    @property
    def is_even(self) -> bool:
        """Whether every border is as wide as the one opposite, for images of all sizes."""
        return not self.same and self.low == self.high


def _halves(total: Sequence[int], same: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    less = tuple(each // 2 for each in total)
    more = tuple(each - half for each, half in zip(total, less, strict=True))
    return (less, more) if same == "UPPER" else (more, less)


def padded(x: Tensor, low: Sequence[Any], high: Sequence[Any], value: float = 0.0) -> Tensor:
    """``x`` with borders around its axes of space; negative ones cut off."""
    if not any([*low, *high]):
        return x
    amounts = [n for pair in zip(reversed([*low]), reversed([*high]), strict=True) for n in pair]
    return F.pad(x, amounts, value=value)


@dataclass(frozen=True)
class Bordered:
    """Adds the borders of ``windows`` to an image."""

    windows: Windows
    value: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        return padded(x, *self.windows.borders(x.shape[2:]), self.value)
