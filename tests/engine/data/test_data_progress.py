from __future__ import annotations

from types import SimpleNamespace

from prospr_engine.data import progress
from prospr_engine.data.progress import Ticker
from prospr_engine.events import Progress


def test_events_are_throttled_and_the_end_is_reported_once(monkeypatch) -> None:
    clock = SimpleNamespace(monotonic=iter(range(10**6)).__next__)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "INTERVAL", 10)
    events: list[Progress] = []
    ticker = Ticker(events.append, 95, "images", "Reading")
    for done in (*range(1, 96), 95, 99):
        ticker.at(done)
    assert [event.done for event in events] == [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 95]
    assert events[0] == Progress("data", 1, 95, "images", "Reading")
