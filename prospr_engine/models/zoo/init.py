"""Initial weights of the built-in zoo."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd


def he_init(model: nn.Module) -> None:
    """Draw every convolution and linear weight from N(0, 2 / fan-in); set their biases to zero.

    He et al. (2015), https://arxiv.org/abs/1502.01852, equation 10: it keeps the variance of
    the signal through layers followed by ReLU. The pruning-at-initialisation papers use it.
    """
    for module in model.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
