"""Several visitors at once: links, the queue, and what is nobody else's business."""

from __future__ import annotations

import pytest
from conftest import Come
from e2e_browser import expect, press, serious, settled
from e2e_dashboard import READY, Dashboard, owner, visitors
from playwright.sync_api import Page

from prospr_engine.config import RunConfig

pytestmark = pytest.mark.browser
ALICE, BOB = visitors("visitors")


def expect_no_owner(page: Page) -> None:
    """Whoever looks at this page may only look."""
    settled(page)
    for name in ("Stop", "Name", "Delete"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)


def test_two_visitors_a_queue_and_stop(come: Come, dashboard: Dashboard):
    alice = come(ALICE).open("?epochs=5000")
    press(alice, "Prune and train")
    training = alice.get_by_role("heading", name="Accuracy while training")
    expect(training).to_be_visible()
    assert not serious(alice)

    bob = come(BOB).open("?epochs=4000")
    press(bob, "Prune and train")
    expect(bob.get_by_role("heading", name="Waiting: 1 run is ahead of yours")).to_be_visible()
    assert not serious(bob)

    # A link opened by somebody else: they see the run, and cannot change it.
    friend = come(BOB).context.new_page()
    friend.goto(alice.url)
    expect(friend.get_by_role("heading", name="Running", exact=True)).to_be_visible()
    expect(friend.get_by_text("Somebody else's run").first).to_be_visible()
    for name in ("Stop", "Name", "Delete"):
        expect(friend.get_by_role("button", name=name, exact=True)).to_have_count(0)
    # Nor is it in their library.
    library = friend.context.new_page()
    library.goto(f"{dashboard.url}runs")
    expect(library.get_by_text("1 run.", exact=False)).to_be_visible()
    expect(library.get_by_text("4,000 epochs").first).to_be_visible()
    expect(library.get_by_text("5,000 epochs")).to_have_count(0)

    bob.get_by_role("button", name="Stop", exact=True).click()
    expect(bob.get_by_text("The run was stopped")).to_be_visible()
    alice.get_by_role("button", name="Stop", exact=True).click()
    expect(alice.get_by_text("The run was stopped")).to_be_visible()
    expect(friend.get_by_text("The run was stopped")).to_be_visible()
    run = dashboard.store.get(alice.url[-32:])
    assert run
    assert run.state == "stopped"


def test_a_result_opened_by_somebody_else_is_theirs_to_see_only(come: Come, dashboard: Dashboard):
    run = dashboard.finished(READY, ALICE)
    page = come(BOB).open(f"run?id={run.id}")
    expect(page.get_by_text("Somebody else's run").first).to_be_visible()
    expect(page.get_by_role("link", name="Download model.onnx")).to_be_visible()
    expect_no_owner(page)
    mine = come(ALICE).open(f"run?id={run.id}")
    expect(mine.get_by_role("button", name="Delete", exact=True)).to_be_visible()


def test_a_set_up_is_sent_as_a_link(come: Come):
    page = come(ALICE).open()
    model = page.get_by_role("combobox", name="Model")
    model.fill("ResNet-20")
    model.press("Enter")
    settled(page)
    slider = page.get_by_role("slider", name="Weights removed")
    slider.focus()
    for _ in range(6):
        slider.press("ArrowRight")
    settled(page)
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("7")
    epochs.press("Enter")
    page.wait_for_url("**epochs=7**")
    settled(page)

    friend = come(BOB).open(page.url.removeprefix(come(BOB).url))
    expect(friend.get_by_role("combobox", name="Model")).to_have_value("ResNet-20")
    expect(friend.get_by_role("slider", name="Weights removed")).to_have_value("90.6")
    expect(friend.get_by_role("spinbutton", name="Epochs")).to_have_value("7")
    # What the forecast says moves with it.
    assert friend.get_by_test_id("stMetric").all_inner_texts() == (
        page.get_by_test_id("stMetric").all_inner_texts()
    )


def test_the_queue_takes_three_runs_of_one_visitor(come: Come, dashboard: Dashboard):
    runs = [dashboard.store.submit(RunConfig(epochs=3000 + i), owner(BOB)) for i in range(3)]
    page = come(BOB).open("?epochs=3999")
    press(page, "Prune and train")
    expect(page.get_by_text("You already have 3 runs waiting or in progress.")).to_be_visible()
    for run in runs:
        dashboard.store.stop(run.id, owner(BOB))
