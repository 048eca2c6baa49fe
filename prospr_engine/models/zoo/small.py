"""Small networks that train on a CPU."""

from __future__ import annotations

import torch
from torch import nn

LENET_SIDE = 32


def mlp(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """LeNet-300-100 of LeCun et al. (1998, section III-C.4), with ReLU."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def lenet5(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """LeNet-5 of LeCun et al. (1998), with ReLU and max pooling.

    Smaller images are zero-padded to 32×32 px, as the paper does with 28×28 digits: without
    padding the two 5×5 convolutions would need at least 16 px.
    """
    channels, height, width = shape
    left, top = max(LENET_SIDE - width, 0), max(LENET_SIDE - height, 0)
    features = nn.Sequential(
        nn.ZeroPad2d((left // 2, left - left // 2, top // 2, top - top // 2)),
        nn.Conv2d(channels, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    with torch.no_grad():
        (flat,) = features(torch.zeros(1, *shape)).shape[1:]
    return nn.Sequential(
        *features,
        nn.Linear(flat, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


def small_cnn(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Four 3×3 convolutions with batch norm (16, 32, 64, 64 channels) and one linear layer.

    Strides rather than pooling: they work down to a single pixel, and have a cheap second
    derivative.
    """
    blocks = [
        _block(shape[0], 16),
        _block(16, 32, stride=2),
        _block(32, 64, stride=2),
        _block(64, 64),
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
