"""A real server and a real Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
STREAMLIT = (sys.executable, "-m", "streamlit", "run")
MISSING = (
    "No Chromium was found: apt-get install chromium, or set CHROMIUM to the path of one, and "
    "these tests run."
)
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session", autouse=True)
def chromium() -> None:
    if CHROMIUM is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: every test module has a server of its own. (And the plugin's own fixture of this
    name is declared in a way that pytest 9 warns of.)"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    quiet = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": quiet}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_context_args,
        "viewport": {"width": 1280, "height": 900},
        "reduced_motion": "reduce",
        "locale": "en-GB",
        "timezone_id": "UTC",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, chromium: None) -> Iterator[str]:
    """The address of a dashboard of our own."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [*STREAMLIT, "app/streamlit_app.py", "--server.port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PROSPR_RUNS": str(folder / "runs"), "PROSPR_ALLOW_PATHS": ""},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        _wait(process, address, folder / "server.log")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}_stcore/health", timeout=1) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


@pytest.fixture
def visit(page: Page, server: str) -> Iterator[Page]:
    """The first page, as a visitor finds it. A script error or a call to anybody else fails."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server, "data:", "blob:", "ws://127.0.0.1"))
            else faults.append(f"called {request.url}")
        ),
    )
    page.goto(server)
    settled(page)
    yield page
    assert not faults


def settled(page: Page) -> None:
    """Wait until the page is drawn; not while a run is followed, which draws again and again."""
    page.locator(
        "[data-testid=stApp][data-test-script-state=notRunning]"
        "[data-test-connection-state=CONNECTED]"
    ).wait_for(state="attached")
