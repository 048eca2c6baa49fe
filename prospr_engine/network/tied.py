"""Parameters that several layers share."""

from __future__ import annotations

from torch import nn


def untie(network: nn.Module) -> nn.Module:
    """The network itself, where every layer now has parameters of its own, with the same values.

    Layers that lose different channels cannot share a parameter. Exporters make them share those
    that are equal, as biases are before any training.
    """
    seen: set[int] = set()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) in seen:
                own = nn.Parameter(parameter.detach().clone(), parameter.requires_grad)
                setattr(module, name, own)
            seen.add(id(parameter))
    return network
