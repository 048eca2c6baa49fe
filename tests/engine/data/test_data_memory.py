from __future__ import annotations

from pathlib import Path

import pytest

from prospr_engine.data import memory
from prospr_engine.errors import ResourceError


def test_the_machine_has_some_memory() -> None:
    free = memory.available_bytes()
    assert free is not None
    assert 10**7 < free < 10**14


def test_half_of_the_free_memory_may_be_used(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 6_000)
    assert memory.room() == 3_000
    assert memory.fits(10, 3, 10, 10)
    assert not memory.fits(11, 3, 10, 10)


def test_a_batch_also_takes_memory_as_numbers(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * 6_000)
    memory.check_batch(20, 3, 10, 10)
    with pytest.raises(ResourceError, match=r"A batch of 21 images of 10 x 10 pixels"):
        memory.check_batch(21, 3, 10, 10)


def test_nothing_is_refused_where_the_system_does_not_report_its_memory(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    assert memory.fits(10**9, 3, 1000, 1000)
    memory.check_batch(10**9, 3, 1000, 1000)


def test_a_container_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._free_in_container(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._free_in_container(tmp_path) is None
