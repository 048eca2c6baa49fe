"""A real server and a real Chromium."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_browser import CHROMIUM, QUIET, Visitor
from e2e_dashboard import Dashboard, compute_ready
from filelock import FileLock
from playwright.sync_api import Browser

MISSING = (
    "No Chromium was found: apt-get install chromium, or set CHROMIUM to the path of one, and "
    "these tests run."
)
Come = Callable[..., Visitor]


@pytest.fixture(scope="session", autouse=True)
def chromium() -> None:
    if CHROMIUM is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: the address is known once the server has started. (And the plugin's own fixture of this
    name is declared in a way that pytest 9 warns of.)"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": QUIET}


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory, chromium: None) -> Path:
    """A store with finished runs, to be copied: computed once, whichever process comes first."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    with FileLock(folder / "ready.lock"):
        if not (folder / "ready").is_dir():
            compute_ready(folder / "being-made")
            (folder / "being-made").rename(folder / "ready")
    return folder / "ready"


@pytest.fixture(scope="session")
def shared_dashboard(tmp_path_factory: pytest.TempPathFactory, ready: Path) -> Iterator[Dashboard]:
    """A dashboard whose store holds the finished runs; one for all modules of this process."""
    ours = Dashboard(tmp_path_factory.mktemp("dashboard"), ready)
    try:
        yield ours.start()
    finally:
        ours.close()


@pytest.fixture(scope="module")
def dashboard(shared_dashboard: Dashboard) -> Iterator[Dashboard]:
    """The dashboard, with nothing in its queue. Its record also holds what earlier modules did, so
    each module has its own ``visitors``."""
    yield shared_dashboard
    shared_dashboard.empty_queue()
    assert not shared_dashboard.tracebacks()


@pytest.fixture
def come(browser: Browser, dashboard: Dashboard) -> Iterator[Come]:
    """Visitors by the secret of their cookie, each in a browser of their own. None of them may
    have met a script error, or a page that calls anybody else."""
    visitors: list[Visitor] = []

    def arrive(secret: str | None = None, **settings: Any) -> Visitor:
        visitors.append(Visitor(browser, dashboard.url, secret, **settings))
        return visitors[-1]

    yield arrive
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for visitor in visitors:
        visitor.context.close()
    assert not faults
