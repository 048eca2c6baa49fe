"""The library: find, rename, compare two, delete."""

from __future__ import annotations

import re

import pytest
from conftest import Come
from e2e_browser import expect, press, settled
from e2e_dashboard import READY, SPARSER, Dashboard, visitors
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
ALICE, _ = visitors("library")


def choose(page: Page, name: str) -> None:
    page.get_by_role("checkbox", name=name).locator("xpath=ancestor::label").click()
    settled(page)


def test_runs_are_found_named_compared_and_deleted(come: Come, dashboard: Dashboard):
    first, second = (dashboard.finished(config, ALICE) for config in (READY, SPARSER))
    page = come(ALICE).open("runs")
    expect(page.get_by_text("2 runs.")).to_be_visible()
    boxes = page.get_by_role("checkbox")
    boxes.last.locator("xpath=ancestor::label").click()  # the newest is the first
    press(page, "Rename")
    page.get_by_role("textbox", name="Name").fill("Ninety")
    press(page, "Save")
    expect(page.get_by_role("link", name="Ninety")).to_be_visible()
    settled(page)
    press(page, "Clear selection")
    expect(page.get_by_role("button", name="Rename")).to_have_count(0)

    search = page.get_by_role("searchbox", name="Search")
    search.fill("ninety")
    expect(page.get_by_text("1 of 2 runs.")).to_be_visible()
    search.fill("no run is called that")
    expect(page.get_by_text("No matching runs.")).to_be_visible()
    press(page, "Show all runs")
    expect(page.get_by_text("2 runs.")).to_be_visible()

    settled(page)
    choose(page, "Ninety")
    choose(page, "Small CNN on Digits")
    press(page, "Compare")
    expect(page).to_have_url(re.compile("compare"))
    assert {first.id, second.id} == set(re.findall("[0-9a-f]{32}", page.url))
    for share in ("90", "98"):
        answer = page.get_by_role("heading", name=re.compile(f"^{share}.% of the weights removed"))
        expect(answer).to_be_visible()
    settled(page)

    page.goto(f"{dashboard.url}runs")
    settled(page)
    choose(page, "Ninety")
    press(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("1 run.")).to_be_visible()
    assert dashboard.store.get(first.id) is None
    settled(page)
    page.goto(f"{dashboard.url}run?id={first.id}")
    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
