"""Wide residual networks of Zagoruyko and Komodakis (2016), https://arxiv.org/abs/1605.07146."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class WideBlock(nn.Module):
    """Batch norm and ReLU before each of two 3×3 convolutions (type B(3, 3), section 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = (
            None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        # Where the width changes, the shortcut branches off after the activation, as published.
        return out + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """Three stages of ``blocks`` blocks with 16, 32 and 64 times ``widen`` channels."""

    def __init__(self, channels: int, classes: int, blocks: int, widen: int) -> None:
        super().__init__()
        widths = [16, 16 * widen, 32 * widen, 64 * widen]
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.stages = nn.Sequential()
        for stage, (inputs, outputs) in enumerate(pairwise(widths)):
            first = WideBlock(inputs, outputs, stride=1 if stage == 0 else 2)
            rest = (WideBlock(outputs, outputs, 1) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(first, *rest))
        self.bn = nn.BatchNorm2d(widths[-1])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stages(self.conv1(x))))
        return self.fc(self.pool(x).flatten(1))


def wrn28_2(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """WRN-28-2: 28 layers (four blocks per stage), widening factor 2, no dropout."""
    return WideResNet(shape[0], classes, blocks=4, widen=2)
