"""Can a ranking be trusted? What is known of it, and how.

A ranking is computed so that rounding cannot decide it, or the share of weights that survives
rounding was measured, or it is not known. Nothing is inferred from how calm the numbers looked:
neither the growth of the adjoint nor a perturbed gradient predicts which weights would be kept
(`benchmarks/trust.py`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from prospr_engine.format import counted, percent
from prospr_engine.overrides import Override
from prospr_engine.pruning.masks import top_masks

CALMER = "look fewer steps ahead, or use a smaller learning rate"
"""What helps where the scores go through steps of training."""

DIVERGED = 10
"""Times the first loss (or one nat, if that is more) from which the look-ahead counts as
diverged."""

AGREEING = 0.95
"""The share of kept weights that has to survive rounding, where it was measured."""

CHANCE = 0.01
"""The share of the kept weights that may have been chosen among equals in a trusted ranking."""

ON_THE_WAY = 0.001
"""The same where there are rounds: what is kept in one decides what matters in the next, and 0.15 %
chosen among equals can change a third of the last mask (LeNet-5, FORCE)."""

NOTHING, WIDE = 1e-12, ("mixed", "float64")
"""Scores up to this part of the highest are zero but for rounding, where gradients are computed in
one of these precisions: a batch norm over an empty channel blows rounding errors up by 1/√ε."""


@dataclass(frozen=True)
class Arithmetic:
    """How scores were computed: ``gradients`` and ``products`` (Hessian-vector products) in which
    number formats; ``products`` is None where there are none. ``fixed``: the network insists on
    this format."""

    gradients: torch.dtype
    products: torch.dtype | None = None
    fixed: bool = False

    @classmethod
    def of(cls, used: Mapping[str, torch.dtype], fixed: bool = False) -> Arithmetic | None:
        """Of ``Network.used``; None if no gradient was asked for."""
        return cls(used["gradients"], used.get("products"), fixed) if used else None

    @property
    def name(self) -> str:
        """ "mixed", or the one format."""
        names = {str(dtype).removeprefix("torch.") for dtype in self._formats}
        return names.pop() if len(names) == 1 else "mixed"

    @property
    def _formats(self) -> set[torch.dtype]:
        return {self.gradients} | ({self.products} if self.products else set())


@dataclass(frozen=True)
class Diagnostics:
    """How the numbers behaved while scoring.

    ``adjoint_norms``: length of λ from step M back to step 0; ``growth``: the last over the
    first. ``losses`` (nats): at each step ahead. ``precision``: the number format of gradients
    and Hessian-vector products, "mixed" if they differ, "" if there were none.
    ``agreement``: the share of the weights kept at the sparsity ``checked_at`` that were kept again
    when scored from weights that differ by rounding, if that was measured.
    ``non_finite``: scores that are NaN or infinite. ``silent``: layers, by the names of their
    weights, whose scores are all zero, whatever the sparsity. ``trusted`` and ``verdict``: the
    conclusion, and a sentence for people. What a criterion does not have is empty or None.
    """

    adjoint_norms: tuple[float, ...]
    growth: float | None
    losses: tuple[float, ...]
    non_finite: int
    trusted: bool
    verdict: str
    silent: tuple[str, ...] = ()
    precision: str = ""
    agreement: float | None = None
    checked_at: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnostics:
        """From what ``dataclasses.asdict`` gave, numbers written as words included."""
        # Files of earlier versions know nothing of what has a default, and have what is gone.
        kept = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        for name in ("adjoint_norms", "losses"):
            kept[name] = tuple(float(number) for number in kept[name])
        kept["growth"] = None if kept["growth"] is None else float(kept["growth"])
        kept["silent"] = tuple(kept.get("silent", ()))
        return cls(**kept)

    def with_equals(self, equals: int, kept: int) -> Diagnostics:
        """The same, once ``kept`` weights were chosen, ``equals`` of them among equals."""
        if not equals or self.non_finite:
            return self
        sentence = (
            f"{counted(equals, 'kept weight')} ({percent(equals / kept)} of all kept) "
            f"{'scores' if equals == 1 else 'score'} no higher than others that were removed, so "
            "position decided between them."
        )
        if equals <= CHANCE * kept:
            return dataclasses.replace(self, verdict=f"{self.verdict} {sentence}")
        verdict = (
            f"{sentence} Score with more images, ask for a lower sparsity, or choose another "
            f"criterion.{'' if self.trusted else ' ' + self.verdict}"
        )
        return dataclasses.replace(self, trusted=False, verdict=verdict)


def diagnose(
    values: Mapping[str, Tensor],
    arithmetic: Arithmetic | None,
    adjoint_norms: tuple[float, ...] = (),
    losses: tuple[float, ...] = (),
    *,
    whole: Mapping[str, Tensor] | None = None,
    by_chance: float = 0.0,
    doubt: str = "",
    looks_ahead: bool = True,
    breaks: Callable[[], str] = lambda: "",
    checked: tuple[float, float] | None = None,
) -> Diagnostics:
    """Judge the scores ``values``, computed in ``arithmetic`` (None without any gradient).

    ``whole``: scores of the whole network, where ``values`` hold only for what rounds of pruning
    left; ``by_chance`` the largest share of the weights kept in a round that were chosen among
    equals. ``doubt``: the criterion's own objection to them. ``looks_ahead``: there are training
    steps that could be smaller or fewer. ``breaks`` finds where the network goes wrong, in a
    sentence; it is called only if it does. ``checked``: a sparsity, and the share of weights kept
    there that were kept again when scored from weights that differ by rounding.
    """
    counts = {name: int((~score.isfinite()).sum()) for name, score in values.items()}
    broken = [name for name, count in counts.items() if count]
    silent = tuple(
        name for name, score in (whole or values).items() if score.numel() and not score.any()
    )
    growth = None
    if adjoint_norms:
        growth = adjoint_norms[-1] / adjoint_norms[0] if adjoint_norms[0] else math.inf
    non_finite = sum(counts.values())
    trusted = False
    if broken:
        wide = arithmetic is None or arithmetic.gradients == torch.float64
        cause = breaks()  # before the first step, if there is one
        remedies = [CALMER] * (looks_ahead and not cause) + [IN_FULL] * (not wide)
        what_to_do = f"; {', or '.join(remedies)}" if remedies else ""
        verdict = (
            f"{counted(non_finite, 'score is', 'scores are')} NaN or infinite, the first of them "
            f"in {broken[0]!r}, so there is no ranking{what_to_do}. {cause}"
        )
    elif len(silent) == sum(score.numel() > 0 for score in values.values()):
        verdict = (
            "All scores are zero, so there is no ranking: the loss does not depend on any weight, "
            "the forward cuts the gradient off (no_grad, detach), or all weights are zero. "
            f"{breaks() or 'Check the network and its data.'}"
        )
    elif doubt:
        verdict = doubt
    else:
        amplified = len(losses) > 1 or whole is not None
        trusted, verdict = _judge(losses, arithmetic, amplified, checked)
        if by_chance > ON_THE_WAY and trusted and not checked:
            trusted, verdict = False, _chance(by_chance)
        if silent:
            trusted, verdict = False, f"{_silence(silent)} {'' if trusted else verdict}"
    return Diagnostics(
        adjoint_norms=adjoint_norms,
        growth=growth,
        losses=losses,
        non_finite=non_finite,
        trusted=trusted,
        verdict=verdict.strip(),
        silent=silent,
        precision=arithmetic.name if arithmetic else "",
        agreement=checked[1] if checked else None,
        checked_at=checked[0] if checked else None,
    )


IN_FULL = "leave the precision to the default"
"""What helps where rounding may decide."""


def _silence(silent: tuple[str, ...]) -> str:
    what = f"of {silent[0]!r}" if len(silent) == 1 else f"in {len(silent)} layers"
    first = "" if len(silent) == 1 else f", {silent[0]!r} being the first,"
    return (
        f"All scores {what}{first} are zero, because nothing depends on these weights or they are "
        "zero themselves: which of them are kept is arbitrary."
    )


def _chance(share: float) -> str:
    return (
        f"In a round on the way, {percent(share)} of the kept weights scored no higher than others "
        "that were removed, zero but for rounding, and position decided between them; another "
        "machine may keep other weights. Ask for a lower sparsity, score with more images, or "
        "choose another criterion."
    )


def _judge(
    losses: tuple[float, ...],
    arithmetic: Arithmetic | None,
    amplified: bool,
    checked: tuple[float, float] | None,
) -> tuple[bool, str]:
    """What is known. ``amplified``: the scores went through training steps or rounds of pruning,
    each of which amplifies the rounding errors of the one before."""
    if len(losses) > 1 and losses[-1] > DIVERGED * max(losses[0], 1.0):
        return False, (
            f"The look-ahead drives the loss from {losses[0]:.2g} to {losses[-1]:.2g}, so the "
            f"ranking describes a network that has diverged; {CALMER}."
        )
    if arithmetic is None:
        return True, "The scores follow from the weights, or from chance, without any rounding."
    if checked is not None:
        sparsity, share = checked
        measured = (
            f"Scored again from weights that differ by rounding, {percent(share)} of the weights "
            f"kept at {percent(sparsity)} sparsity are the same"
        )
        if share >= AGREEING:
            return True, f"{measured}."
        return False, f"{measured}, so another machine may keep others; {_calmer(arithmetic)}."
    if arithmetic.gradients == torch.float64:
        how = "computed in float64"
        if arithmetic.products == torch.float32:
            how += ", with only second derivatives in float32"
        return True, f"Rounding does not decide this ranking: it was {how}."
    name = arithmetic.name
    if not amplified and arithmetic.gradients == torch.float32:
        return True, (
            f"Rounding hardly moves this ranking: it rests on a single gradient, in {name}."
        )
    why = "this network computes in it whatever it is given" if arithmetic.fixed else IN_FULL
    cause = (
        "each step amplifies the rounding of the one before"
        if amplified
        else "it has few digits to rank by"
    )
    return False, f"Whether rounding decides this ranking is not known: in {name} {cause}; {why}."


def _calmer(arithmetic: Arithmetic) -> str:
    if arithmetic.gradients == torch.float64 or arithmetic.fixed:
        return f"{CALMER}, or score with more images"
    return IN_FULL


def shared_share(
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    sparsity: float,
    layer_floor: int,
    layers: Mapping[str, Override] | None = None,
) -> float:
    """The share of the weights kept by the scores ``first`` that ``second`` keeps too."""
    one, other = (top_masks(scores, sparsity, layer_floor, layers) for scores in (first, second))
    kept = sum(int(mask.sum()) for mask in one.values())
    return sum(int((one[name] & other[name]).sum()) for name in one) / kept


def plain(value: Any) -> Any:
    """``value`` for JSON, which has no NaN and no infinity: these become strings."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
