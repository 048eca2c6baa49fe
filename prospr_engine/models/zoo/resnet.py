"""Residual networks of He et al. (2016), https://arxiv.org/abs/1512.03385."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.network.padding import ChannelPadding


class CifarBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut without weights (option A, section 4.2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        # Zeros on both sides of the channel axis, as the published CIFAR networks have them.
        new = outputs - inputs
        self.shortcut = ChannelPadding(new // 2, new - new // 2, stride) if new else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """Three stages of ``blocks`` residual blocks with 16, 32 and 64 channels (section 4.2)."""

    def __init__(self, channels: int, classes: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.stage1 = self._stage(16, 16, blocks, stride=1)
        self.stage2 = self._stage(16, 32, blocks, stride=2)
        self.stage3 = self._stage(32, 64, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, classes)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        first = CifarBlock(inputs, outputs, stride)
        return nn.Sequential(first, *(CifarBlock(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.pool(x).flatten(1))


def resnet20(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The CIFAR network with n = 3: 268,336 convolution and linear weights for ten classes."""
    return CifarResNet(shape[0], classes, blocks=3)


def resnet32(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The CIFAR network with n = 5."""
    return CifarResNet(shape[0], classes, blocks=5)


def resnet18(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """ResNet-18 with a stem for small images."""
    return _small_stem("resnet18", shape[0], classes)


def resnet50(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """ResNet-50 with a stem for small images."""
    return _small_stem("resnet50", shape[0], classes)


def _small_stem(name: str, channels: int, classes: int) -> nn.Module:
    from torchvision.models import get_model

    # The published stem (7×7, stride 2, pooling) leaves 8×8 of a 32×32 image; this one keeps
    # every pixel, as the SNIP, SynFlow and ProsPr experiments do.
    model = get_model(name, weights=None, num_classes=classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model
