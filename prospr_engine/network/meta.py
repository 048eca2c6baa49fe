"""Networks without weights, on the meta device: for shapes and costs, without arithmetic."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy of ``model`` on PyTorch's meta device, made without copying any weight.

    Forward passes through it compute shapes only; shared weights stay shared. The mode (train or
    eval) is kept. https://docs.pytorch.org/docs/stable/meta.html
    """
    memo: dict[int, torch.Tensor] = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        empty = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
    return copy.deepcopy(model, memo)


class on_meta(TorchFunctionMode):  # noqa: N801  (used as a function: `with on_meta():`)
    """Networks built in this context have no weights, and take no memory for them.

    ``torch.device("meta")`` does the same to every tensor, even to those from which builders
    compute layer sizes (torchvision's RegNet); here these keep their values.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones):
            given["device"] = "meta"
        return func(*args, **given)
