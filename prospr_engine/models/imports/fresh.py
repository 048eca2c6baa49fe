"""New weights for a network that was imported with its own."""

from __future__ import annotations

import torch
from torch import nn

from prospr_engine.models.zoo.init import he_init


def redraw(network: nn.Module) -> None:
    """Draw the weights of ``network`` anew, in place, from the global random state.

    Convolutions and linear layers are drawn as in the built-in zoo (``he_init``), normalisations
    begin as PyTorch's do. Other tensors, such as embeddings of positions, are drawn from a normal
    distribution with their own mean and deviation; single numbers stay.
    """
    he_init(network)
    for module in network.modules():
        weight = isinstance(module, nn.modules.conv._ConvNd | nn.Linear)
        reset = getattr(module, "reset_parameters", None)
        if reset is not None and not weight:
            reset()
        elif not weight:
            for tensor in module.parameters(recurse=False):
                _like_itself(tensor)


@torch.no_grad()
def _like_itself(tensor: nn.Parameter) -> None:
    if tensor.numel() > 1:
        tensor.copy_(torch.randn_like(tensor) * tensor.std() + tensor.mean())
