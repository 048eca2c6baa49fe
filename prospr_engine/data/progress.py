"""Progress events for reading data, at most ten a second."""

from __future__ import annotations

import time

from prospr_engine.events import OnEvent, Progress

INTERVAL = 0.1  # seconds


class Ticker:
    """Counts towards ``total`` and reports now and then, and always at the end."""

    def __init__(self, on_event: OnEvent, total: int, unit: str, text: str):
        self.on_event = on_event
        self.total = total
        self.unit = unit
        self.text = text
        self._reported = -1
        self._when = float("-inf")

    def at(self, done: int) -> None:
        done = min(done, self.total)
        now = time.monotonic()
        if done != self._reported and (done == self.total or now - self._when >= INTERVAL):
            self._reported, self._when = done, now
            self.on_event(Progress("data", done, self.total, self.unit, self.text))
