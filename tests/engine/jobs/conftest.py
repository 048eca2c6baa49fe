"""A store of a test's own, and the workers that are started for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine.jobs.jobs_fakes import WORKER, end_workers

from prospr_engine.jobs import spawn
from prospr_engine.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    end_workers(store)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let workers that are started from now on have children that run this code."""
    monkeypatch.setattr(spawn, "PAUSE", 0.0)

    def choose(child: str) -> None:
        monkeypatch.setattr(spawn, "COMMAND", (sys.executable, "-c", WORKER.format(child=child)))

    return choose
