"""What a run is doing, in words and as an icon."""

from __future__ import annotations

from app.services import Run

WORDS = {
    "queued": "Waiting",
    "running": "Running",
    "done": "Done",
    "failed": "Failed",
    "stopped": "Stopped",
}
ICONS = {
    "queued": ":gray[:material/schedule:]",
    "running": ":blue[:material/pending:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
    "stopped": ":gray[:material/stop_circle:]",
}


def state(run: Run) -> str:
    """ "Done", "Running", "Waiting for 2 runs"."""
    if run.live and run.stopping:
        return "Stopping"
    if run.state == "queued" and run.ahead:
        return f"Waiting for {'1 run' if run.ahead == 1 else f'{run.ahead} runs'}"
    return WORDS[run.state]
