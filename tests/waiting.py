"""Patience: tests wait for states, however slow the machine, and never for moments."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds after which what should happen will not: a hundred times what a quiet machine needs."""


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until ``true`` returns something true. It may raise where that cannot come any more."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        time.sleep(0.02)
