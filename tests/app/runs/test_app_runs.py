"""The list of runs: found, sorted, compared, renamed, deleted, whatever is in the store."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_fakes import RESULT, finished, found, keys, running, words
from app_fakes import listed as library
from streamlit.testing.v1 import AppTest

from app.runs import library as library_component
from app.runs.search import ORDERS, order, search
from app.services import runs as service
from app.services import store as store_service
from app.ui import figures, watch, when
from app.ui.states import state
from prospr_engine.config import RunConfig, TrainingConfig
from prospr_engine.errors import StoreError
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"


def rows(at: AppTest) -> list[str]:
    """What the rows are called, from the top."""
    return [box.label.removeprefix("Select ").replace("\\", "") for box in at.checkbox]


def tick(at: AppTest, *numbers: int) -> None:
    for number in numbers:
        at.checkbox[number].check().run()
    assert not at.exception


def named(store: Store, *names: str, owner: str = "alice", **changes: Any) -> list[Run]:
    """Runs that are done, of those names, the first being the oldest."""
    made = []
    for name in names:
        # Of settings of their own: the same would give the same run back.
        seed = len(store.runs())
        run = finished(store, owner, RunConfig(seed=seed), **changes)
        store.rename(run.id, owner, name)
        made.append(found(store, run.id))
    return made


def accuracy(dense: float, pruned: float) -> dict[str, Any]:
    return {"accuracy": {"dense": dense, "pruned": pruned}}


# What is listed


def test_an_empty_library_says_what_to_do_next(store: Store):
    at = library()
    assert "No runs yet" in words(at)
    assert not at.text_input
    assert "/" in [link.proto.page for link in at.get("page_link")] or at.get("page_link")


def test_a_visitor_sees_their_own_runs_and_those_of_the_command_line(store: Store):
    named(store, "mine")
    named(store, "hers", owner="bob")
    named(store, "cli", owner="")
    at = library()
    assert rows(at) == ["cli", "mine"]
    assert words(at).count("command line") == 1


def test_a_row_tells_what_is_known(store: Store):
    named(store, "")
    at = library()
    output = words(at)
    assert rows(at) == ["Small CNN on Digits"]
    assert f"Small CNN · Digits · ProsPr · 90{SPACE}% removed · 3 epochs · seed 0" in output
    assert "Done · just now" in output
    figures = "".join(part.proto.body for part in at.get("html")).replace(SPACE, " ")
    for name, value in {
        "Removed": "90 %",
        "Accuracy": "96.1 %",
        "Dense": "97.2 %",
        "Change": "\N{MINUS SIGN}1.1 points",
        "Model file": "254 kB",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in figures
    tip = next(caption.proto.help for caption in at.caption if "Done" in caption.value)
    assert "UTC" in tip


def test_every_state_is_reported_in_words(store: Store):
    failed = running(store, config=RunConfig(seed=1))
    store.finish(failed.id, "failed", error="The *disk* is full.")
    stopped = running(store, config=RunConfig(seed=2))
    store.finish(stopped.id, "stopped")
    stopping = running(store, config=RunConfig(seed=3))
    store.stop(stopping.id, "alice")
    store.submit(RunConfig(seed=4), "bob")
    store.submit(RunConfig(seed=5), "alice")
    at = library()
    output = words(at)
    for text in ("Failed · ", "Stopped · ", "Stopping · ", "Waiting for 2 runs · "):
        assert text in output
    assert "The \\*disk\\* is full." in output
    assert state(found(store, failed.id)) == "Failed"


def test_names_stay_what_they_are(store: Store):
    named(store, "<b>x</b> [y](http://z) :red[w]")
    at = library()
    label = at.get("page_link")[0].proto.label
    assert "\\[y\\]" in label
    assert "\\<b\\>" in label
    assert rows(at) == ["<b>x</b> [y](http://z) :red[w]".replace("http://", "http\u2060://")]


def test_the_link_leads_to_the_run(store: Store):
    (run,) = named(store, "one")
    at = library()
    link = at.get("page_link")[0].proto
    assert link.query_string == f"id={run.id}"


def test_what_limits_apply_is_reported_once(store: Store):
    named(store, "a", "b")
    output = words(library())
    assert output.count("kept for 30 days") == 1
    assert "20 GB" in output


# What is looked for


def test_the_newest_stands_first(store: Store):
    named(store, "old", "new")
    assert rows(library()) == ["new", "old"]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("Highest accuracy", ["good", "fair", "poor", "waits"]),
        ("Least accuracy lost", ["poor", "good", "fair", "waits"]),
        ("Name", ["fair", "good", "poor", "waits"]),
    ],
)
def test_sorting_puts_what_is_not_known_last(store: Store, by: str, names: list[str]):
    named(store, "fair", **accuracy(0.95, 0.90))
    named(store, "good", **accuracy(0.99, 0.98))
    named(store, "poor", **accuracy(0.50, 0.50))
    store.submit(RunConfig(seed=99), "alice", "waits")
    assert rows(library(sort=by)) == names


def test_sorting_by_sparsity(store: Store):
    for sparsity in (0.5, 0.98, 0.8):
        finished(
            store,
            config=RunConfig(sparsity=sparsity),
            sparsity={"requested": sparsity, "achieved": sparsity, "effective": sparsity},
        )
    shares = [figures.sparsity(run) for run in order(store.runs(), "Highest sparsity")]
    assert shares == [0.98, 0.8, 0.5]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["bean", "apple"]),
        ("APPLE", ["apple"]),
        ("resnet", ["bean"]),
        ("ResNet-20 digits", ["bean"]),
        ("magnitude", ["bean"]),
        ("lr 0.25", ["bean"]),
        ("learning rate of training", ["bean"]),
        ("seed 1", ["bean"]),
        ("12", ["bean"]),
        ("1", ["bean"]),
        ("95 %", ["bean"]),
        (f"95{SPACE}%", ["bean"]),
        ("done", ["bean", "apple"]),
        ("momentum", []),
        ("nothing like that", []),
        (r"[.*\ %_", []),
    ],
)
def test_the_search_looks_everywhere_for_every_word(store: Store, query: str, names: list[str]):
    finished(store, config=RunConfig())
    other = RunConfig(
        model="resnet20",
        method="magnitude",
        sparsity=0.95,
        seed=1,
        epochs=12,
        training=TrainingConfig(lr=0.25),
    )
    finished(store, config=other, sparsity={"achieved": 0.95})
    for run, name in zip(store.runs(), ("bean", "apple"), strict=True):
        store.rename(run.id, "alice", name)
    assert [run.name for run in search(store.runs(), query)] == names


def test_search_filter_and_order_are_read_from_the_address(store: Store):
    named(store, "apple", "avocado", "bean")
    running(store, config=RunConfig(seed=50))
    assert rows(library(find="a", state="Done", sort="Name")) == ["apple", "avocado", "bean"]
    assert rows(library(find="avo")) == ["avocado"]
    assert rows(library(state="Running")) == ["Small CNN on Digits"]
    assert len(rows(library(state="nonsense", sort="nonsense"))) == 4


def test_nothing_that_matches_is_said_and_can_be_cleared(store: Store):
    named(store, "apple")
    at = library(find="pear", state="Failed")
    assert "No matching runs." in words(at)
    assert not at.checkbox
    at.button[0].click().run()
    assert rows(at) == ["apple"]
    assert at.text_input(key="find").value == ""
    assert at.selectbox(key="state").value == "All"


def many(store: Store, count: int) -> None:
    settings = json.dumps(RunConfig().to_dict())
    with sqlite3.connect(store.database) as c:
        c.executemany(
            "INSERT INTO runs (id, owner, name, settings, state, created) "
            "VALUES (?, 'alice', ?, ?, 'stopped', ?)",
            [(f"{i:032x}", f"run {i}", settings, float(i)) for i in range(count)],
        )


def test_what_is_ticked_stays_so_on_other_pages(store: Store):
    many(store, 30)
    at = library()
    tick(at, 0)
    at.session_state["page--All-Newest"] = 2
    at.run()
    assert rows(at) == [f"run {i}" for i in range(9, -1, -1)]
    tick(at, 9)
    assert "**2 runs selected**" in words(at)
    at.button(key="delete").click().run()
    assert "- run 29\n- run 0" in words(at)


def test_many_runs_come_in_pages_and_with_one_question_to_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    many(store, 500)
    asked = []
    monkeypatch.setattr(Store, "get", lambda *_: pytest.fail("one question is enough"))
    runs = Store.runs
    monkeypatch.setattr(Store, "runs", lambda *a, **b: asked.append(1) or runs(*a, **b))
    at = library()
    assert rows(at) == [f"run {i}" for i in range(499, 479, -1)]
    assert len(asked) == 1
    assert "500 runs" in words(at)
    (pages,) = at.get("pagination")
    assert pages.proto.num_pages == 25


def test_settings_of_another_version_are_listed_and_can_be_deleted(store: Store):
    runs = named(store, "", "")
    strange = {"model": 7, "data": None, "shape": [1, {"a": 2}], "scoring": "fast"}
    with sqlite3.connect(store.database) as c:
        c.execute(
            "UPDATE runs SET settings = ?, summary = ? WHERE id = ?",
            (json.dumps(strange), json.dumps({"accuracy": 0.9, "sparsity": []}), runs[0].id),
        )
        c.execute(
            "UPDATE runs SET settings = ?, summary = ? WHERE id = ?",
            (json.dumps(RunConfig().to_dict() | {"dropout": 0.5}), json.dumps(3), runs[1].id),
        )
    for by in ("Newest", *ORDERS):
        at = library(sort=by)
        assert words(at).count("Settings of another version") == 2
    assert rows(library(find="dropout 0.5")) == ["Small CNN on Digits"]
    tick(at, 0, 1)
    at.button(key="delete").click().run()
    at.button(key="sure").click().run()
    assert not at.exception
    assert store.runs("alice") == []


# What happens elsewhere


class DrawnAnewError(Exception):
    """In the place of Streamlit's own, which only Streamlit can catch."""


def test_what_happens_elsewhere_draws_the_list_anew(store: Store, monkeypatch: pytest.MonkeyPatch):
    def anew() -> None:
        raise DrawnAnewError

    monkeypatch.setattr(library_component.st, "rerun", anew)

    def changes() -> bool:
        """Has anything on the page changed since the last question?"""
        nonlocal versions
        try:
            library_component._poll("alice", versions)
        except DrawnAnewError:
            versions = [watch.version(run) for run in store.runs("alice")]
            return True
        return False

    versions: list[tuple[object, ...]] = []
    assert not changes()
    store.submit(RunConfig(), "bob")
    assert not changes()
    run = store.submit(RunConfig(seed=1), "alice")  # in another tab
    assert changes()
    store.submit(RunConfig(seed=2))  # on the command line
    assert changes()
    first = store.claim("test")
    assert first is not None
    store.finish(first.id, "stopped")
    assert changes()  # one fewer is waited for
    store.rename(run.id, "alice", "named")
    assert changes()
    store.delete(run.id, "alice")
    assert changes()
    assert not changes()


def test_the_list_is_looked_after_even_if_nothing_is_in_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    watched = []
    monkeypatch.setattr(
        library_component, "_poll", lambda *_: pytest.fail("it has just been drawn")
    )
    fragment = library_component.st.fragment

    def noted(function: Callable[[], None], run_every: float) -> Callable[[], None]:
        watched.append(run_every)
        return fragment(function, run_every=run_every)

    monkeypatch.setattr(library_component.st, "fragment", noted)
    library()
    assert watched == [library_component.REST]
    named(store, "a")
    at = library()
    tick(at, 0)
    watched.clear()
    at.button(key="delete").click().run()
    assert watched == []  # a question is open
    store.submit(RunConfig(seed=50), "alice")
    library()
    assert watched == [library_component.POLL]


# What is done with them


def test_nothing_is_offered_until_something_is_ticked(store: Store):
    named(store, "a", "b")
    at = library()
    assert not keys(at)
    tick(at, 0)
    assert "**1 run selected**" in words(at)
    assert at.button(key="primary-compare").disabled
    assert not at.button(key="rename").disabled
    tick(at, 1)
    assert not at.button(key="primary-compare").disabled
    assert at.button(key="rename").disabled
    at.button(key="none").click().run()
    assert not keys(at)


def test_what_the_search_hides_is_not_touched(store: Store):
    named(store, "apple", "bean")
    at = library()
    tick(at, 0, 1)
    at.text_input(key="find").set_value("apple").run()
    assert "**1 run selected**" in words(at)
    at.button(key="delete").click().run()
    at.button(key="sure").click().run()
    assert [run.name for run in store.runs("alice")] == ["bean"]


def test_two_runs_are_compared(store: Store):
    old, new_ = named(store, "old", "new")
    at = library()
    tick(at, 0, 1)
    at.button(key="primary-compare").click().run()
    assert not at.exception
    assert dict(at.query_params) == {"runs": f"{new_.id},{old.id}"}
    assert "differ" in words(at)


def test_renaming(store: Store):
    (run,) = named(store, "before")
    at = library()
    tick(at, 0)
    at.button(key="rename").click().run()
    field = at.text_input(key=f"name-{run.id}")
    assert field.value == "before"
    field.set_value("  after\n*x* ")
    at.button(key="save").click().run()
    assert not at.exception
    assert found(store, run.id).name == "after *x*"
    assert rows(at) == ["after *x*"]
    assert "save" not in keys(at)  # the question is gone
    assert at.toast[0].value == "Renamed."


def test_a_name_taken_away_leaves_what_the_run_is_of(store: Store):
    (run,) = named(store, "before")
    at = library()
    tick(at, 0)
    at.button(key="rename").click().run()
    at.text_input(key=f"name-{run.id}").set_value("")
    at.button(key="save").click().run()
    assert rows(at) == ["Small CNN on Digits"]


def test_deleting_asks_first_and_says_what_goes(store: Store):
    runs = named(store, "a", "b", "c")
    at = library()
    tick(at, 0, 2)
    at.button(key="delete").click().run()
    output = words(at)
    assert "- c\n- a" in output
    assert "deleted permanently" in output
    assert "kB" in output
    at.button(key="keep").click().run()
    assert len(store.runs("alice")) == 3
    at.button(key="delete").click().run()
    at.button(key="sure").click().run()
    assert not at.exception
    assert [run.id for run in store.runs("alice")] == [runs[1].id]
    assert at.toast[0].value == "2 runs deleted."
    assert rows(at) == ["b"]


def test_deleting_a_live_run_says_that_it_ends(store: Store):
    running(store)
    at = library()
    tick(at, 0)
    at.button(key="delete").click().run()
    assert "It is still running and will be stopped." in words(at)
    at.button(key="sure").click().run()
    assert "No runs yet" in words(at)


def test_deleting_several_counts_those_that_are_stopped(store: Store):
    named(store, "a")
    running(store, config=RunConfig(seed=50))
    store.submit(RunConfig(seed=51), "alice")
    at = library()
    tick(at, 0)
    at.button(key="delete").click().run()
    assert "It is still waiting and will be stopped." in words(at)
    at.button(key="keep").click().run()
    tick(at, 1, 2)
    at.button(key="delete").click().run()
    assert "2 runs are still running and will be stopped." in words(at)


def test_many_names_are_counted(store: Store):
    named(store, *"abcdefgh")
    at = library()
    tick(at, *range(8))
    at.button(key="delete").click().run()
    assert "- c\n- and 2 more" in words(at)


def test_runs_of_the_command_line_are_left_to_it(store: Store):
    named(store, "cli", owner="")
    at = library()
    tick(at, 0)
    assert at.button(key="rename").disabled
    assert at.button(key="delete").disabled
    assert "command line" in at.button(key="delete").proto.help


def test_what_another_tab_deleted_is_reported_and_the_rest_goes(store: Store):
    runs = named(store, "a", "b")
    at = library()
    tick(at, 0, 1)
    at.button(key="delete").click().run()

    def meanwhile(run: Run, owner: str) -> None:
        if run.name == "b":
            store.delete(runs[1].id, "alice")
        store.delete(run.id, owner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "delete", meanwhile)
        at.button(key="sure").click().run()
    assert not at.exception
    assert "This run no longer exists." in words(at)
    assert "Runs deleted anyway: 1." in words(at)
    assert store.runs("alice") == []


def test_a_question_whose_runs_went_closes(store: Store):
    (run,) = named(store, "a", "b")[:1]
    at = library()
    tick(at, 1)
    at.button(key="delete").click().run()
    store.delete(run.id, "alice")
    at.run()
    assert not at.exception
    assert "sure" not in keys(at)
    assert rows(at) == ["b"]


def test_a_store_that_cannot_be_used_is_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def refuse() -> Store:
        raise StoreError("The record of runs was made by a newer version of this software.")

    monkeypatch.setattr(store_service, "current", refuse)
    at = library()
    assert [error.value for error in at.error] == [
        "The record of runs was made by a newer version of this software."
    ]
    monkeypatch.setattr(store_service, "current", lambda: store)
    named(store, "a")
    store.database.unlink()
    at = library()
    assert len(at.error) == 1


def test_the_limits_are_those_of_the_server(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "limits", Limits(keep_days=1, keep_gigabytes=0.5))
    output = words(library())
    assert "kept for 1 day after" in output
    assert "0.5 GB" in output


# Words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-50, "just now"),
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 minute ago"),
        (600, "10 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (6 * 86_400, "6 days ago"),
        (7 * 86_400, "15 November 2026"),
    ],
)
def test_how_long_ago(seconds: float, text: str):
    now = 1_795_364_885.0  # date -u -d '2026-11-22 16:28:05' +%s
    assert when.ago(now - seconds, now) == text


def test_exact_times_are_in_utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    assert when.exactly(1_795_364_885.0) == "22 November 2026, 16:28:05 UTC"
    monkeypatch.undo()
    time.tzset()


def test_the_change_is_that_of_the_numbers_shown(store: Store):
    (run,) = named(store, "a", **accuracy(0.97249, 0.96141))
    assert figures.change(run) == -1.1
    assert RESULT["accuracy"]["dense"] == figures.dense(named(store, "b")[0])
