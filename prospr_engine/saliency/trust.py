"""Can a ranking be trusted? Numbers that went through many products can lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

CALM, WILD = 0.02, 0.5
"""Sensitivities below which a ranking is trusted, and above which much of it is noise. In
`benchmarks/trust.py` float32 and float64 agree on over 90 % of the weights kept while the
sensitivity stays below the first; the growth of the adjoint alone predicts nothing."""

DIVERGED = 10
"""Times the first loss (or one nat, if that is more) from which the steps ahead have exploded."""


@dataclass(frozen=True)
class Diagnostics:
    """How the numbers behaved while scoring.

    ``adjoint_norms``: length of λ from step M back to step 0; ``growth``: the last over the
    first. ``losses`` (nats): at each step ahead. ``sensitivity``: by how much the gradient at
    step M changes, relative to its length, when the weights after the first step change by
    rounding alone.
    ``non_finite``: scores that are NaN or infinite. ``trusted`` and ``verdict``: the conclusion,
    and a sentence for people. What a criterion does not have is empty or None.
    """

    adjoint_norms: tuple[float, ...]
    growth: float | None
    losses: tuple[float, ...]
    sensitivity: float | None
    non_finite: int
    trusted: bool
    verdict: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnostics:
        """From what ``dataclasses.asdict`` gave, numbers written as words included."""
        kept = {f.name: values[f.name] for f in fields(cls)}
        for name in ("adjoint_norms", "losses"):
            kept[name] = tuple(float(number) for number in kept[name])
        for name in ("growth", "sensitivity"):
            kept[name] = None if kept[name] is None else float(kept[name])
        return cls(**kept)


def diagnose(
    values: Mapping[str, Tensor],
    dtype: torch.dtype,
    adjoint_norms: tuple[float, ...] = (),
    losses: tuple[float, ...] = (),
    sensitivity: float | None = None,
) -> Diagnostics:
    """Judge the scores ``values``, computed in ``dtype``."""
    non_finite = sum(int((~score.isfinite()).sum()) for score in values.values())
    growth = None
    if adjoint_norms:
        growth = adjoint_norms[-1] / adjoint_norms[0] if adjoint_norms[0] else math.inf
    dead = not any(bool(score.any()) for score in values.values())
    trusted, verdict = _judge(non_finite, dead, losses, sensitivity, dtype)
    return Diagnostics(adjoint_norms, growth, losses, sensitivity, non_finite, trusted, verdict)


def _judge(
    non_finite: int,
    dead: bool,
    losses: tuple[float, ...],
    sensitivity: float | None,
    dtype: torch.dtype,
) -> tuple[bool, str]:
    calmer = "look fewer steps ahead, or with a smaller learning rate"
    if non_finite:
        remedy = "" if dtype == torch.float64 else ", or score in float64"
        return False, (
            f"{non_finite:,} scores are not finite numbers, so there is no ranking; {calmer}"
            f"{remedy}."
        )
    if dead:
        return False, (
            "All scores are zero, so there is no ranking: the loss does not depend on any weight. "
            "Check the network and its data."
        )
    if len(losses) > 1 and losses[-1] > DIVERGED * max(losses[0], 1.0):
        return False, (
            f"The steps ahead make the loss grow from {losses[0]:.2g} to {losses[-1]:.2g}, so the "
            f"ranking describes a network that has exploded; {calmer}."
        )
    if sensitivity is None and len(losses) > 1:
        return False, "Whether rounding decides the ranking was not checked (rehearse is off)."
    if sensitivity is None:
        return True, "The ranking involves no differentiation through training: it is exact."
    if sensitivity < CALM:
        return True, (
            f"The ranking can be trusted: rounding changes the gradient it starts from by "
            f"{_percent(sensitivity)}."
        )
    remedy = calmer if dtype == torch.float64 else f"score in float64, or {calmer}"
    start = "Much of the ranking" if sensitivity >= WILD else "Part of the ranking"
    return False, (
        f"{start} is not to be trusted: rounding alone changes the gradient it starts from by "
        f"{_percent(sensitivity)}, so another machine may keep other weights; {remedy}."
    )


def _percent(fraction: float) -> str:
    if fraction < 0.001:
        return "less than 0.1 %"
    return f"{100 * fraction:.2g} %" if fraction < 1 else f"{100 * fraction:.0f} %"


def plain(value: Any) -> Any:
    """``value`` for JSON, which has no NaN and no infinity: they travel as words."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
