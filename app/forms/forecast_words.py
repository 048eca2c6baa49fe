"""What a run will take, in words: rounded so that nobody takes it for more than an estimate."""

from __future__ import annotations

from app.services.estimates import Forecast, Plan

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds

TOO_LONG = (
    "That is long for a processor. Fewer epochs, fewer images (Advanced, Data) or a smaller model "
    "take less; a machine with a GPU is much faster."
)


def about(seconds: float) -> str:
    """``37`` is "≈ 35 s", ``9000`` "≈ 2.5 h"."""
    if seconds < 10:
        return "under 10 s"
    for most, unit, step, word in (
        (57, 1, 5, "s"),
        (9.5 * MINUTE, MINUTE, 1, "min"),
        (57 * MINUTE, MINUTE, 5, "min"),
        (9.75 * HOUR, HOUR, 0.5, "h"),
        (1.5 * DAY, HOUR, 1, "h"),
    ):
        if seconds < most:
            rounded = max(1.0, round(seconds / unit / step) * step)
            return f"≈ {rounded:g}\N{NO-BREAK SPACE}{word}"
    return f"≈ {seconds / DAY:,.0f} days"


def roughly(number: float) -> str:
    """Two digits of it: ``40_551_040`` is "41 million", ``30_477`` "30,000"."""
    rounded = float(f"{number:.2g}")
    for one, word in ((1e9, "billion"), (1e6, "million")):
        if rounded >= one:
            return f"{rounded / one:,.{int(rounded < 10 * one)}f} {word}"
    return f"{rounded:,.0f}"


def rests_on(forecast: Forecast | Plan) -> str:
    """What the time was worked out from."""
    if forecast.by_processor:
        return (
            "What a processor would take, worked out from the operations. This machine seems to "
            "have a GPU, which is much faster; the first run will tell."
        )
    if not forecast.earlier:
        return (
            "Worked out from the operations, for a usual processor: half or twice as long is "
            "possible. Runs on this machine make it better."
        )
    runs = "1 earlier run" if forecast.earlier == 1 else f"{forecast.earlier} earlier runs"
    what = "of the same network" if forecast.alike else "of other networks"
    return f"From {runs} {what} on this machine."


def queue(ahead: int) -> str:
    """Who comes first."""
    if ahead == 1:
        return "1 run is ahead of yours: one is computed at a time."
    return f"{ahead:,} runs are ahead of yours: one is computed at a time."
