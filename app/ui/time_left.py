"""How long a run will still take, as far as that can be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ENOUGH_SHARE, ENOUGH_SECONDS = 0.05, 4.0
"""How much of the training, or else how many seconds of it, has to be over before its pace
counts: the first batches are slower than the others."""

AFTER = 6.0
"""Seconds for test and export: about what they take for a small network. Where they take longer,
the training took so long that it makes no difference."""


def seconds_left(
    events: Sequence[Mapping[str, Any]], now: float, estimate: float | None = None
) -> float | None:
    """Seconds until the run is over, never below zero; None if nothing is known.

    ``events`` are those of the run so far with their ``time``. Training tells by its own pace;
    before that there is only ``estimate``, the seconds that the whole run was expected to take.
    """
    starts = {e["stage"]: e["time"] for e in events if e["event"] == "StageStarted"}
    if not starts:
        return None
    training = _of_training(events, starts, now)
    if training is not None:
        return training + AFTER
    if "test" in starts:
        left = AFTER - (now - starts["test"])
    elif estimate is not None:
        left = estimate - (now - min(starts.values()))
    else:
        return None
    # What is used up was wrong, and says nothing any more.
    return left if left > 0 else None


def _of_training(
    events: Sequence[Mapping[str, Any]], starts: Mapping[str, float], now: float
) -> float | None:
    """Seconds until the training is over, by its pace so far."""
    if "train" not in starts or "test" in starts:
        return None
    told = [e for e in events if e["event"] == "Progress" and e["stage"] == "train"]
    if not told or not told[-1]["done"]:
        return None
    last = told[-1]
    took, share = last["time"] - starts["train"], last["done"] / last["total"]
    if share < ENOUGH_SHARE and took < ENOUGH_SECONDS:
        return None
    return max(0.0, took / share - took - (now - last["time"]))
