"""Pictures of every page in every state, wide and narrow, light and dark: ``make screenshots``.

They go to ``out/screenshots``, to be looked at. Names of states may be given to take only those.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from e2e_browser import CHROMIUM, QUIET, Visitor, expect, settled
from e2e_dashboard import (
    NARROWER,
    READY,
    ROOT,
    SPARSER,
    Dashboard,
    compute_ready,
    owner,
    visitors,
)
from e2e_data import class_folders
from playwright.sync_api import Page, sync_playwright

from app.compare.sections import SECTIONS
from benchmarks.made_up import swept
from prospr_engine.config import RunConfig
from prospr_engine.store.queue import LOST
from prospr_engine.store.records import Run
from prospr_engine.sweeps.config import SweepConfig

FOLDER = ROOT / "out" / "screenshots"
ALICE, BOB = visitors("screenshots")
NOBODY = "c" * 32
TALLEST = 8000  # pixels
ENDLESS = RunConfig(epochs=5000)
MANY = SweepConfig(
    methods=("prospr", "snip", "random"),
    sparsities=(0.8, 0.95, 0.98),
    seeds=(0, 1, 2),
    controls=("none", "shuffle"),
)
KINDS = SweepConfig(
    run=RunConfig(channel_multiple=1),
    methods=("prospr", "snip", "grasp", "magnitude"),
    sparsities=(0.5, 0.8, 0.9, 0.95),
    seeds=(0, 1, 2),
    kinds=("weights", "channels"),
)


def main() -> None:
    """Take all pictures, or those of the states that the arguments name."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        dashboard = Dashboard(Path(folder), compute_ready(Path(folder) / "ready"))
        try:
            runs = prepare(dashboard)
            dashboard.start()
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            kinds, many = (study.id for study in dashboard.store.studies(owner(ALICE)))
            states = all_states(runs, many, kinds)
            for name in sys.argv[1:] or states:
                secret, path, act = states[name]
                for theme in ("light", "dark"):
                    for wide in (1280, 400):
                        visitor = Visitor(
                            browser,
                            dashboard.url,
                            secret,
                            viewport={"width": wide, "height": 900},
                            color_scheme=theme,
                        )
                        picture = FOLDER / f"{name}-{wide}-{theme}.png"
                        take(visitor, path, act, picture)
                        print(picture.relative_to(ROOT), *visitor.faults)
                        visitor.context.close()
        finally:
            dashboard.close()
            print(dashboard.tracebacks(), end="")


SEARCH = "task=Find+the+sparsity"
OPEN = "&".join(f"{name}=true" for name in (section.key for section in SECTIONS))
Act = Callable[[Page], None]
State = tuple[str, str, Act]
"""Who looks at which address, and does what there before the picture is taken."""


def prepare(dashboard: Dashboard) -> dict[str, Run]:
    """Runs of Alice in every state; one of them is running by now."""
    store = dashboard.store
    runs = {}
    for state, error in (("stopped", None), ("failed", LOST)):
        run = store.submit(RunConfig(model="resnet20", seed=len(state)), owner(ALICE))
        assert store.claim("test")
        store.finish(run.id, state, error)  # type: ignore[arg-type]
        runs[state] = run
    runs["sparser"] = dashboard.finished(SPARSER, ALICE)
    runs["channels"] = dashboard.finished(NARROWER, ALICE)
    runs["done"] = dashboard.finished(READY, ALICE)
    store.rename(runs["done"].id, owner(ALICE), "First try")
    swept(store, owner(ALICE), MANY, name="Three criteria")
    swept(store, owner(ALICE), KINDS, name="Weights or channels?")
    runs["running"] = store.submit(ENDLESS, owner(ALICE))
    runs["queued"] = store.submit(RunConfig(sparsity=0.95), owner(BOB))
    return runs


def all_states(runs: dict[str, Run], study: str, kinds: str) -> dict[str, State]:
    """The pages and their states by the name of their picture."""
    done, other = runs["done"].id, runs["sparser"].id
    return {
        "new": (NOBODY, "", nothing),
        "new-advanced": (NOBODY, "", advanced),
        "new-own-images": (NOBODY, "", own_images),
        "new-unknown-model": (NOBODY, "", unknown_model),
        "new-channels": (NOBODY, "?kind=Channels&sparsity=0.5", advanced),
        "new-channels-too-many": (NOBODY, "?kind=Channels&sparsity=0.99", nothing),
        "new-again": (ALICE, "", nothing),
        "run-running": (ALICE, f"run?id={runs['running'].id}", trains),
        "run-queued": (BOB, f"run?id={runs['queued'].id}", nothing),
        "run-of-another": (NOBODY, f"run?id={runs['running'].id}", trains),
        "run-done": (ALICE, f"run?id={done}", nothing),
        "run-done-moved": (ALICE, f"run?id={done}&at=98", nothing),
        "run-done-of-another": (NOBODY, f"run?id={done}", nothing),
        "run-channels": (ALICE, f"run?id={runs['channels'].id}", nothing),
        "run-stopped": (ALICE, f"run?id={runs['stopped'].id}", nothing),
        "run-failed": (ALICE, f"run?id={runs['failed'].id}", nothing),
        "run-unknown": (ALICE, "run?id=0123456789abcdef", nothing),
        "run-none": (ALICE, "run", nothing),
        "runs": (ALICE, "runs", nothing),
        "runs-chosen": (ALICE, "runs", choose_two),
        "runs-not-found": (ALICE, "runs?find=nothing+like+it", nothing),
        "runs-empty": (NOBODY, "runs", nothing),
        "compare-many": (ALICE, f"compare?study={study}&{OPEN}", nothing),
        "compare-kinds": (ALICE, f"compare?study={kinds}", nothing),
        "compare-kinds-operations": (
            ALICE,
            f"compare?study={kinds}&against=Multiply-adds",
            nothing,
        ),
        "compare-two": (ALICE, f"compare?runs={done},{other}", nothing),
        "compare-two-kinds": (ALICE, f"compare?runs={done},{runs['channels'].id}", nothing),
        "compare-one": (ALICE, f"compare?runs={done}", nothing),
        "compare-none": (ALICE, "compare", nothing),
        "compare-empty": (NOBODY, "compare", nothing),
        "sweep": (NOBODY, "sweep", nothing),
        "sweep-kinds": (NOBODY, "sweep?kinds=Weights&kinds=Channels", advanced),
        "search-latency": (NOBODY, f"sweep?{SEARCH}&goal=Latency&kind=Channels", nothing),
        "search-refused": (NOBODY, f"sweep?{SEARCH}&goal=Multiply-adds", nothing),
        "try": (ALICE, f"try?id={done}", nothing),
        "try-drawn": (ALICE, f"try?id={done}", draw),
        "try-test": (ALICE, f"try?id={done}&try-source=Test+image", nothing),
        "try-empty": (NOBODY, "try", nothing),
        "learn": (NOBODY, "learn", nothing),
    }


def take(visitor: Visitor, path: str, act: Act, picture: Path) -> None:
    """Open the page, do what there is to do, and take a picture of all of it."""
    page = visitor.open(path)
    act(page)
    size = page.viewport_size
    assert size
    tall = 0
    while tall < (
        now := page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    ):
        tall = now
        page.set_viewport_size({**size, "height": max(size["height"], min(tall, TALLEST))})
        page.wait_for_timeout(700)  # what opens or finds out how wide it is has done so
    page.screenshot(path=picture)


def nothing(page: Page) -> None:
    """The page as it is."""


def trains(page: Page) -> None:
    heading = page.get_by_role("heading", name="Accuracy while training")
    expect(heading).to_be_visible()


def advanced(page: Page) -> None:
    page.get_by_text("Advanced", exact=True).click()
    settled(page)


def unknown_model(page: Page) -> None:
    model = page.get_by_role("combobox", name="Model")
    model.fill("resnet-21q")
    model.press("Enter")
    page.get_by_text("There is no model called").first.wait_for()
    settled(page)


def own_images(page: Page) -> None:
    page.get_by_role("combobox", name="Data").click()
    page.get_by_role("option", name="Your own images").click()
    settled(page)
    file = {"name": "shapes.zip", "mimeType": "application/zip", "buffer": class_folders()}
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
    page.get_by_text("shapes.zip").first.wait_for()
    settled(page)


def choose_two(page: Page) -> None:
    boxes = page.get_by_role("checkbox").locator("xpath=ancestor::label")
    for number in (1, 2):  # the first one is still at work
        boxes.nth(number).click()
        settled(page)


def draw(page: Page) -> None:
    board = page.locator("canvas[role=img]")
    box = board.bounding_box()
    assert box
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + side / 2, y + side / 5)
    page.mouse.down()
    page.mouse.move(x + side / 2, y + side * 4 / 5, steps=8)
    page.mouse.up()
    page.get_by_text("Network input").wait_for()
    settled(page)


if __name__ == "__main__":
    main()
