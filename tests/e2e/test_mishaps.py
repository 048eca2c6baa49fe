"""What goes wrong while a run is computed, and that nothing is lost by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Come
from e2e_browser import expect, press, settled
from e2e_dashboard import READY, Dashboard, owner, visitors
from waiting import until

from prospr_engine.config import RunConfig
from prospr_engine.store.records import Run

pytestmark = pytest.mark.browser
ALICE, _ = visitors("mishaps")

A_WHILE = RunConfig(epochs=8)
FOREVER = RunConfig(epochs=9000)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory, ready: Path) -> Iterator[Dashboard]:
    """A dashboard of this module's own: its server and worker are killed."""
    ours = Dashboard(tmp_path_factory.mktemp("mishaps"), ready)
    try:
        yield ours.start()
    finally:
        ours.close()
    assert not ours.tracebacks()


def submit(dashboard: Dashboard, config: RunConfig) -> Run:
    """A run of Alice's that is to be computed; whoever looks at it starts the worker."""
    return dashboard.store.submit(config, owner(ALICE))


def paused_in(dashboard: Dashboard, run: Run, attempt: int) -> None:
    """Wait until that attempt trains, and let it stand still."""

    def trains() -> bool:
        now = dashboard.store.get(run.id)
        assert now
        assert now.live, f"it is {now.state} already"
        events = dashboard.store.events(run.id)
        return now.attempt == attempt and any(e["event"] == "EpochEnded" for e in events)

    until(trains)
    dashboard.pause()


def test_the_server_goes_and_comes_back_and_the_worker_is_killed(come: Come, dashboard: Dashboard):
    run = submit(dashboard, A_WHILE)
    page = come(ALICE).open(f"run?id={run.id}")
    paused_in(dashboard, run, 1)
    training = page.get_by_role("heading", name="Accuracy while training")
    expect(training).to_be_visible()

    worker = dashboard.worker()
    dashboard.stop()
    assert dashboard.worker() == worker, "the run goes on without the server"
    dashboard.start()
    # The tab comes back by itself, and to its owner.
    page.locator("[data-test-connection-state=CONNECTED]").wait_for(state="attached")
    expect(page.get_by_role("heading", name="Running", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()

    dashboard.kill_worker()
    paused_in(dashboard, run, 2)
    expect(page.get_by_role("heading", name="Running again from the start")).to_be_visible()

    dashboard.kill()
    dashboard.start()
    dashboard.resume()
    answer = page.get_by_role("heading", name=re.compile("^90.% of the weights removed"))
    expect(answer).to_be_visible()
    settled(page)
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    # The run that the second worker finished, and the one that was there before it all.
    ended = dashboard.store.get(run.id)
    assert ended
    assert (ended.state, ended.attempt) == ("done", 2)
    assert dashboard.finished(READY, ALICE).bytes > 0


def test_a_run_that_loses_its_worker_begins_again_and_says_so(come: Come, dashboard: Dashboard):
    run = submit(dashboard, FOREVER)
    page = come(ALICE).open(f"run?id={run.id}")
    for attempt in (1, 2):

        def begun(attempt: int = attempt) -> bool:
            now = dashboard.store.get(run.id)
            assert now
            return now.state == "running" and now.attempt == attempt

        until(begun)
        if attempt == 1:
            dashboard.kill_worker()
    expect(page.get_by_role("heading", name="Running again from the start")).to_be_visible()
    press(page, "Stop")
    expect(page.get_by_text("The run was stopped before it finished.")).to_be_visible()
