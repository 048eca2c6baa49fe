"""The sparsity that a search tries next: bisection on the logarithm of the density.

Plain arithmetic, without torch. The size and the multiply-adds fall with all that is removed; the
accuracy and the time only roughly do, and vary. Bisection only needs a goal that is met on one side
and missed on the other; it finds a network that was tried, and proves nothing about the others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from prospr_engine.config import CHANNELS
from prospr_engine.models.measures import Measure
from prospr_engine.pipeline.remainder import remaining, zipped_size
from prospr_engine.sweeps.search_config import Probe, SearchConfig

CLOSE = 1.1
"""The search ends when the densities differ by less than this factor."""
STEP = 1.08
"""The first step away from a guess, as a factor of the density."""
DIGITS = 4
FAILURES = 3
"""If the first tries all fail, this many of them, the sparsity is not the cause."""


def next_sparsity(
    config: SearchConfig, trail: Sequence[Probe], guess: float | None = None
) -> float | None:
    """The sparsity to try after ``trail``, rounded to four digits; None when the search is over
    (see ``outcome``).

    With a goal on accuracy the search is for the sparsest network that meets it, with any other
    goal for the least sparse one. It begins at ``guess``, if a good one is known (``guess_of``),
    and moves from there in doubling steps; otherwise it begins in the middle and then tries the end
    on the side of the answer, so that an impossible goal ends it early. Deterministic.
    """
    if ended(config, trail):
        return None
    low, high = bracket(config, trail)
    if not trail:
        return _between(low, high) if guess is None else _clipped(config, guess)
    low_known, high_known = _known(config, trail, low), _known(config, trail, high)
    if low_known and high_known:
        return _between(low, high)
    if high in _impossible(config, trail):
        return _between(low, high)  # there is no telling how far beyond the limit this was
    edge, end = (low, high) if low_known else (high, low)
    return end if guess is None else _step_further(trail[0].sparsity, edge, end)


def ended(config: SearchConfig, trail: Sequence[Probe]) -> str:
    """Why the search is over: "found" (close enough), "never" (no sparsity meets the goal), "most"
    (the maximum number of tries), "failed" (every try fails); "" if it is not over."""
    if not trail:
        return ""
    met = any(probe.met for probe in trail)
    low, high = bracket(config, trail)
    close = (1 - low) / (1 - high) < CLOSE or _tried(trail, _between(low, high))
    if close and met:
        return "found"
    if not met and _hopeless(config, trail, close):
        return "never"
    if len(trail) >= FAILURES and all(probe.error for probe in trail):
        return "failed"
    return "most" if len(trail) >= config.most_probes else ""


def bracket(config: SearchConfig, trail: Sequence[Probe]) -> tuple[float, float]:
    """The sparsities between which the answer lies: the best that met the goal, and the next one
    beyond it that did not. If there is none, the end of the searched range."""
    met = [probe.sparsity for probe in trail if probe.met]
    missed = [probe.sparsity for probe in trail if not probe.met]
    if config.about_accuracy:
        low = max(met, default=config.lowest)
        return low, min((s for s in missed if s > low), default=config.highest)
    impossible = _impossible(config, trail)
    high = min([*met, *impossible], default=config.highest)
    possible = {*missed} - {*impossible}
    return max((s for s in possible if s < high), default=config.lowest), high


def guess_of(config: SearchConfig, measure: Measure) -> float | None:
    """The lowest sparsity at which a network of ``measure`` should meet the goal; None if it cannot
    be predicted."""
    if not config.goal.predictable:
        return None

    def fits(sparsity: float) -> bool:
        return _predicted(config, measure, sparsity) <= config.limit

    low, high = config.lowest, config.highest
    if fits(low):
        return low
    while high - low > 10**-DIGITS / 2:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return _clipped(config, high)


def _predicted(config: SearchConfig, measure: Measure, sparsity: float) -> float:
    """The figure of the goal at ``sparsity``."""
    left, density = remaining(dataclasses.replace(config.run, sparsity=sparsity), measure)
    if config.goal.unit == "bytes":
        return zipped_size(left, density)
    return left.macs + left.other


def _impossible(config: SearchConfig, trail: Sequence[Probe]) -> list[float]:
    """The sparsities at which channels could not be removed: every layer keeps some, so there is a
    limit, and what is sparser is impossible, too."""
    if config.run.kind != CHANNELS:
        return []
    return [probe.sparsity for probe in trail if probe.error]


def _hopeless(config: SearchConfig, trail: Sequence[Probe], close: bool) -> bool:
    """Whether a goal that no try met cannot be met by another one."""
    if config.about_accuracy:
        best = config.lowest
    elif _impossible(config, trail):
        best, _ = bracket(config, trail)
        return close and _tried(trail, best)
    else:
        best = config.highest
    return _tried(trail, best) or (close and _known(config, trail, best))


def _known(config: SearchConfig, trail: Sequence[Probe], sparsity: float) -> bool:
    """Whether the result is known: tried, or no pruning, which loses no accuracy."""
    return _tried(trail, sparsity) or (config.about_accuracy and sparsity == 0)


def _tried(trail: Sequence[Probe], sparsity: float) -> bool:
    return any(probe.sparsity == sparsity for probe in trail)


def _between(low: float, high: float) -> float:
    """The middle of the logarithms of the densities."""
    return round(1 - math.sqrt((1 - low) * (1 - high)), DIGITS)


def _step_further(first: float, edge: float, end: float) -> float:
    """The next try beyond ``edge`` on the way from ``first`` to ``end``: twice as far as ``edge``
    plus a step, but no further than ``end``."""
    distance = abs(math.log((1 - edge) / (1 - first)))
    step = math.copysign(2 * distance + math.log(STEP), edge - end)
    further = round(1 - (1 - first) * math.exp(step), DIGITS)
    if further == edge:
        further = round(edge + math.copysign(10**-DIGITS, end - edge), DIGITS)
    beyond = further >= end if end > edge else further <= end
    return end if beyond else further


def _clipped(config: SearchConfig, sparsity: float) -> float:
    return min(max(round(sparsity, DIGITS), config.lowest), config.highest)
