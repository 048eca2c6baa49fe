"""Work in a process of its own: limits on memory, time and files, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prospr_engine.errors import DataError, ResourceError
from prospr_engine.guard.sandbox import call

TASKS = "sandbox_tasks"


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def work(task, memory=200_000_000, seconds=20, **arguments):
    return call(f"{TASKS}:{task}", arguments, "x.onnx", memory, seconds)


def test_the_result_comes_back_whatever_is_printed():
    assert work("double", number=21) == {"number": 42}


def test_an_error_for_the_user_comes_back_as_it_was():
    with pytest.raises(DataError, match=r"^This file is odd\.$"):
        work("refuse", text="This file is odd.")


def test_memory_is_limited_and_no_more_is_taken():
    assert work("hoard", size=100_000_000) == 100_000_000
    with pytest.raises(ResourceError, match=r"needs more than 200.MB of memory"):
        work("hoard", size=10_000_000_000)


def test_time_is_limited():
    with pytest.raises(ResourceError, match="takes more than 1 second to be opened"):
        work("spin", seconds=1)


def test_a_crash_is_a_sentence():
    with pytest.raises(ResourceError, match=r"x\.onnx could not be opened: .* crashed"):
        work("abort")


def test_no_large_file_is_written(tmp_path):
    with pytest.raises(RuntimeError, match="File too large"):
        work("write", path=str(tmp_path / "large"))
    assert (tmp_path / "large").stat().st_size <= 1_000_000


def test_a_fault_of_ours_is_not_blamed_on_the_file():
    with pytest.raises(RuntimeError, match="a fault of ours"):
        work("blunder")
