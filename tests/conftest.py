"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
"""Larger reference material beside the repository, where there is any."""

WITH_SHARED = ("with", "../shared")


def pytest_configure() -> None:
    # Networks in tests are tiny: more threads only wait for each other.
    torch.set_num_threads(1)


@pytest.fixture
def shared_cifar10(request: pytest.FixtureRequest) -> Path:
    """CIFAR-10 as 60,000 JPEG files in a zip of class folders, as people bring their data."""
    path = SHARED / "data" / "cifar10-jpeg.zip"
    if not path.is_file():
        pytest.skip("there is no ../shared/data/cifar10-jpeg.zip beside the repository")
    request.node.user_properties.append(WITH_SHARED)
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # The tests may have run in other processes: only their reports come here.
    passed = terminalreporter.stats.get("passed", [])
    count = sum(WITH_SHARED in report.user_properties for report in passed)
    terminalreporter.write_line(f"{count} tests ran with ../shared")
