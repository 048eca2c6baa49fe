"""What all journeys do in a browser."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from e2e_dashboard import COOKIE
from playwright.sync_api import Browser, Page, expect

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
CONTEXT = {
    "viewport": {"width": 1280, "height": 900},
    "reduced_motion": "reduce",
    "locale": "en-GB",
    "timezone_id": "UTC",
}
PATIENCE = 90_000  # ms that a short run may take on a busy machine
expect.set_options(timeout=20_000)


class Visitor:
    """One person in a browser of their own, known by the cookie ``secret`` (none: a first visit).

    ``faults`` collects what must not happen on any page: script errors, and calls to anybody but
    the dashboard.
    """

    def __init__(self, browser: Browser, url: str, secret: str | None = None, **settings: object):
        self.url = url
        self.faults: list[str] = []
        self.context = browser.new_context(**{**CONTEXT, **settings})
        if secret:
            self.context.add_cookies([{"name": COOKIE, "value": secret, "url": url}])

    def open(self, path: str = "") -> Page:
        """A new tab, at that page of the dashboard."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._heard(request.url))
        page.goto(self.url + path)
        settled(page)
        return page

    def _heard(self, url: str) -> None:
        own = self.url.removeprefix("http://")
        if not url.startswith((self.url, f"ws://{own}", "data:", "blob:")):
            self.faults.append(f"called {url}")


QUIET_PAGE = """
() => {
  const app = document.querySelector("[data-testid=stApp]")?.dataset
  const main = document.querySelector("[data-testid=stMain]")
  const drawn = app?.testScriptState === "notRunning" && app.testConnectionState === "CONNECTED"
    && main && !main.querySelector("[data-testid=stSkeleton], [data-stale=true]")
    && [...main.querySelectorAll("[data-testid=stVegaLiteChart]")].every(
      chart => chart.querySelector("canvas, svg.marks"))
  const height = drawn ? main.scrollHeight : null
  const same = height !== null && height === window.lastHeight
  window.lastHeight = height
  window.sameHeight = same ? (window.sameHeight ?? 0) + 1 : 0
  return window.sameHeight >= 3
}
"""


def settled(page: Page) -> None:
    """Wait until the page is drawn, charts and all, and stays as it is for a moment; not while a
    run is followed, which draws again and again."""
    page.wait_for_function(QUIET_PAGE, polling=100, timeout=20_000)
    assert not page.get_by_test_id("stException").count(), "the page broke: see the server's log"


def width(page: Page) -> int:
    """Pixels that the page needs; more than the screen has means scrolling sideways."""
    return int(
        page.evaluate(
            "Math.max(document.documentElement.scrollWidth,"
            " document.querySelector('[data-testid=stMain]').scrollWidth)"
        )
    )


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {node['html'][:200]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def press(page: Page, name: str) -> None:
    """Press the button of that name."""
    page.get_by_role("button", name=name, exact=True).click()


def download(page: Page, folder: Path, name: str | re.Pattern[str]) -> Path:
    """Press a download button; the file that comes, under the name that it comes with."""
    with page.expect_download() as coming:
        page.get_by_role("button", name=name).click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path
