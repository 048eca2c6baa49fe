"""Sentences about what a run will take."""

from __future__ import annotations

from app.services.estimates import Forecast, Plan
from app.ui.format import counted

TOO_LONG = (
    "This would take very long without a GPU. Fewer epochs, fewer images (Advanced, Data) or a "
    "smaller model take less time."
)
UNKNOWN = (
    "The images differ in size, so the time is only known once they are read. Choose an image size "
    "(Advanced, Data) to see an estimate now."
)


def basis(forecast: Forecast | Plan) -> str:
    """What the estimated time is based on."""
    if forecast.assumes_cpu:
        return (
            "Estimated from the multiply-adds, for a CPU. This machine seems to have a GPU, which "
            "is much faster; the first run will show."
        )
    if not forecast.earlier:
        return (
            "Estimated from the multiply-adds, for a typical CPU: half or twice as long is "
            "possible. Runs on this machine improve it."
        )
    runs = counted(forecast.earlier, "earlier run")
    what = "of the same network" if forecast.same_network else "of other networks"
    return f"From {runs} {what} on this machine."


def fine_tuning(rate: float) -> str:
    """At which learning rate given weights are trained further."""
    return (
        f"Given weights are fine-tuned: the learning rate starts at {rate:.2g}, a tenth of the "
        "network's own (Advanced, Training)."
    )


def too_long(minutes: float) -> str:
    """That the server will probably end such a run."""
    return (
        f"This server ends a run after {minutes:g} minutes, and this would probably take longer. "
        "Choose fewer epochs, fewer images (Advanced, Data) or a smaller model, or run it on the "
        "command line, which has no such limit."
    )


def queue(ahead: int) -> str:
    """How many runs come first."""
    return (
        f"{counted(ahead, 'run is', 'runs are')} ahead of yours. Runs are computed one at a time."
    )
