"""VGG with batch norm, Simonyan and Zisserman (2015), https://arxiv.org/abs/1409.1556, table 1.

The three linear layers of the paper are one here, after a global average, as in the pruning
papers' CIFAR experiments (the convolutions keep their biases, so that counts match theirs).
"""

from __future__ import annotations

from torch import nn

STAGES_16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
STAGES_19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


def vgg16_bn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Configuration D with batch norm."""
    return _vgg(shape, classes, STAGES_16)


def vgg19_bn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Configuration E with batch norm."""
    return _vgg(shape, classes, STAGES_19)


def _vgg(
    shape: tuple[int, int, int], classes: int, stages: tuple[tuple[int, int], ...]
) -> nn.Module:
    channels, height, width = shape
    side = min(height, width)
    layers: list[nn.Module] = []
    for outputs, convolutions in stages:
        for _ in range(convolutions):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            channels = outputs
        # Five poolings would leave nothing of an 8×8 image: a map of one pixel is not pooled.
        if side >= 2:
            layers.append(nn.MaxPool2d(2))
            side //= 2
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(*layers))
    model.add_module("classifier", nn.Linear(channels, classes))
    return model
