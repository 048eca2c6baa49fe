"""What runs leave for others is kept while it is of use, and never grows without bound."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prospr_engine.store import shared
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store

HOUR = 3600.0


def leave(folder: Path, name: str, hours: float, size: int = 10) -> None:
    """Something that was last used so many hours ago."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    used = time.time() - hours * HOUR
    os.utime(path, (used, used))
    if path.parent != folder:
        os.utime(path.parent, (used, used))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_not_used_for_a_day_goes(tmp_path: Path):
    store = Store(tmp_path)
    store.sweep()  # nobody has left anything yet
    leave(store.workspace.cache, "old", 25)
    leave(store.workspace.cache, "new", 23)
    store.sweep()
    assert names(store.workspace.cache) == {"new"}


def test_what_was_not_used_for_longest_goes_first_when_it_is_too_much(tmp_path: Path):
    for place, name in enumerate("abcde"):
        leave(tmp_path, name, place, 100_000)
    shared.sweep(tmp_path, Limits(shared_gigabytes=250e3 / 1e9), time.time())
    assert names(tmp_path) == {"a", "b"}
    shared.sweep(tmp_path, Limits(shared_gigabytes=0), time.time())
    assert names(tmp_path) == set()


def test_files_being_written_are_kept_until_their_writer_is_gone(tmp_path: Path):
    leave(tmp_path, ".passing/scores", 0.5, 1000)
    leave(tmp_path, ".left/scores", 2)
    leave(tmp_path, ".file", 2)
    shared.sweep(tmp_path, Limits(shared_gigabytes=0), time.time())
    assert names(tmp_path) == {".passing"}
