"""A comparison, from its chart to the runs behind it, and out of the browser."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from conftest import Come
from e2e_browser import download, expect, press, serious, settled, width
from e2e_dashboard import Dashboard, owner, visitors
from playwright.sync_api import Locator, Page

from benchmarks.made_up import FAILED, swept
from prospr_engine.config import RunConfig
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig

pytestmark = pytest.mark.browser
ALICE, BOB = visitors("compare")
GRID = SweepConfig(
    methods=("prospr", "snip", "random"),
    sparsities=(0.8, 0.95, 0.98),
    seeds=(0, 1, 2),
    controls=("none", "shuffle"),
)
ONE_SEED = SweepConfig(methods=("grasp", "force"), sparsities=(0.9, 0.95), seeds=(7,))
REAL = SweepConfig(run=RunConfig(epochs=1), methods=("magnitude", "random"), seeds=(5,))


@pytest.fixture(scope="module")
def grid(dashboard: Dashboard) -> Study:
    with dashboard.without_worker() as store:
        return swept(store, owner(ALICE), GRID, name="Three criteria")


@pytest.fixture(scope="module")
def one_seed(dashboard: Dashboard) -> Study:
    with dashboard.without_worker() as store:
        return swept(store, owner(ALICE), ONE_SEED)


def accuracy(page: Page) -> Locator:
    return page.locator(".st-key-compare-accuracy")


def points(page: Page) -> Locator:
    return accuracy(page).locator(".mark-symbol.role-mark path")


def choose(page: Page, criterion: str) -> None:
    page.get_by_role("combobox", name="Criteria").click()
    page.get_by_role("option", name=criterion, exact=True).click()
    page.keyboard.press("Escape")
    settled(page)


def section(page: Page, title: str) -> Locator:
    """The charts of a section."""
    box = page.get_by_test_id("stExpander").filter(has_text=title)
    return box.locator("svg.marks")


def click_point(page: Page, number: int) -> None:
    # What takes the click is the region around the point.
    points(page).nth(number).click(force=True)


def against(page: Page, figure: str) -> None:
    """Draw accuracy against ``figure``."""
    page.get_by_role("combobox", name="Accuracy against").click()
    page.get_by_role("option", name=figure, exact=True).click()
    settled(page)


def test_a_click_opens_the_run_and_the_way_back_finds_everything(
    come: Come, dashboard: Dashboard, one_seed: Study
):
    page = come(ALICE).open(f"compare?study={one_seed.id}")
    expect(points(page)).to_have_count(4)
    against(page, "Weights kept")
    expect(accuracy(page).get_by_text("Weights kept (fewer to the right)")).to_be_visible()
    expect(page).to_have_url(re.compile("against=Weights"))
    choose(page, "FORCE")
    expect(points(page)).to_have_count(2)
    click_point(page, 1)
    expect(page).to_have_url(re.compile("/run\\?id="))
    answer = page.get_by_role("heading", name=re.compile("^95.% of the weights removed"))
    expect(answer).to_be_visible()
    id = re.findall("[0-9a-f]{32}", page.url)[0]
    run = dashboard.store.get(id)
    assert run
    assert (run.settings["method"], run.settings["sparsity"]) == ("force", 0.95)

    page.go_back()
    expect(points(page)).to_have_count(2)
    settled(page)
    for part in (f"study={one_seed.id}", "against=Weights", "only=FORCE"):
        assert part in page.url
    assert "id=" not in page.url
    expect(accuracy(page).get_by_text("Weights kept (fewer to the right)")).to_be_visible()
    click_point(page, 0)  # once more
    expect(page.get_by_role("heading", name=re.compile("^90.% of the weights"))).to_be_visible()


def test_a_point_of_several_seeds_lists_its_runs(come: Come, grid: Study):
    page = come(ALICE).open(f"compare?study={grid.id}&only=ProsPr&only-control=None")
    expect(points(page)).to_have_count(3)
    click_point(page, 2)
    behind = page.locator(".st-key-point")
    expect(behind.get_by_role("link")).to_have_count(3)
    expect(behind.get_by_text("ProsPr, 98")).to_be_visible()
    behind.get_by_role("link", name="Seed 1").click()
    expect(page.get_by_role("heading", name=re.compile("^98.% of the weights"))).to_be_visible()
    page.go_back()
    expect(behind.get_by_role("link")).to_have_count(3)
    press(page, "Close")
    expect(behind).to_have_count(0)


def test_the_legend_hides_lines_without_asking_the_server(come: Come, grid: Study):
    page = come(ALICE).open(f"compare?study={grid.id}&only-control=None")
    expect(points(page)).to_have_count(9)
    address = page.url
    entry = accuracy(page).locator(".role-legend-label").get_by_text("SNIP", exact=True)
    entry.click(force=True)
    expect(points(page)).to_have_count(6)
    entry.click(force=True)
    expect(points(page)).to_have_count(9)
    assert page.url == address


def test_the_link_shows_somebody_else_the_same(come: Come, grid: Study):
    page = come(ALICE).open(f"compare?study={grid.id}")
    choose(page, "SNIP")
    against(page, "File size")
    page.get_by_text("Single runs").click()
    settled(page)
    page.get_by_role("radio", name="80", exact=True).click()
    settled(page)
    page.get_by_text(re.compile("^Which classes lose accuracy")).click()
    expect(section(page, "Which classes lose accuracy")).to_be_visible()
    press(page, "Copy link")
    code = page.get_by_test_id("stCode")
    expect(code).to_be_visible()
    link = code.inner_text().strip()
    assert link.startswith(page.url.partition("?")[0])

    other = come(BOB).open(
        link.partition("/compare")[1].lstrip("/") + link.partition("/compare")[2]
    )
    for tab in (page, other):
        expect(tab.get_by_role("combobox", name="Accuracy against")).to_have_value("File size")
        expect(tab.get_by_role("radio", name="80", exact=True)).to_be_checked()
        expect(points(tab)).to_have_count(2 * 3 * (1 + 3))
    expect(section(other, "Which classes lose accuracy")).to_be_visible()
    alt = "svg[aria-label], [aria-label]"
    names = [accuracy(tab).locator(alt).first.get_attribute("aria-label") for tab in (page, other)]
    assert names[0]
    assert names[0] == names[1]
    assert "someone else's sweep" in other.get_by_test_id("stMain").inner_text()


def test_the_address_remembers_what_is_chosen(come: Come, grid: Study):
    page = come(ALICE).open(f"compare?study={grid.id}")
    choose(page, "SNIP")
    against(page, "Effective sparsity")
    page.reload()
    settled(page)
    axis = page.get_by_role("combobox", name="Accuracy against")
    expect(axis).to_have_value("Effective sparsity")
    expect(points(page)).to_have_count(6)


def test_table_and_chart_are_taken_home(come: Come, grid: Study, tmp_path: Path):
    page = come(ALICE).open(f"compare?study={grid.id}&only=SNIP&against=File+size")
    table = download(page, tmp_path, re.compile("CSV$"))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    assert {row["method"] for row in rows} == {"snip"}
    assert {row["state"] for row in rows} == {"done"}
    assert "out" not in rows[0]
    picture = download(page, tmp_path, re.compile("PNG$"))
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 10_000
    drawing = download(page, tmp_path, re.compile("SVG$")).read_text()
    assert drawing.startswith("<svg")
    for text in ("Three criteria", "ONNX file, zipped", "SNIP, mask shuffled"):
        assert text in drawing
    assert "three_criteria" in picture.name


def test_the_table_opens_runs(come: Come, one_seed: Study):
    page = come(ALICE).open(f"compare?study={one_seed.id}")
    grid = page.get_by_test_id("stDataFrame")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box
    # The first row's button is right of the name of its series, which is as wide as it needs.
    for right in range(60, 400, 30):
        page.mouse.click(box["x"] + right, box["y"] + 55)
        page.wait_for_timeout(300)  # the grid answers when it gets to it
        if "/run?id=" in page.url:
            break
    expect(page).to_have_url(re.compile("/run\\?id="))


def test_sections_stay_open_while_the_sparsity_changes(come: Come, grid: Study):
    page = come(ALICE).open(f"compare?study={grid.id}")
    page.get_by_text(re.compile("^Weights kept in each layer")).click()
    layers = section(page, "Weights kept in each layer")
    expect(layers).to_be_visible()
    page.get_by_text(re.compile("^Overlap of masks")).click()
    expect(section(page, "Overlap of masks")).to_have_count(2)
    before = layers.text_content()
    page.get_by_role("radio", name="98", exact=True).click()
    settled(page)
    expect(page.get_by_text(re.compile("^Weights kept in each layer, at 98"))).to_be_visible()
    expect(layers).to_be_visible()
    assert layers.text_content() != before


def test_runs_are_followed_to_their_end(come: Come, dashboard: Dashboard):
    study = dashboard.store.submit_study("sweep", REAL, owner(ALICE), "A real one")
    page = come(ALICE).open(f"compare?study={study.id}")
    expect(page.get_by_role("heading", name=re.compile("^(Waiting|Running)"))).to_be_visible()
    expect(points(page)).to_have_count(2)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    settled(page)
    press(page, "Copy code")
    expect(page.get_by_text("--methods magnitude,random")).to_be_visible()


def test_a_sweep_is_stopped_and_goes_on(come: Come, dashboard: Dashboard):
    config = SweepConfig(run=RunConfig(epochs=300), methods=("magnitude",), seeds=(1, 2, 3))
    study = dashboard.store.submit_study("sweep", config, owner(ALICE))
    page = come(ALICE).open(f"compare?study={study.id}")
    press(page, "Stop")
    expect(page.get_by_text("3 runs were stopped")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    dashboard.store.delete_study(study.id, owner(ALICE))
    page.reload()
    expect(page.get_by_role("heading", name="Nothing to compare")).to_be_visible()


def test_a_tab_notices_that_another_one_lets_the_sweep_go_on(come: Come, dashboard: Dashboard):
    config = SweepConfig(run=RunConfig(epochs=1), methods=("magnitude", "random"), seeds=(21,))
    with dashboard.without_worker() as store:
        study = swept(
            store,
            owner(ALICE),
            config,
            fate=lambda c: "done" if c.method == "random" else "failed",
        )
    page = come(ALICE).open(f"compare?study={study.id}")
    expect(page.get_by_text("1 run failed; the others are")).to_be_visible()
    other = come(ALICE).open(f"compare?study={study.id}")
    press(other, "Retry failed runs")
    expect(page.get_by_text("1 run failed")).to_have_count(0)
    expect(points(page)).to_have_count(2)


@pytest.fixture(scope="module")
def failing(dashboard: Dashboard) -> Study:
    """A sweep of which two runs failed."""
    config = SweepConfig(methods=("grasp", "synflow"), sparsities=(0.8, 0.99), seeds=(71, 72))
    with dashboard.without_worker() as store:
        return swept(
            store,
            owner(ALICE),
            config,
            fate=lambda run: "failed" if run.sparsity > 0.9 and run.seed == 72 else "done",
        )


SECTIONS = "&".join(f"open-{name}=true" for name in ("curves", "layers", "overlap", "classes"))
ADDRESSES = {
    "all sections": f"study={{grid}}&{SECTIONS}",
    "failed runs": "study={failing}",
    "mixed": "runs={mixed}",
    "nothing": "",
    "unknown": "study=zzz",
}
LOOKS = [
    pytest.param(name, wide, theme, marks=() if quick else pytest.mark.slow)
    for name in ADDRESSES
    for wide, theme in ((1280, "light"), (400, "dark"))
    for quick in [(name, wide) in {("all sections", 400), ("failed runs", 1280)}]
]


@pytest.mark.parametrize(("address", "wide", "theme"), LOOKS)
def test_nobody_is_kept_out(
    come: Come,
    dashboard: Dashboard,
    grid: Study,
    failing: Study,
    address: str,
    wide: int,
    theme: str,
):
    mixed = [
        run.id for study in (grid, failing) for run in dashboard.store.study_runs(study.id)[:2]
    ]
    query = ADDRESSES[address].format(grid=grid.id, failing=failing.id, mixed=",".join(mixed))
    visitor = come(ALICE, viewport={"width": wide, "height": 900}, color_scheme=theme)
    page = visitor.open(f"compare?{query}")
    assert width(page) <= wide
    assert not serious(page)


def test_runs_that_failed_are_listed_and_tried_again(come: Come, failing: Study):
    page = come(ALICE).open(f"compare?study={failing.id}")
    expect(page.get_by_text("2 runs failed; the others are not affected.")).to_be_visible()
    expect(page.get_by_text(FAILED)).to_be_visible()
    expect(page.get_by_role("button", name="Retry failed runs")).to_be_visible()
