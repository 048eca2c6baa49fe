"""A finished run explored: another sparsity at once, images tried, two runs side by side."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from conftest import Come
from e2e_browser import expect, press, settled
from e2e_dashboard import READY, SPARSER, Dashboard, visitors
from PIL import Image
from playwright.sync_api import Page

from app.try_it.changed import PAGE
from prospr_engine.store.records import Run

pytestmark = pytest.mark.browser
ALICE, _ = visitors("result")


def result_of(dashboard: Dashboard, run: Run) -> dict[str, Any]:
    path = dashboard.store.files(run.id)["result.json"].path
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def expect_layers(page: Page, result: dict[str, Any]) -> None:
    """The bars carry the counts of that result."""
    bars = page.get_by_test_id("stVegaLiteChart").first
    for layer in result["layers"]:
        expect(bars.get_by_text(f"{layer['kept']:,} of {layer['total']:,}")).to_be_visible()


def test_the_slider_shows_what_the_engine_would_keep_and_trains_it(
    come: Come, dashboard: Dashboard
):
    run = dashboard.finished(READY, ALICE)
    trained = result_of(dashboard, dashboard.finished(SPARSER, "f" * 32))
    page = come(ALICE).open(f"run?id={run.id}")
    expect_layers(page, result_of(dashboard, run))
    expect(page.get_by_text("6,069 of 60,688 weights kept")).to_be_visible()

    slider = page.get_by_role("slider", name="Weights removed")
    slider.focus()
    slider.press("End")
    expect(page).to_have_url(re.compile(r"at=0\.999"))
    expect(page.get_by_text("61 of 60,688 weights kept")).to_be_visible()
    # What that would do is said, too.
    expect(page.get_by_text("lost all its").first).to_be_visible()

    # The bars, counts and findings of a run that was trained there, bit for bit.
    page.goto(f"{dashboard.url}run?id={run.id}&at=98")
    expect(page.get_by_text("1,214 of 60,688 weights kept")).to_be_visible()
    expect_layers(page, trained)
    press(page, "Train at 98\N{NO-BREAK SPACE}%")
    expect(
        page.get_by_role("heading", name=re.compile("^98.% of the weights removed"))
    ).to_be_visible()
    assert run.id not in page.url
    settled(page)
    expect_layers(page, trained)
    expect(page.get_by_role("slider", name="Weights removed")).to_have_value("98")


def test_images_are_drawn_taken_and_uploaded(come: Come, dashboard: Dashboard):
    run = dashboard.finished(READY, ALICE)
    gallery = result_of(dashboard, run)["predictions"]
    page = come(ALICE).open(f"try?id={run.id}")
    says = page.get_by_text(re.compile("^Both networks say|^The dense network says"))
    board = page.get_by_role("img", name="Drawing area")
    box = board.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 4 / 5, steps=5)
    page.mouse.up()
    expect(says).to_be_visible()
    expect(page.get_by_text("Network input")).to_be_visible()
    press(page, "Clear")
    expect(says).to_have_count(0)

    page.get_by_role("radio", name="Test image").click()
    expect(says).to_be_visible()
    number = page.get_by_text(re.compile("^1 of "))
    expect(number).to_be_visible()
    press(page, "Next")
    expect(page.get_by_text(re.compile("^2 of "))).to_be_visible()

    page.get_by_role("radio", name="Upload").click()
    picture = np.zeros((32, 32), np.uint8)
    picture[4:28, 14:18] = 255
    file = dashboard.folder / "one.png"
    Image.fromarray(picture).save(file)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
    expect(says).to_be_visible()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": "two.png", "mimeType": "image/png", "buffer": b"no image at all"}
    )
    expect(page.get_by_role("alert").first).to_be_visible()

    # As many images changed their answer as the result says, and each of them can be seen.
    changed = sum(a != b for a, b in zip(gallery["dense"], gallery["pruned"], strict=True))
    expect(page.get_by_text(f"the predictions of {changed} changed")).to_be_visible()
    wall = page.get_by_role("listitem").filter(has_text="Pruned")
    for shown in range(PAGE, changed, PAGE):
        expect(wall).to_have_count(shown)
        page.get_by_role("button", name=re.compile("^Show .* more|expand_more")).click()
    expect(wall).to_have_count(changed)
