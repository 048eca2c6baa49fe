"""Processes of their own, for what only a fresh one or a killed one can show."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from paths import ROOT
from waiting import PATIENCE

# Handed to ``on_event``: waits to be killed in the midst of the third run.
HOLD = """
import time
from prospr_engine.events import CellStarted, EpochEnded
begun = 0
def hold(event):
    global begun
    begun += isinstance(event, CellStarted)
    if begun == 3 and isinstance(event, EpochEnded):
        print("here", flush=True)
        time.sleep(3600)
"""


def python(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in the project's folder, and what it wrote."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        **{"capture_output": True, "text": True, "cwd": ROOT, "timeout": PATIENCE, **more},
    )


def kill_in_third_run(code: str) -> None:
    """Run ``code``, which listens with ``hold``, and kill it once the third run trains."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD + code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "here\n", "it was over before it could be killed"
        finally:
            process.send_signal(signal.SIGKILL)
