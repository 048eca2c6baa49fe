"""Can a ranking be trusted? Numbers that went through many products can be mostly rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from prospr_engine.format import noise

CALM, WILD = 0.02, 0.5
"""Sensitivities below which a ranking is trusted, and above which much of it is noise. In
`benchmarks/trust.py` float32 and float64 agree on over 90 % of the weights kept while the
sensitivity stays below the first; the growth of the adjoint alone predicts nothing."""

CALMER = "look fewer steps ahead, or use a smaller learning rate"
"""What helps where the scores go through steps of training."""

CLOSER = "ask for a lower sparsity, or choose another criterion"
"""What helps where they go through rounds of pruning: a batch norm amplifies the rounding error of
empty channels."""

DIVERGED = 10
"""Times the first loss (or one nat, if that is more) from which the look-ahead counts as
diverged."""


@dataclass(frozen=True)
class Diagnostics:
    """How the numbers behaved while scoring.

    ``adjoint_norms``: length of λ from step M back to step 0; ``growth``: the last over the
    first. ``losses`` (nats): at each step ahead. ``sensitivity``: by how much the gradient at
    step M changes, relative to its length, when the weights after the first step change by
    rounding alone; of FORCE, the scores of a round likewise.
    ``non_finite``: scores that are NaN or infinite. ``silent``: layers, by the names of their
    weights, whose scores are all zero, whatever the sparsity. ``trusted`` and ``verdict``: the
    conclusion, and a sentence for people. What a criterion does not have is empty or None.
    """

    adjoint_norms: tuple[float, ...]
    growth: float | None
    losses: tuple[float, ...]
    sensitivity: float | None
    non_finite: int
    trusted: bool
    verdict: str
    silent: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnostics:
        """From what ``dataclasses.asdict`` gave, numbers written as words included."""
        # Files of earlier versions know nothing of what has a default.
        kept = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        for name in ("adjoint_norms", "losses"):
            kept[name] = tuple(float(number) for number in kept[name])
        for name in ("growth", "sensitivity"):
            kept[name] = None if kept[name] is None else float(kept[name])
        kept["silent"] = tuple(kept.get("silent", ()))
        return cls(**kept)


def diagnose(
    values: Mapping[str, Tensor],
    dtype: torch.dtype,
    adjoint_norms: tuple[float, ...] = (),
    losses: tuple[float, ...] = (),
    sensitivity: float | None = None,
    *,
    whole: Mapping[str, Tensor] | None = None,
    doubt: str = "",
    looks_ahead: bool = True,
    breaks: Callable[[], str] = lambda: "",
) -> Diagnostics:
    """Judge the scores ``values``, computed in ``dtype``.

    ``whole``: scores of the whole network, where ``values`` hold only for what rounds of pruning
    left. ``doubt``: the criterion's own objection to them. ``looks_ahead``: there are training
    steps that could be smaller or fewer. ``breaks`` finds where the network goes wrong, in a
    sentence; it is called only if it does.
    """
    counts = {name: int((~score.isfinite()).sum()) for name, score in values.items()}
    broken = [name for name, count in counts.items() if count]
    silent = tuple(name for name, score in (whole or values).items() if not score.any())
    growth = None
    if adjoint_norms:
        growth = adjoint_norms[-1] / adjoint_norms[0] if adjoint_norms[0] else math.inf
    non_finite = sum(counts.values())
    trusted = False
    if broken:
        remedies = [CALMER] * looks_ahead + ["score in float64"] * (dtype != torch.float64)
        verdict = (
            f"{non_finite:,} scores are NaN or infinite, the first of them in {broken[0]!r}, so "
            f"there is no ranking{'; ' * bool(remedies)}{', or '.join(remedies)}. {breaks()}"
        )
    elif len(silent) == len(values):
        verdict = (
            "All scores are zero, so there is no ranking: the loss does not depend on any weight, "
            f"or all weights are zero. {breaks() or 'Check the network and its data.'}"
        )
    elif doubt:
        verdict = doubt
    else:
        trusted, verdict = _judge(losses, sensitivity, dtype, looks_ahead, whole is not None)
        if silent:
            trusted, verdict = False, f"{_silence(silent)} {'' if trusted else verdict}"
    return Diagnostics(
        adjoint_norms, growth, losses, sensitivity, non_finite, trusted, verdict.strip(), silent
    )


def _silence(silent: tuple[str, ...]) -> str:
    what = f"of {silent[0]!r}" if len(silent) == 1 else f"in {len(silent)} layers"
    first = "" if len(silent) == 1 else f", {silent[0]!r} being the first,"
    return (
        f"All scores {what}{first} are zero, because nothing depends on these weights or they are "
        "zero themselves: which of them are kept is arbitrary."
    )


def _judge(
    losses: tuple[float, ...],
    sensitivity: float | None,
    dtype: torch.dtype,
    looks_ahead: bool,
    in_rounds: bool,
) -> tuple[bool, str]:
    """How far scores that went through steps of training, or rounds of pruning, can be trusted."""
    if len(losses) > 1 and losses[-1] > DIVERGED * max(losses[0], 1.0):
        return False, (
            f"The look-ahead drives the loss from {losses[0]:.2g} to {losses[-1]:.2g}, so the "
            f"ranking describes a network that has diverged; {CALMER}."
        )
    if sensitivity is None and len(losses) > 1:
        return False, "Whether rounding decides the ranking was not checked (rehearse is off)."
    if sensitivity is None and in_rounds and dtype != torch.float64:
        return True, (
            "No round differentiates through training; but where scores of an early round nearly "
            "tie, rounding decides, and another machine may keep different weights."
        )
    if sensitivity is None:
        return True, "The ranking does not differentiate through training: it is exact."
    start = "the gradient it starts from" if looks_ahead else "the scores of a round"
    if sensitivity < CALM:
        return True, (
            f"Scores are numerically stable: rounding changes {start} by {noise(sensitivity)}."
        )
    calmer = CALMER if looks_ahead else CLOSER
    remedy = calmer if dtype == torch.float64 else f"score in float64, or {calmer}"
    share = "Much" if sensitivity >= WILD else "Part"
    return False, (
        f"{share} of the ranking is unreliable: rounding alone changes {start} by "
        f"{noise(sensitivity)}, so another machine may keep different weights; {remedy}."
    )


def plain(value: Any) -> Any:
    """``value`` for JSON, which has no NaN and no infinity: these become strings."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
