"""Can a ranking be trusted? Numbers that went through many products can lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Diagnostics:
    """How the numbers behaved while scoring.

    ``adjoint_norms``: length of λ from step M back to step 0; ``growth``: the last over the
    first; ``losses``: loss (nats) at each step ahead; ``non_finite``: scores that are NaN or
    infinite; ``trusted`` and ``verdict``: the conclusion, and a sentence for people.
    """

    adjoint_norms: tuple[float, ...]
    growth: float | None
    losses: tuple[float, ...]
    non_finite: int
    trusted: bool
    verdict: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnostics:
        """From what ``dataclasses.asdict`` gave, numbers written as words included."""
        kept = {f.name: values[f.name] for f in fields(cls)}
        for name in ("adjoint_norms", "losses"):
            kept[name] = tuple(float(number) for number in kept[name])
        if kept["growth"] is not None:
            kept["growth"] = float(kept["growth"])
        return cls(**kept)


def diagnose(
    values: Mapping[str, Tensor],
    adjoint_norms: tuple[float, ...],
    losses: tuple[float, ...],
    dtype: torch.dtype,
) -> Diagnostics:
    raise NotImplementedError
