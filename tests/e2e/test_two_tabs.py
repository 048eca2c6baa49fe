"""Two tabs of one browser, opened at the same moment on a first visit."""

from __future__ import annotations

import re

import pytest
from conftest import Come
from e2e_browser import expect, press, settled
from e2e_dashboard import COOKIE, Dashboard, owner, visitors
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
ALICE, _ = visitors("two tabs")

OURS = re.compile("[0-9a-f]{32}")
# The other tab's cookie comes once this one has told the server that it has none.
LATE = """
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given)
    this.addEventListener("open", () => { document.cookie = "%s; Path=/" })
  }
}
"""


def arrived(come: Come, cookie: str) -> tuple[Page, list[str]]:
    """A first visit during which ``cookie`` comes; and the pages that were loaded until the visitor
    had a cookie of the dashboard's."""
    visitor = come()
    visitor.context.add_init_script(LATE % cookie)
    page, loads = visitor.context.new_page(), []
    page.on("load", lambda loaded: loads.append(loaded.url))
    page.goto(visitor.url)
    # Another tab's cookie is taken over by loading the page again; one that is none is replaced.
    while len(loads) < (2 if ALICE in cookie else 1) or not OURS.fullmatch(kept(page)):
        page.wait_for_timeout(100)
    settled(page)
    return page, loads


def kept(page: Page) -> str:
    return next((c["value"] for c in page.context.cookies() if c["name"] == COOKIE), "")


def test_the_second_tab_becomes_the_first_ones_visitor(come: Come, dashboard: Dashboard):
    page, loads = arrived(come, f"{COOKIE}={ALICE}")
    assert len(loads) == 2
    press(page, "Prune and train")
    expect(page.get_by_text("Your run")).to_be_visible()
    run = dashboard.store.get(page.url[-32:])
    assert run
    assert run.owner == owner(ALICE)
    page.reload()
    expect(page.get_by_text("Your run")).to_be_visible()


def test_a_cookie_that_is_none_of_ours_is_replaced(come: Come):
    _, loads = arrived(come, f"{COOKIE}=nonsense")
    assert len(loads) == 1
