"""What all journeys do in a browser."""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import playwright.sync_api
from axe_playwright_python.sync_playwright import Axe
from e2e_dashboard import COOKIE
from playwright.sync_api import Browser, Error, Locator, Page
from waiting import PATIENCE

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
LOOK = 2_000  # ms after which a journey that waits looks whether it waits in vain


class Visitor:
    """One person in a browser of their own, known by the cookie ``secret`` (none: a first visit).

    ``faults`` collects what must not happen on any page: script errors, and calls to anybody but
    the dashboard.
    """

    def __init__(self, browser: Browser, url: str, secret: str | None = None, **settings: object):
        self.url = url
        self.faults: list[str] = []
        self.context = browser.new_context(**{**CONTEXT, **settings})
        self.context.set_default_timeout(1000 * PATIENCE)
        self.context.add_init_script(NOTE_ERRORS)
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


NOTE_ERRORS = """
window.scriptErrors = []
window.addEventListener("error", event => window.scriptErrors.push(event.message))
"""
BROKEN = """
() => {
  const box = document.querySelector("[data-testid=stException]")
  return box ? box.innerText : (window.scriptErrors ?? [])[0] ?? null
}
"""


def broken(page: Page) -> str | None:
    """The error that the page shows, or that its scripts met."""
    with suppress(Error):  # while it goes to another page
        found: str | None = page.evaluate(BROKEN)
        return found
    return None


class expect:  # noqa: N801
    """Playwright's ``expect``, with patience: it fails at once where the page broke, and gives
    whatever else it waits for all the time that the slowest machine needs."""

    def __init__(self, actual: Page | Locator):
        self._actual = actual

    def __getattr__(self, name: str) -> Any:
        page = self._actual if isinstance(self._actual, Page) else self._actual.page
        check = getattr(playwright.sync_api.expect(self._actual), name)

        def wait(*arguments: Any, **options: Any) -> None:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    return check(*arguments, **options, timeout=LOOK)
                except AssertionError:
                    assert not (error := broken(page)), f"the page broke: {error}"
                    if time.monotonic() > end:
                        raise

        return wait


QUIET_PAGE = """
() => {
  if (document.querySelector("[data-testid=stException]")) return true
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
    page.wait_for_function(QUIET_PAGE, polling=100)
    assert not (error := broken(page)), f"the page broke: {error}"


def width(page: Page) -> int:
    """Pixels that the page needs; more than the screen has means scrolling sideways."""
    return int(
        page.evaluate(
            "Math.max(document.documentElement.scrollWidth,"
            " document.querySelector('[data-testid=stMain]').scrollWidth)"
        )
    )


# Nothing fades, and whatever begins to fade from now on is counted.
STILL = """
() => {
  const ends = animation => animation.effect?.getComputedTiming().endTime !== Infinity
  if (document.getAnimations().some(ends) || document.querySelector("[data-stale=true]"))
    return false
  if (window.fading === undefined)
    document.addEventListener("transitionrun", event => {
      if (event.propertyName === "opacity") window.fading += 1
    }, true)
  window.fading = 0
  return true
}
"""


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people out. An element that is just fading in or out has another
    contrast than the one that people read, so only a look at a page that stands still counts."""
    end = time.monotonic() + PATIENCE
    while True:
        page.wait_for_function(STILL)
        found = [
            f"{v['id']}: {node['html'][:200]}"
            for v in Axe().run(page).response["violations"]
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ]
        if not found or not page.evaluate("window.fading") or time.monotonic() > end:
            return found


def press(page: Page, name: str) -> None:
    """Press the button of that name."""
    button = page.get_by_role("button", name=name, exact=True)
    expect(button).to_be_visible()
    button.click()


def download(
    page: Page,
    folder: Path,
    name: str | re.Pattern[str],
    role: Literal["button", "link"] = "button",
) -> Path:
    """Press a button or link to download; the file that comes, under the name that it comes
    with."""
    with page.expect_download() as coming:
        page.get_by_role(role, name=name).click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path
