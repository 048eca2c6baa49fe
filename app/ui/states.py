"""The state of a run, in words and as an icon."""

from __future__ import annotations

from app.services import Run
from app.ui.format import counted

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
        return f"Waiting for {counted(run.ahead, 'run')}"
    return WORDS[run.state]
