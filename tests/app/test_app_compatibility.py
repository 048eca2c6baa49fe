"""The store of 0.3.0 on every page, and addresses that people have sent to each other.

The files are those of ``tests/data/v0_3_0``; how they were made is told there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from app_fakes import new, words
from earlier import EXPECTED, unpack
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

KEPT, ADDRESSES = EXPECTED["store"], EXPECTED["addresses"]
VISITOR, STRANGER = KEPT["visitor"], "somebody else"
START = "primary-start"
RUNS = {run["name"]: run["id"] for run in KEPT["runs"] if run["name"]}
SWEEP, SEARCH, STOPPED = (
    next(study["id"] for study in KEPT["studies"] if (study["kind"], study["name"]) == which)
    for which in (("sweep", ""), ("search", "40 kB"), ("sweep", "Stopped sweep"))
)
CELLS = next(study["runs"] for study in KEPT["studies"] if study["id"] == SWEEP)

TITLES = {
    "/": "Prune before training",
    "/sweep": "Sweep",
    "/runs": "Runs",
    "/try": "Try it",
    "/learn": "Learn",
    "/run": "No run selected",
    "/side-by-side": "Compare",  # with two runs, since 0.4.0
    "/compare": "Compare",
}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The store of 0.3.0, where the fixture ``store`` opens one."""
    return unpack(tmp_path, "store") / "store"


@pytest.fixture
def store(kept: Path, store: Any) -> Any:
    """That store behind the pages; nobody works on it."""
    assert store.folder == kept
    return store


def opened(address: str, visitor: str = VISITOR) -> AppTest:
    """The page of an address, as a browser opens it."""
    parts = urlsplit(address)
    at = new(visitor)
    if parts.path != "/":
        at._page_hash = calc_hash(parts.path[1:])  # AppTest itself goes by names of files
    for name, values in parse_qs(parts.query).items():
        at.query_params[name] = values if len(values) > 1 else values[0]
    at.run()
    assert not at.exception
    return at


def text(at: AppTest) -> str:
    return words(at).replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")


# Pages


@pytest.mark.parametrize("visitor", [VISITOR, STRANGER], ids=["owner", "stranger"])
@pytest.mark.parametrize("path", sorted(TITLES))
def test_every_page_shows(store: Any, path: str, visitor: str):
    at = opened(path, visitor)
    assert not at.error
    assert at.title[0].value == TITLES[path]


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_page_of_a_run(store: Any, name: str):
    at = opened(f"/run?id={RUNS[name]}")
    state = store.get(RUNS[name]).state
    assert bool(at.error) == (state == "failed")
    if state == "done":
        assert "There is no such run" not in text(at)
        assert at.metric
    if state == "failed":
        assert "does not fit" in text(at)


def test_a_run_is_shown_to_whoever_has_its_address(store: Any):
    at = opened(f"/run?id={RUNS['Own images']}", STRANGER)
    assert not at.error
    assert at.metric


def test_a_run_of_a_sweep_has_a_page_too(store: Any):
    assert opened(f"/run?id={CELLS[0]}").metric


def test_a_run_at_another_sparsity(store: Any):
    at = opened(f"/run?id={RUNS['The first *run*']}&at=50")
    assert at.slider(key="at").value == 50.0


@pytest.mark.parametrize(
    ("query", "title"),
    [
        (f"study={SWEEP}", ""),
        (f"study={SEARCH}", "40 kB"),
        (f"study={STOPPED}", "Stopped sweep"),
        (f"runs={RUNS['The first *run*']},{RUNS['Own weights']}", ""),
        ("runs=" + ",".join(CELLS), ""),
    ],
    ids=["sweep", "search", "stopped", "two runs", "cells"],
)
def test_what_is_compared(store: Any, query: str, title: str):
    at = opened(f"/compare?{query}")
    assert not at.error
    assert at.get("vega_lite_chart")
    assert title in at.title[0].value


def test_a_comparison_as_it_was_shown(store: Any):
    shown = "only=SNIP&against=File+size&at-sparsity=98"
    at = opened(f"/compare?study={SWEEP}&{shown}&open-curves=true&open-layers=true")
    assert not at.error
    held = {name: at.session_state[name] for name in ("only", "against", "at-sparsity")}
    assert held == {"only": ["SNIP"], "against": "File size", "at-sparsity": "98"}
    assert len(at.get("vega_lite_chart")) > 2
    assert len(at.dataframe[0].value) == 2


def test_two_runs_side_by_side(store: Any):
    first, second = RUNS["The first *run*"], RUNS["Own weights"]
    at = opened(f"/side-by-side?a={first}&b={second}")
    assert not at.error
    assert at.get("vega_lite_chart")


@pytest.mark.parametrize("name", ["The first *run*", "Own images", "Own weights"])
def test_a_run_is_tried(store: Any, name: str):
    at = opened(f"/try?id={RUNS[name]}&image=test")
    assert not at.error
    assert not at.warning
    assert "Test images whose prediction changed" in [header.value for header in at.header]


def test_what_was_stopped_or_waits_cannot_be_tried(store: Any):
    for name in ("Stopped", "Waiting", "Lost"):
        assert opened(f"/try?id={RUNS[name]}").info


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("find=Own", ["Own weights", "Own images"]),
        ("state=Failed&find=network", ["Another network"]),
    ],
)
def test_the_list_of_runs_is_searched(store: Any, query: str, names: list[str]):
    boxes = opened(f"/runs?{query}").checkbox
    assert [box.label.removeprefix("Select ") for box in boxes] == names


def test_the_list_of_runs_is_sorted(store: Any):
    at = opened("/runs?sort=Highest+accuracy&find=Own")
    pruned = {run["name"]: run["summary"]["accuracy"]["pruned"] for run in KEPT["runs"]
              if run["summary"]}  # fmt: skip
    names = [box.label.removeprefix("Select ") for box in at.checkbox]
    assert at.session_state["sort"] == "Highest accuracy"
    assert names == sorted(names, key=pruned.__getitem__, reverse=True)


def test_the_runs_of_sweeps_are_listed(store: Any):
    alone, all_of_them = opened("/runs"), opened("/runs?cells=true")
    assert len(all_of_them.checkbox) == len(alone.checkbox) + sum(
        len(study["runs"]) for study in KEPT["studies"]
    )


# Addresses of forms


def same(there: Any, wanted: Any) -> bool:
    """Are the settings those that are wanted? There may be others besides, by now."""
    if isinstance(wanted, dict):
        return all(name in there and same(there[name], value) for name, value in wanted.items())
    return bool(there == wanted)


LISTED = [wanted for wanted in ADDRESSES["runs"] if "torchvision" not in wanted["query"]]


@pytest.mark.parametrize("number", range(len(LISTED)))
def test_an_address_of_the_first_page_gives_the_same_run(store: Any, number: int):
    wanted = LISTED[number]
    before = {run.id for run in store.runs()}
    at = opened(f"/?{wanted['query']}")
    assert not at.warning
    assert not at.button(key=START).disabled, [error.value for error in at.error]
    at.button(key=START).click().run()
    assert not at.exception
    (run,) = (run for run in store.runs(VISITOR) if run.id not in before)
    assert same(run.config.to_dict(), wanted["config"])
    assert dict(at.query_params) == {"id": run.id}


def test_an_address_names_a_network_of_torchvision(store: Any):
    # The button cannot be pressed here: AppTest sends back only what is in the list.
    (wanted,) = (wanted for wanted in ADDRESSES["runs"] if wanted not in LISTED)
    at = opened(f"/?{wanted['query']}")
    assert not at.warning
    assert not at.button(key=START).disabled
    for name in ("model", "data", "weights"):
        assert at.session_state[name] == wanted["config"][name]


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, n) for kind in ("sweeps", "searches") for n in range(len(ADDRESSES[kind]))],
)
def test_an_address_of_a_sweep_gives_the_same_sweep(store: Any, kind: str, number: int):
    wanted = ADDRESSES[kind][number]
    at = opened(f"/sweep?{wanted['query']}")
    assert not at.warning
    assert not at.button(key=START).disabled, [error.value for error in at.error]
    at.button(key=START).click().run()
    assert not at.exception
    study = store.studies(VISITOR)[0]
    assert study.kind == {"sweeps": "sweep", "searches": "search"}[kind]
    assert same(study.config.to_dict(), wanted["config"])
    assert dict(at.query_params) == {"study": study.id}


def test_the_files_of_a_visitor_are_theirs_alone(store: Any):
    query = next(a["query"] for a in ADDRESSES["runs"] if "photos.zip" in a["query"])
    assert opened(f"/?{query}", STRANGER).button(key=START).disabled
