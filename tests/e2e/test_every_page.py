"""Every page: nobody is kept out, nothing is cut off on a telephone, and addresses may be wrong."""

from __future__ import annotations

import pytest
from conftest import Come
from e2e_browser import expect, serious, settled, width
from e2e_dashboard import NARROWER, READY, SPARSER, Dashboard, owner, visitors
from helpers import formulas

from app.learn.words import FORMULA
from prospr_engine.config import RunConfig

pytestmark = pytest.mark.browser
ALICE, BOB = visitors("every page")
GARBAGE = "0123456789abcdef0123456789abcdef"

PAGES = {
    "new run": "",
    "result": "run?id={first}",
    "result, channels": "run?id={channels}",
    "another sparsity": "run?id={first}&at=99",
    "failed run": "run?id={failed}",
    "unknown run": f"run?id={GARBAGE}",
    "runs": "runs",
    "no such runs": "runs?find=nothing+like+this",
    "sweep": "sweep",
    "compare": "compare?runs={first},{second}",
    "nothing to compare": "compare",
    "unknown study": f"compare?study={GARBAGE}",
    "side by side, as before": "side-by-side?a={first}&b={second}",
    "try it": "try?id={first}",
    "test image": "try?id={first}&try-source=Test+image",
    "learn": "learn",
}


@pytest.fixture(scope="module")
def ids(dashboard: Dashboard) -> dict[str, str]:
    """Runs that the pages are about."""
    with dashboard.without_worker() as store:
        failed = store.submit(RunConfig(seed=1), owner(ALICE))
        assert store.claim("test")
        store.finish(failed.id, "failed", "The images could not be read.")
    first, second, channels = (
        dashboard.finished(config, ALICE).id for config in (READY, SPARSER, NARROWER)
    )
    return {"first": first, "second": second, "channels": channels, "failed": failed.id}


# All of them are looked at by `make test-slow`; these by `make test`.
FEW = {
    *((page, 1280, "light") for page in ("new run", "result", "result, channels", "compare")),
    *((page, 400, "dark") for page in ("new run", "result", "runs", "sweep", "compare", "try it")),
}
LOOKS = [
    pytest.param(page, wide, theme, marks=() if (page, wide, theme) in FEW else pytest.mark.slow)
    for page in PAGES
    for wide in (1280, 400)
    for theme in ("light", "dark")
]


@pytest.mark.parametrize(("page", "wide", "theme"), LOOKS)
def test_nobody_is_kept_out(come: Come, ids: dict[str, str], page: str, wide: int, theme: str):
    visitor = come(ALICE, viewport={"width": wide, "height": 900}, color_scheme=theme)
    tab = visitor.open(PAGES[page].format(**ids))
    assert width(tab) <= wide
    assert not serious(tab)


def test_every_formula_is_drawn(come: Come):
    page = come(ALICE).open("learn")
    page.get_by_text("The same as a formula").click()
    drawn = page.locator(".katex")
    expect(drawn).to_have_count(len(formulas(FORMULA)))
    expect(page.locator(".katex-display")).to_have_count(2)
    assert not page.locator(".katex-error").count()
    # What KaTeX does not know it shows as it is written, in this colour and without an error.
    assert not page.locator(".katex [style*='color']").count()
    assert "$" not in page.get_by_test_id("stExpander").inner_text()


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("runs", "Prune before training"),
        pytest.param("try", "Prune before training", marks=pytest.mark.slow),
        pytest.param("run", "Prune before training", marks=pytest.mark.slow),
        ("compare", "Sweep"),
        pytest.param("side-by-side", "Sweep", marks=pytest.mark.slow),
    ],
)
def test_a_page_with_nothing_to_show_says_what_to_do(come: Come, path: str, leads_to: str):
    page = come(BOB).open(path)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("link", name="Start a")).to_be_visible()
    assert not serious(page)
    main.get_by_role("link", name="Start a").click()
    expect(page.get_by_role("heading", name=leads_to, exact=True)).to_be_visible()


WRONG = [
    (f"run?id={GARBAGE}", "There is no such run"),
    ("compare?runs={first},{second}&against=%3Cscript%3E&at-sparsity=1e999", "Results"),
    ("?data=/etc/passwd&train-lr=nan", "Prune before training"),
    ("no-such-page", "Page not found"),
]
WRONG_TOO = [
    ("run?id=%00%27%3B%20DROP%20TABLE%20runs", "There is no such run"),
    (f"run?id={'x' * 3000}", "There is no such run"),
    (f"try?id={GARBAGE}", "The run in this address does not exist"),
    (f"side-by-side?a={GARBAGE}&b=%3Cscript%3E", "Nothing to compare"),
    (f"compare?study={GARBAGE}", "Nothing to compare"),
    (f"compare?runs={GARBAGE},%3Cscript%3E", "Nothing to compare"),
    ("sweep?methods=%3Cscript%3E&sparsities=x&seeds=-1&epochs=1e999", "Sweep"),
    ("?model=%3Cscript%3E&sparsity=abc&epochs=1e999&method=none", "Prune before training"),
    ("run?id={first}&at=1e999", "of the weights removed"),
    ("run?id={first}&at=-5", "of the weights removed"),
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [*WRONG, *(pytest.param(*row, marks=pytest.mark.slow) for row in WRONG_TOO)],
)
def test_an_address_may_be_wrong(come: Come, ids: dict[str, str], path: str, expected: str):
    page = come(ALICE).open(path.format(**ids))
    expect(page.get_by_text(expected).first).to_be_visible()
    settled(page)


def test_a_deleted_run_and_one_that_is_deleted_while_it_is_on_show(
    come: Come, dashboard: Dashboard
):
    run = dashboard.store.submit(RunConfig(epochs=4321), owner(BOB))
    page = come(BOB).open(f"run?id={run.id}")
    dashboard.store.delete(run.id, owner(BOB))
    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
