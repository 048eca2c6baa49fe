"""The suite itself: that every process collects the same tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from collecting import COLLECTED
from paths import ROOT


def collected(hash_seed: str) -> list[str]:
    """The ids of all tests, as a fresh process finds them."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    return [line for line in found.stdout.splitlines() if "::" in line]


def test_every_process_collects_the_same_tests(request: pytest.FixtureRequest):
    """Processes that share the tests between them have to agree on the ids: none may come from
    the clock, from the order of a set, or from a number made up anew each time."""
    first, second = request.config.stash[COLLECTED], collected("1")  # at another time of day
    if len({id.partition("::")[0] for id in first}) < 100:  # not the whole suite
        first = collected("2")
    assert len(first) > 1000
    assert [*set(first) ^ set(second)] == []
    # In which order is for xdist to compare: pytest itself changes it after the stash.
    assert sorted(first) == sorted(second)
