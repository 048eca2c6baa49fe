"""How long a visitor waits when exploring a large network, in Chromium."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Locator, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
LAYER = "512 output by 512 input channels, kernels of 3 × 3"
"""How the page describes the layers whose masks are measured."""
MOVES = 5
# The pictures of masks and the numbers at the bars, as text.
CHART = "[data-testid=stVegaLiteChart]"
PICTURES = f"[...document.querySelectorAll('{CHART} image')].map(i => i.href.baseVal).join()"
BARS = f"document.querySelector('{CHART}')?.textContent"


def measure(port: int, run_id: str) -> None:
    """View masks and move the slider on the page of a finished run, and print the times."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        page.goto(f"http://127.0.0.1:{port}/run?id={run_id}")
        page.get_by_text("weights kept (").first.wait_for(timeout=60_000)
        page.wait_for_function(f"() => {PICTURES}")
        print(f"the result page, first view: {time.perf_counter() - started:.1f} s")
        _masks(page)
        _slider(page)
        browser.close()


def _masks(page: Page) -> None:
    """Select one layer after another, until its mask is drawn."""
    page.get_by_role("combobox", name="Layer").click()
    page.get_by_role("option").first.wait_for()
    names = page.get_by_role("option").all_inner_texts()
    page.keyboard.press("Escape")
    seconds = []
    for name in names[-MOVES - 2 :]:
        page.get_by_role("combobox", name="Layer").click()
        option = page.get_by_role("option", name=name, exact=True)
        option.scroll_into_view_if_needed()
        taken = until_changed(page, option.click, PICTURES)
        if page.get_by_text(LAYER).count():
            seconds.append(taken)
    print(f"masks of 512 × 512 × 3 × 3 weights: {_median(seconds)}")


def _slider(page: Page) -> None:
    """From the key press until everything but torch's health check shows the new sparsity."""
    slider = page.get_by_role("slider", name="Weights removed")
    slider.focus()
    until_changed(page, _press(slider), BARS)  # reads the scores, once
    bars = [until_changed(page, _press(slider), BARS) for _ in range(MOVES)]
    pictures = [until_changed(page, _press(slider), PICTURES) for _ in range(MOVES)]
    print(f"another sparsity: the bars {_median(bars)}, the mask too {_median(pictures)}")


def _press(slider: Locator) -> Callable[[], None]:
    return lambda: slider.press("ArrowLeft")


def until_changed(page: Page, act: Callable[[], None], shown: str) -> float:
    """Seconds from the action until ``shown`` has changed."""
    page.wait_for_timeout(1500)  # let earlier work finish
    before = page.evaluate(shown)
    started = time.perf_counter()
    act()
    page.wait_for_function(
        f"before => {{ const now = {shown}; return now && now !== before }}", arg=before
    )
    return time.perf_counter() - started


def _median(seconds: list[float]) -> str:
    if not seconds:
        return "none found"
    return f"{statistics.median(seconds):.2f} s (at most {max(seconds):.2f}, {len(seconds)} times)"
