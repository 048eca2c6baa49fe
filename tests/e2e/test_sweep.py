"""A stranger compares two criteria, puts a run to the test with controls, and looks for the
sparsity that meets a goal."""

from __future__ import annotations

import re

import pytest
from conftest import Come
from e2e_browser import expect, press, serious, settled, width
from e2e_dashboard import READY, Dashboard, owner, visitors
from playwright.sync_api import Page
from waiting import until

from prospr_engine.config import RunConfig
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

pytestmark = pytest.mark.browser
ALICE, BOB = visitors("sweep")

NARROW = {"width": 400, "height": 800}
UNWANTED = ("ProsPr", "GraSP", "SynFlow", "Random, ERK")
FOUR = SweepConfig(run=RunConfig(epochs=1), methods=("snip", "magnitude"), sparsities=(0.8, 0.98))


def choose_four(page: Page) -> None:
    """Two criteria at two sparsities, one epoch: with the mouse and the keyboard."""
    for label in UNWANTED:
        press(page, label)
        settled(page)
    # The server has all of it: what is typed before would be overwritten.
    expect(page.get_by_text("2 criteria ×")).to_be_visible()
    settled(page)
    box = page.get_by_role("textbox", name="Or type a list")
    box.fill("80; 98 %")
    box.press("Enter")
    settled(page)
    expect(page.get_by_role("button", name="98\N{NO-BREAK SPACE}%")).to_have_attribute(
        "aria-pressed", "true"
    )
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("1")
    epochs.press("Enter")
    page.wait_for_url("**epochs=1**")
    settled(page)


def the_study(dashboard: Dashboard, secret: str) -> Study:
    studies = [study for study in dashboard.store.studies() if study.owner == owner(secret)]
    return studies[0]


def counts(dashboard: Dashboard, study: Study) -> dict[str, int]:
    found = dashboard.store.study(study.id)
    assert found
    return dict(found.counts)


def test_a_sweep_from_the_form_to_its_cells(come: Come, dashboard: Dashboard):
    page = come(ALICE).open("sweep")
    choose_four(page)
    expect(page.get_by_text("2 criteria × 2 sparsities × 1 seed")).to_be_visible()
    runs = page.get_by_test_id("stMetric").filter(has_text=re.compile("Runs"))
    assert runs.inner_text().split()[1] == "4"
    address = page.url.removeprefix(dashboard.url)
    assert come(BOB).open(address).get_by_test_id("stMetric").all_inner_texts() == (
        page.get_by_test_id("stMetric").all_inner_texts()
    )
    press(page, "Start the sweep")
    page.wait_for_url("**/compare?study=*")
    study = the_study(dashboard, ALICE)
    assert study.config == FOUR
    assert study.id in page.url

    # Stopped, and gone on with, where it is watched.
    press(page, "Stop")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert counts(dashboard, study)["stopped"]
    press(page, "Resume")
    until(lambda: counts(dashboard, study)["done"] == 4)
    settled(page)
    assert not serious(page)

    # Its runs are hidden among the others until somebody asks, and open like any run.
    page.goto(f"{dashboard.url}runs")
    settled(page)
    expect(page.get_by_text("4 of 4 runs done")).to_be_visible()
    expect(page.get_by_role("checkbox", name=re.compile("^Select"))).to_have_count(0)
    page.get_by_text("Show the runs of sweeps and searches").click()
    expect(page.get_by_role("checkbox", name=re.compile("^Select"))).to_have_count(4)
    expect(page).to_have_url(re.compile("cells=true"))
    assert not serious(page)
    page.get_by_role("link", name="Small CNN on Digits", exact=True).first.click()
    expect(page.get_by_role("heading", name=re.compile("of the weights removed"))).to_be_visible()
    page.get_by_role("link", name="Compare with its sweep or search").click()
    expect(page).to_have_url(re.compile(f"study={study.id}"))
    settled(page)
    page.go_back()
    expect(page.get_by_role("heading", name=re.compile("of the weights removed"))).to_be_visible()


def test_one_click_runs_the_controls_of_a_run(come: Come, dashboard: Dashboard):
    run = dashboard.finished(READY, BOB)
    page = come(BOB).open(f"run?id={run.id}")
    page.get_by_role("link", name="Does the choice of weights matter?").click()
    button = page.get_by_role("button", name="Run all controls")
    expect(button).to_be_in_viewport()
    button.click()
    for name in ("mask shuffled", "new weights", "random, same layers"):
        expect(page.get_by_role("link", name=f"Open {name}")).to_be_visible()
    expect(page.get_by_text("This is one seed")).to_be_visible()
    expect(page.get_by_text("leave the same to chance")).to_be_visible()
    settled(page)
    assert not serious(page)
    page.set_viewport_size(NARROW)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.reload()
    settled(page)
    assert width(page) <= 400
    assert not serious(page)

    page.get_by_role("link", name="Open mask shuffled").click()
    expect(page.get_by_text("This run is a control: mask shuffled.")).to_be_visible()
    settled(page)
    page.get_by_role("link", name="See the original").click()
    expect(page).to_have_url(re.compile(run.id))
    page.get_by_role("link", name="Compare them with the original").click()
    expect(page).to_have_url(re.compile(r"compare\?runs="))
    settled(page)
    assert run.id in page.url


def test_a_link_into_the_form_is_followed_whatever_it_showed(come: Come, dashboard: Dashboard):
    run = dashboard.finished(READY, ALICE)
    page = come(ALICE).open("sweep")
    press(page, "SNIP")
    settled(page)
    press(page, "99\N{NO-BREAK SPACE}%")
    settled(page)
    # Within the same tab, by the app's own links.
    page.get_by_role("link", name="Runs", exact=True).click()
    settled(page)
    page.get_by_role("link", name="Small CNN on Digits", exact=True).first.click()
    expect(page.get_by_role("heading", name=re.compile("of the weights removed"))).to_be_visible()
    settled(page)
    page.get_by_role("link", name="Repeat with 3 seeds").click()
    expect(page.get_by_text("1 criterion × 1 sparsity × 3 seeds × 4")).to_be_visible()
    settled(page)
    expect(page.get_by_role("button", name="ProsPr", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert run.config.epochs == 1
    expect(page.get_by_role("spinbutton", name="Epochs")).to_have_value("1")


def test_the_sparsity_for_a_goal_is_looked_for(come: Come, dashboard: Dashboard):
    page = come(BOB).open("sweep?epochs=1")
    page.get_by_role("radio", name="Find the sparsity").click()
    settled(page)
    page.get_by_role("radio", name="File size").click()
    settled(page)
    kilobytes = page.get_by_role("spinbutton", name="Kilobytes zipped, at most")
    kilobytes.fill("60")
    kilobytes.press("Enter")
    settled(page)
    assert not serious(page)
    press(page, "Start the search")
    page.wait_for_url("**/compare?study=*")
    study = the_study(dashboard, BOB)
    assert study.config == SearchConfig(run=RunConfig(epochs=1), most_bytes=60_000)
    until(lambda: counts(dashboard, study)["done"] > 1)
    until(lambda: not (found := dashboard.store.study(study.id)) or not found.live)
    settled(page)
    assert not serious(page)


def test_an_impossible_grid_is_reported_and_the_form_fits_a_phone(come: Come):
    page = come(ALICE, viewport=NARROW, color_scheme="dark").open("sweep?sparsities=80,+120")
    expect(
        page.get_by_text("120\N{NO-BREAK SPACE}% is not a possible sparsity").first
    ).to_be_visible()
    expect(page.get_by_role("button", name="Start the sweep")).to_be_disabled()
    assert width(page) <= 400
    assert not serious(page)
