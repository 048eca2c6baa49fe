"""What a run will take, in words: rounded so that nobody takes it for more than an estimate."""

from __future__ import annotations

from app.services.estimates import Forecast, Plan
from app.ui.format import counted

TOO_LONG = (
    "This would take very long without a GPU. Fewer epochs, fewer images (Advanced, Data) or a "
    "smaller model take less time."
)


def rests_on(forecast: Forecast | Plan) -> str:
    """What the time was worked out from."""
    if forecast.by_processor:
        return (
            "Estimated from the operations, for a CPU. This machine seems to have a GPU, which is "
            "much faster; the first run will show."
        )
    if not forecast.earlier:
        return (
            "Estimated from the operations, for a typical CPU: half or twice as long is possible. "
            "Runs on this machine improve it."
        )
    runs = counted(forecast.earlier, "earlier run")
    what = "of the same network" if forecast.alike else "of other networks"
    return f"From {runs} {what} on this machine."


def queue(ahead: int) -> str:
    """Who comes first."""
    return f"{counted(ahead, 'run is', 'runs are')} ahead of yours: one is computed at a time."
