"""The journeys of a first visit, in a real browser."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import settled
from playwright.sync_api import Page, expect

from prospr_engine.export.verify import verify

pytestmark = pytest.mark.browser

PATIENCE = 90_000  # ms that a short run may take on a busy machine


def choose_epochs(page: Page, epochs: int) -> None:
    page.get_by_text("Advanced").click()
    page.get_by_role("tab", name="Training").click()
    field = page.get_by_role("spinbutton", name="Epochs")
    field.fill(str(epochs))
    field.press("Enter")
    settled(page)


def start(page: Page) -> None:
    page.get_by_role("button", name="Prune and train", exact=True).click()
    expect(page.get_by_role("heading", name="Running")).to_be_visible()


def widest(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {node['html'][:120]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def test_first_visit_to_download(visit: Page, tmp_path: Path):
    page = visit
    choose_epochs(page, 1)
    start(page)
    expect(page.get_by_role("heading", name="What was kept of every layer")).to_be_visible(
        timeout=PATIENCE
    )
    address = page.url
    assert re.search(r"\?run=[0-9a-f]{32}$", address)
    page.reload()  # in mid-run
    expect(page.get_by_role("heading", name=re.compile("Running|test accuracy"))).to_be_visible()
    assert page.url == address

    answer = page.get_by_role("heading", name=re.compile(r"^90.% of the weights removed; test"))
    expect(answer).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("The file is what its label says")).to_be_visible()
    for chart in page.get_by_test_id("stVegaLiteChart").all():
        expect(chart.locator("canvas, svg").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^.*Download model.onnx")).click()
    assert download.value.suggested_filename == "model.onnx"
    download.value.save_as(tmp_path / "model.onnx")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download masks", exact=True).click()
    download.value.save_as(tmp_path / "masks.safetensors")
    proof = verify(tmp_path / "model.onnx")
    assert proof.ok, proof.failures
    assert proof.zeros == 54_619

    # The same result, wide and narrow, light and dark: nothing is cut off, nobody is kept out.
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.goto(address)
            expect(answer).to_be_visible()
            settled(page)
            assert widest(page) <= width
            assert not serious(page), (width, scheme)


def test_a_friend_opens_the_link_and_stop_stops_within_two_seconds(
    visit: Page, new_context, server: str
):
    page = visit
    choose_epochs(page, 500)
    start(page)
    expect(page.get_by_role("heading", name="Accuracy while training")).to_be_visible(
        timeout=PATIENCE
    )
    assert not serious(page)

    friend = new_context().new_page()
    friend.goto(page.url)
    expect(friend.get_by_role("heading", name="Running")).to_be_visible()
    stranger = new_context().new_page()
    stranger.goto(server)
    settled(stranger)
    stranger.get_by_role("button", name="Prune and train", exact=True).click()
    expect(stranger.get_by_role("heading", name="Waiting: 1 run is ahead of yours")).to_be_visible()
    stranger.get_by_role("button", name="Stop", exact=True).click()
    expect(stranger.get_by_text("The run was stopped")).to_be_visible()

    asked = time.monotonic()
    page.get_by_role("button", name="Stop", exact=True).click()
    # The run is gone within two seconds, and the page looks once a second.
    expect(page.get_by_text("The run was stopped")).to_be_visible(timeout=3_000)
    print(f"stop was seen after {time.monotonic() - asked:.1f} s")
    expect(friend.get_by_text("The run was stopped")).to_be_visible()
    # Settings are as they were.
    expect(page.get_by_role("spinbutton", name="Epochs")).to_have_value("500")
    expect(page.get_by_role("button", name="Prune and train", exact=True)).to_be_enabled()


def test_the_empty_page_and_an_unknown_model_at_400_pixels(visit: Page, server: str):
    page = visit
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(server)
    settled(page)
    assert widest(page) <= 400
    assert not serious(page)
    model = page.get_by_role("combobox", name="Model")
    model.click()
    model.fill("resnet21")
    model.press("Enter")
    expect(page.get_by_text("There is no model called 'resnet21'")).to_be_visible()
    expect(page.get_by_role("button", name="Prune and train", exact=True)).to_be_disabled()
    assert widest(page) <= 400
    assert not serious(page)
    # The form is longer than the screen, and yet what the button does is seen at once.
    page.goto(server)
    settled(page)
    choose_epochs(page, 500)
    start(page)
    expect(page.get_by_role("heading", name="Running")).to_be_in_viewport()
    bar = page.get_by_test_id("stHeader").bounding_box()
    heading = page.get_by_role("heading", name="Running").bounding_box()
    assert bar
    assert heading
    assert heading["y"] >= bar["y"] + bar["height"]
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.click()
    expect(page.get_by_text("The run was stopped")).to_be_visible()
    page.goto(f"{server}?run=0123")
    expect(page.get_by_text("not known here any more")).to_be_visible()
