"""Functions that may cut a signal off by its value, and what takes their place in a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

SLOPE = 0.37
"""Of what takes the place of a rectifier, for negative numbers: odd, so that it does not cancel
with one of the opposite sign."""

RECTIFIERS = {"relu", "relu6", "rrelu", "threshold", "hardtanh", "hardsigmoid", "hardswish"}
ROUNDING = {"sign", "sgn", "round", "floor", "ceil", "trunc", "fix", "heaviside"}
CLAMPS = {"clamp", "clip", "clamp_min", "clamp_max", "hardshrink", "softshrink"}
CUTTING = RECTIFIERS | ROUNDING | CLAMPS
ZERO = {"relu", "relu6", "rrelu", "threshold"}
"""Those that are flat at zero: what gets no signal at all passes no gradient on."""
CHOOSING = {"max", "min", "amax", "amin", "maximum", "minimum", "fmax", "fmin"}
COMPARING = {"gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal", "isclose"}
RANKING = {"topk", "kthvalue", "sort", "argsort", "msort", "argmax", "argmin", "median", "quantile"}


class OpenGates(TorchFunctionMode):
    """Functions that may cut a signal off let part of it through. ``compared`` says whether
    anything compared values, with which gates can be made that nothing replaces; ``comparisons`` is
    what comparisons say, None for the truth."""

    def __init__(self, comparisons: bool | None = None):
        super().__init__()
        self.comparisons = comparisons
        self.compared = False
        self._watches = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For what is not the network's own."""
        self._watches = False
        try:
            yield
        finally:
            self._watches = True

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if not self._watches:
            return func(*args, **given)
        name = getattr(func, "__name__", "")
        numbers = bool(args) and isinstance(args[0], Tensor) and args[0].is_floating_point()
        if numbers and name.strip("_") in COMPARING | RANKING:
            self.compared = True
            if self.comparisons is not None and name.strip("_") in COMPARING:
                return torch.full_like(func(*args, **given), self.comparisons)
        if numbers and name.strip("_") in CUTTING:
            x = args[0].clone() if name.endswith("_") else args[0]
            opened = _opened(x, name.strip("_") in ZERO or _from_zero(name, args, given))
            # Without a signal, a hard sigmoid is half open.
            opened = opened + func(torch.zeros_like(x), *args[1:], **given)
            return args[0].copy_(opened) if name.endswith("_") else opened
        if numbers and name in CHOOSING:
            return _mean(func, args, given)
        if name == "where" and len(args) == 3:
            return args[1] * 0.6 + args[2] * 0.4
        return func(*args, **given)


def _mean(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """In place of the largest or smallest of several values."""
    x, other = args[0], kwargs.get("other", args[1] if len(args) > 1 else None)
    if isinstance(other, Tensor):
        return x * 0.6 + other * 0.4
    found = func(*args, **kwargs)
    if "dim" not in kwargs and len(args) < 2:
        return found
    dim, keep = kwargs.get("dim", other), kwargs.get("keepdim", args[2] if len(args) > 2 else False)
    mean = x.mean(dim, keepdim=keep)
    return mean if isinstance(found, Tensor) else type(found)((mean, found.indices))


def _from_zero(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether this is ReLU6, which ``nn.ReLU6`` writes as a hard tanh."""
    lowest = args[1] if len(args) > 1 else kwargs.get("min_val")
    return name.strip("_") == "hardtanh" and lowest == 0


def _opened(x: Tensor, flat_at_zero: bool) -> Tensor:
    if flat_at_zero:
        return F.relu(x) - SLOPE * F.relu(-x)
    return F.leaky_relu(x, SLOPE)
