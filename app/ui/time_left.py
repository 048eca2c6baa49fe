"""The time that a run will still take."""

from __future__ import annotations

from app.services.run_events import RunEvents

ENOUGH_SHARE, ENOUGH_SECONDS = 0.05, 4.0
"""The fraction of the training, or else its seconds, after which its pace is used: the first
batches are slower than the rest."""

AFTER = 6.0
"""Seconds for test and export of a small network. Where these take longer, training takes so long
that the difference does not matter."""


def seconds_left(events: RunEvents, now: float, estimate: float | None = None) -> float | None:
    """Seconds until the run ends, never below zero; None if unknown.

    During training its pace decides; before that ``estimate``, the seconds estimated for the
    whole run.
    """
    starts = {stage.name: stage.time for stage in events.stages}
    if not starts:
        return None
    training = None if "test" in starts else _training_left(events, starts.get("train"), now)
    if training is not None:
        return training + AFTER
    if "test" in starts:
        left = AFTER - (now - starts["test"])
    elif estimate is not None:
        left = estimate - (now - min(starts.values()))
    else:
        return None
    # An estimate that is used up was wrong.
    return left if left > 0 else None


def _training_left(events: RunEvents, start: float | None, now: float) -> float | None:
    """Seconds until the training ends, by its pace so far."""
    last = events.progress.get("train")
    if start is None or last is None or not last.done:
        return None
    took = last.time - start
    if last.share < ENOUGH_SHARE and took < ENOUGH_SECONDS:
        return None
    return max(0.0, took / last.share - took - (now - last.time))
