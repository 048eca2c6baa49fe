"""What all tests share."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest
from collecting import COLLECTED
from paths import SHARED

from prospr_engine.data import DATASETS
from prospr_engine.data.readers import FORMATS
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.models import MODELS
from prospr_engine.models.imports import network_file
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import CONTROLS

# Networks in tests are tiny: more threads only wait for each other. PyTorch, NumPy and the
# processes that tests start read this when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"
# Hardly any test asks how fast a file is: those that do switch this on.
os.environ["PROSPR_TIMING"] = "0"

WITH_SHARED = ("with", "../shared")

EXPORTER = "torch.onnx._internal.exporter._registration"
"""Where PyTorch keeps its translations to ONNX."""


def pytest_make_parametrize_id(val: object, argname: str) -> None:
    """Refuse bytes as the id of a test: archives and pickles differ from one process to the next
    (the time, the version), and processes that collect different tests cannot share them."""
    if isinstance(val, bytes | bytearray):
        pytest.fail(f"bytes in {argname!r}: name the case with ids=… or pytest.param(…, id=…)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COLLECTED] = [item.nodeid for item in items]


def pytest_runtest_setup() -> None:
    """Let PyTorch read its 500 translations once per process: it parses their source again for each
    export, which takes longer than the export. Only where a test has imported it already."""
    exporter = sys.modules.get(EXPORTER)
    registry = getattr(exporter, "ONNXRegistry", None)
    if registry and not hasattr(registry.from_torchlib, "cache_info"):
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


@pytest.fixture
def shared_cifar10(request: pytest.FixtureRequest) -> Path:
    """CIFAR-10 as 60,000 JPEG files in a zip of class folders, as people bring their data."""
    path = SHARED / "data" / "cifar10-jpeg.zip"
    if not path.is_file():
        pytest.skip("there is no ../shared/data/cifar10-jpeg.zip beside the repository")
    request.node.user_properties.append(WITH_SHARED)
    return path


@pytest.fixture
def sandboxed() -> None:
    """For tests in which files are opened in a process of their own, where others do without."""
    network_file._tried.cache_clear()


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is gone after it."""
    for table in (METHODS, CONTROLS, MODELS, DATASETS, FORMATS, ENCODINGS):
        monkeypatch.setattr(table, "_specs", table._specs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # The tests may have run in other processes: only their reports come here.
    passed = terminalreporter.stats.get("passed", [])
    count = sum(WITH_SHARED in report.user_properties for report in passed)
    terminalreporter.write_line(f"{count} tests ran with ../shared")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``-m gpu`` imports only the folders and files that have such tests: a machine lent for its
    GPU need not have what the dashboard and the browser need."""
    if config.option.markexpr != "gpu":
        return None
    files = [collection_path] if collection_path.is_file() else collection_path.rglob("test_*.py")
    return not any("pytest.mark.gpu" in file.read_text("utf-8") for file in files) or None
