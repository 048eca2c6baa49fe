"""Which sparsity a search tries next: bisection of the logarithm of the density.

Plain arithmetic, without torch. A size falls as weights go; an accuracy only does so by and
large, and from seed to seed it wavers. Bisection needs no more than that a goal is met on one
side and missed on the other; what it finds is a network that was tried, not a proof about
those that were not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from prospr_engine.models.measures import Measure
from prospr_engine.pipeline.estimate import zipped_size
from prospr_engine.sweeps.search_config import Probe, SearchConfig

CLOSE = 1.1
"""Densities that differ by less than this factor are not told apart."""
STEP = 1.08
"""The first step away from a guess, as a factor of the density."""
DIGITS = 4
FAILURES = 3
"""When that many tries failed and no other was made, the fault is not in the sparsity."""


def next_sparsity(
    config: SearchConfig, trail: Sequence[Probe], guess: float | None = None
) -> float | None:
    """The sparsity to try after ``trail``, rounded to four digits; None when there is no more to
    try: ``outcome`` says what came of it.

    For an accuracy the search is for the sparsest network that meets the goal, for a size for
    the least sparse one. It begins at ``guess``, and goes from there in steps that double, if a
    good one is known (``guess_of``); else it begins in the middle and then looks at the end on
    the side of the answer, so that a hopeless goal ends it early. The same trail, the same answer.
    """
    if ended(config, trail):
        return None
    low, high = bracket(config, trail)
    if not trail:
        return _between(low, high) if guess is None else _clipped(config, guess)
    low_known, high_known = _known(config, trail, low), _known(config, trail, high)
    if low_known and high_known:
        return _between(low, high)
    edge, end = (low, high) if low_known else (high, low)
    return end if guess is None else _step_further(trail[0].sparsity, edge, end)


def ended(config: SearchConfig, trail: Sequence[Probe]) -> str:
    """Why nothing more is to be tried: "found" (no use in trying closer), "never" (no sparsity
    meets the goal), "most" (as many as allowed were tried), "failed" (every try fails); "" if
    more is to be tried."""
    if not trail:
        return ""
    met = any(probe.met for probe in trail)
    low, high = bracket(config, trail)
    close = (1 - low) / (1 - high) < CLOSE or _tried(trail, _between(low, high))
    if close and met:
        return "found"
    best = config.lowest if config.about_accuracy else config.highest
    if not met and (_tried(trail, best) or (close and _known(config, trail, best))):
        return "never"
    if len(trail) >= FAILURES and all(probe.error for probe in trail):
        return "failed"
    return "most" if len(trail) >= config.most_probes else ""


def bracket(config: SearchConfig, trail: Sequence[Probe]) -> tuple[float, float]:
    """The sparsities between which the answer lies: the best that met the goal, and the next one
    beyond it that did not. Where there is none, it is the end of what is looked at."""
    met = [probe.sparsity for probe in trail if probe.met]
    missed = [probe.sparsity for probe in trail if not probe.met]
    if config.about_accuracy:
        low = max(met, default=config.lowest)
        return low, min((s for s in missed if s > low), default=config.highest)
    high = min(met, default=config.highest)
    return max((s for s in missed if s < high), default=config.lowest), high


def guess_of(config: SearchConfig, measure: Measure) -> float | None:
    """The least sparsity at which the file of a network of ``measure`` should fit; None if the
    goal is an accuracy, which nothing foretells."""
    if config.most_bytes is None:
        return None
    most = config.most_bytes

    def fits(sparsity: float) -> bool:
        return zipped_size(measure, 1 - sparsity) <= most

    low, high = config.lowest, config.highest
    if fits(low):
        return low
    while high - low > 10**-DIGITS / 2:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return _clipped(config, high)


def _known(config: SearchConfig, trail: Sequence[Probe], sparsity: float) -> bool:
    """Was it tried? Without pruning no accuracy is lost: that needs no trying."""
    return _tried(trail, sparsity) or (config.about_accuracy and sparsity == 0)


def _tried(trail: Sequence[Probe], sparsity: float) -> bool:
    return any(probe.sparsity == sparsity for probe in trail)


def _between(low: float, high: float) -> float:
    """The middle in the logarithm of the density."""
    return round(1 - math.sqrt((1 - low) * (1 - high)), DIGITS)


def _step_further(first: float, edge: float, end: float) -> float:
    """From ``edge``, the last try of the way from ``first`` towards ``end``, once as far again
    and a step, but no further than the end."""
    way = abs(math.log((1 - edge) / (1 - first)))
    step = math.copysign(2 * way + math.log(STEP), edge - end)
    further = round(1 - (1 - first) * math.exp(step), DIGITS)
    if further == edge:
        further = round(edge + math.copysign(10**-DIGITS, end - edge), DIGITS)
    beyond = further >= end if end > edge else further <= end
    return end if beyond else further


def _clipped(config: SearchConfig, sparsity: float) -> float:
    return min(max(round(sparsity, DIGITS), config.lowest), config.highest)
