"""A comparison of 11 criteria x 6 sparsities x 5 seeds: how long its visitors wait.

    python -m benchmarks.comparing

The runs are made up, the store is real. Charts should appear within a second of the page run.

- The page run: seconds in the server until everything is sent, for the first visitor after a start
  (including imports), for a first view of another comparison, and for later views.
- In Chromium: seconds from the click that opens a comparison, changes the axis, returns to an
  earlier axis or selects one criterion, until the chart is drawn.

Times depend on this machine and its load.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from app.ui.studies import title
from benchmarks.dashboard import _server
from benchmarks.exploring import CHROMIUM, until_changed
from benchmarks.made_up import FULL, swept
from benchmarks.visitors import Visit, watch
from prospr_engine.store.store import Store

TIMES = 7
# The chart as drawn, and the labels of its axes.
CHART = ".st-key-compare-accuracy svg.marks"
DRAWN = f"document.querySelector('{CHART}')?.outerHTML"
AXES = ("Weights kept", "File size", "Effective sparsity", "Sparsity")


def main() -> None:
    """Fill a store, start a server, and view comparisons as visitors do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-browser", action="store_true", help="where there is no Chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        # Several, to measure several first views. Equal settings would be the same study.
        studies = [
            swept(store, "", dataclasses.replace(FULL, seeds=tuple(range(10 * n, 10 * n + 5))))
            for n in range(TIMES)
        ]
        print(f"{len(FULL.cells())} runs in each of {len(studies)} comparisons")
        with _server(Path(folder)) as server:
            _page_run(server.port, [study.id for study in studies[:-1]])
            if not given.skip_browser:
                # The newest is at the top of the list.
                _in_browser(server.port, title(studies[-1]))


def _page_run(port: int, ids: Sequence[str]) -> None:
    first, *new = [_look(port, id) for id in ids]
    again = [_look(port, ids[0]) for _ in range(TIMES)]
    print(
        f"page run: {_ms([first])} for the first visitor, {_ms(new)} for another comparison, "
        f"{_ms(again)} for one viewed before"
    )


def _look(port: int, id: str) -> float:
    visit: Visit = asyncio.run(watch(port, "compare", f"study={id}", 0))
    for error in set(visit.errors):
        print(f"  a visitor saw an error: {error}")
    return visit.first


def _in_browser(port: int, name: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/compare")
        link = page.get_by_role("button", name=name).first
        link.wait_for(timeout=60_000)
        opened = until_changed(page, link.click, DRAWN)
        others = [_switch(page, axis) for axis in AXES[:-1]]
        known = [_switch(page, axis) for axis in AXES[::-1] + AXES[1:]]
        fewer = until_changed(page, lambda: _choose(page, "SNIP"), DRAWN)
        print(
            f"in Chromium, from the click until the chart is drawn: {_ms([opened])} to open it, "
            f"{_ms(others)} for another axis, {_ms(known)} for one seen before, {_ms([fewer])} "
            "for a single criterion"
        )
        browser.close()


def _switch(page: Page, axis: str) -> float:
    radio = page.get_by_role("radio", name=axis, exact=True)
    return until_changed(page, radio.click, DRAWN)


def _choose(page: Page, criterion: str) -> None:
    page.get_by_role("combobox", name="Criteria").click()
    page.get_by_role("option", name=criterion, exact=True).click()


def _ms(seconds: Sequence[float]) -> str:
    median = f"{1e3 * statistics.median(seconds):.0f} ms"
    return median if len(seconds) == 1 else f"{median} (at most {1e3 * max(seconds):.0f})"


if __name__ == "__main__":
    main()
