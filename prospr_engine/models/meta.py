"""A network without its numbers: for asking shapes and costs, which takes no arithmetic."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy of ``model`` on PyTorch's meta device, made without copying any weight.

    Forward passes through it take shapes only; shared weights stay shared. The mode (train or
    eval) is kept. https://docs.pytorch.org/docs/stable/meta.html
    """
    memo: dict[int, torch.Tensor] = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        empty = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
    return copy.deepcopy(model, memo)
