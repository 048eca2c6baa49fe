"""The control "reinit": the same masks on a network with other initial weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def reinit(draw: Callable[[int], nn.Module], seed: int) -> nn.Module:
    """The run's network with initial weights drawn from ``seed``."""
    return draw(seed)
