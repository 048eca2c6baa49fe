"""The page that compares."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest
from app_fakes import finished, new, words
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from app import pages as links
from app.compare import (
    accuracy_chart,
    curves_chart,
    download,
    layers_chart,
    overlap_chart,
    sections,
)
from app.compare.points import OPENED
from app.compare.sections import Made, Section, read_results
from app.services import RunConfig, SweepConfig, compared_results
from benchmarks.made_up import FAILED, end, swept
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.search_config import SearchConfig

SPACE = "\N{NO-BREAK SPACE}"
GRID = SweepConfig(methods=("prospr", "snip", "random"), sparsities=(0.8, 0.95), seeds=(0, 1))
ONE = SweepConfig(sparsities=(0.9,))


def opened(visitor: str = "alice", **query: str | list[str]) -> AppTest:
    at = new(visitor, links.COMPARE)
    for name, value in query.items():
        at.query_params[name] = value
    return again(at)


def of(study: Study, visitor: str = "alice", **query: str | list[str]) -> AppTest:
    return opened(visitor, study=study.id, **query)


def again(at: AppTest) -> AppTest:
    at.run()
    assert not at.exception
    return at


def page_text(at: AppTest) -> str:
    return words(at).replace(SPACE, " ").replace("\\", "")


def charts(at: AppTest) -> list[Any]:
    return [chart.proto for chart in at.get("vega_lite_chart")]


def table(at: AppTest) -> Any:
    return at.dataframe[0].value


def pages(at: AppTest) -> dict[str, str]:
    return {link.proto.label.replace(SPACE, " "): link.proto.query_string
            for link in at.get("page_link")}  # fmt: skip


def until(place: str) -> Callable[[RunConfig], str]:
    """Runs of seed 0 are done; the others not even begun, or failed."""
    return lambda config: "done" if config.seed == 0 else place


# What is compared


def test_a_study_that_is_done(store: Store):
    study = swept(store, "alice", GRID, name="All three")
    at = of(study)
    text = page_text(at)
    assert [title.value for title in at.title] == ["All three"]
    assert "your sweep" in text
    assert re.search(r"\*\*At 95 %, the highest sparsity that all reached, ProsPr is best", text)
    assert "2 seeds: differences below about" in text
    assert not at.warning
    (chart,) = charts(at)
    assert "ProsPr" in chart.alt
    assert len(table(at)) == 6
    assert not [button for button in at.button if button.key == "stop-study"]


def test_a_name_that_is_markup_is_text(store: Store):
    study = swept(store, "alice", ONE, name="*<b>:red[x]*")
    assert of(study).title[0].value == "\\*\\<b\\>\\:red\\[x\\]\\*"


def test_the_table_has_what_was_asked_for_and_what_came_of_it(store: Store):
    study = swept(store, "alice", GRID)
    row = table(of(study)).iloc[0]
    summaries = [run.summary or {} for run in store.study_runs(study.id)]
    mine = [summaries[0], summaries[6]]
    pruned = [100 * summary["accuracy"]["pruned"] for summary in mine]
    dense = [100 * summary["accuracy"]["dense"] for summary in mine]
    assert row["Series"] == "ProsPr"
    assert row["Removed (target)"] == 80
    assert row["Removed"] == pytest.approx(100 * mine[0]["sparsity"]["achieved"])
    assert row["Accuracy"] == pytest.approx(sum(pruned) / 2)
    # Two values: the t quantile of one degree of freedom, 12.706, times the standard error, to
    # which the rounding to whole test images adds.
    rounding = (100 / mine[0]["test_images"]) ** 2 / 12
    half = 12.7062 * math.sqrt(((pruned[0] - pruned[1]) ** 2 / 2 + rounding) / 2)
    assert row["\N{PLUS-MINUS SIGN} Accuracy"] == pytest.approx(half, rel=1e-4)
    assert row["Change"] == pytest.approx((sum(pruned) - sum(dense)) / 2)
    assert row["Weights kept"] == mine[0]["kept"]
    assert row["Zipped file"] == pytest.approx(sum(s["zipped"] for s in mine) / 2 / 1e3)
    assert (row["Seeds"], row["State"]) == ("0, 1", "2 done")
    assert list(row["Runs"]) == ["Seed 0", "Seed 1"]


def test_one_run_has_no_interval_and_is_opened_itself(store: Store):
    study = swept(store, "alice", ONE)
    at = of(study)
    row = table(at).iloc[0]
    assert row.isna()["\N{PLUS-MINUS SIGN} Accuracy"]
    assert list(row["Runs"]) == ["Open"]
    text = page_text(at)
    assert "From one seed: with 90 % removed, ProsPr has" in text
    assert "the choice of test images" in text
    assert "One seed" in text
    assert not at.multiselect
    assert not at.toggle


def test_any_runs(store: Store):
    runs = [finished(store, config=RunConfig(sparsity=s, method=m))
            for s in (0.8, 0.9) for m in ("prospr", "magnitude")]  # fmt: skip
    at = opened(runs=",".join(run.id for run in runs))
    assert at.title[0].value == "ProsPr and Magnitude compared"
    assert "Small CNN on Digits · 3 epochs · 1 seed · 4 runs" in page_text(at)
    assert len(table(at)) == 4


def test_runs_that_cannot_be_compared_are_shown_with_a_warning(store: Store):
    runs = [finished(store, config=RunConfig(data=data)) for data in ("digits", "mnist")]
    runs += [finished(store, config=RunConfig(seed=1))]
    at = opened(runs=",".join(run.id for run in runs))
    (warning,) = at.warning
    assert "different data sets (Digits and MNIST)" in warning.value
    assert len(charts(at)) == 1


def test_runs_that_are_gone_are_reported(store: Store):
    run = finished(store)
    at = opened(runs=f"{run.id},{'0' * 32},zzz")
    assert "2 runs are missing" in page_text(at)
    assert len(table(at)) == 1
    study = swept(store, "alice", GRID)
    store.delete(store.study_runs(study.id)[0].id, "alice")
    assert "1 run is missing" in page_text(of(study))


@pytest.mark.parametrize("id", ["zzz", "0" * 32, "'; DROP TABLE studies", "a" * 5000, "☃", ",,"])
@pytest.mark.parametrize("place", ["study", "runs"])
def test_an_unknown_id_is_reported(store: Store, place: str, id: str):
    at = opened(**{place: id})
    assert at.title[0].value == "Nothing to compare"
    assert set(pages(at)) == {"Start a sweep", "See your runs"}


def test_the_start_lists_what_there_is(store: Store):
    assert "Start a sweep: it runs" in page_text(opened())
    study = swept(store, "alice", GRID, name="Mine")
    swept(store, "bob", ONE, name="Theirs")
    at = opened()
    assert [button.label for button in at.button] == ["Mine"]
    assert "12 of 12 runs done" in page_text(at)
    at.button[0].click()
    again(at)
    assert at.query_params["study"] == study.id
    assert at.title[0].value == "Mine"


def test_whoever_has_the_link_can_look_and_change_nothing(store: Store):
    study = swept(store, "alice", GRID, fate=until("failed"))
    at = of(study, "bob")
    assert "someone else's sweep" in page_text(at)
    assert len(charts(at)) == 1
    assert not {"stop-study", "resume-study"} & {button.key for button in at.button}


def test_paths_of_others_are_not_reported(store: Store):
    config = SweepConfig(run=RunConfig(data="/home/alice/secret/faces"), sparsities=(0.8, 0.9))
    study = swept(store, "alice", config, fate=lambda c: "done" if c.sparsity < 0.85 else "failed")
    at = of(study, "bob")
    at.session_state["copy-code"] = True
    again(at)
    sent = str(charts(at)) + page_text(at) + str([c.value for c in at.code])
    assert "faces" in sent
    assert "secret" not in sent


# What is not done


def test_nothing_is_done_yet(store: Store):
    study = swept(store, "alice", GRID, fate=lambda config: "")
    at = of(study)
    assert not charts(at)
    assert [header.value for header in at.subheader] == ["Waiting for its turn"]
    assert at.get("progress")[0].proto.text == "0 of 12 runs done"
    assert at.button(key="stop-study")


def test_points_come_as_runs_end(store: Store):
    study = swept(store, "alice", GRID, fate=lambda c: "done" if c.method == "prospr" else "")
    at = of(study)
    assert at.get("progress")[0].proto.text == "2 of 12 runs done"
    before = charts(at)[0]
    run = store.claim("test")
    assert run
    again(at)
    assert [header.value for header in at.subheader] == ["Running"]
    end(store, run)
    again(at)
    after = charts(at)[0]
    assert after.id == before.id  # the same chart, with one point more
    assert "SNIP" in after.alt
    assert "SNIP" not in before.alt
    assert at.get("progress")[0].proto.text == "3 of 12 runs done"


def test_stopping(store: Store):
    study = swept(store, "alice", GRID, fate=until(""))
    assert store.claim("test")
    at = of(study)
    at.button(key="stop-study").click()
    again(at)
    assert [header.value for header in at.subheader] == ["Stopping"]
    assert at.button(key="stop-study").disabled
    run = next(run for run in store.study_runs(study.id) if run.state == "running")
    store.finish(run.id, "stopped")
    again(at)
    assert "6 runs were stopped and have no result." in page_text(at)
    assert len(charts(at)) == 1
    at.button(key="resume-study").click()
    again(at)
    assert store.study(study.id).counts["queued"] == 6  # type: ignore[union-attr]
    assert at.get("progress")


def test_failed_runs_are_shown_and_tried_again(store: Store):
    study = swept(store, "alice", GRID, fate=until("failed"))
    at = of(study)
    text = page_text(at)
    assert "6 runs failed; the others are not affected." in text
    assert "ProsPr at 80 % (seed 1); ProsPr at 95 % (seed 1)" in text
    assert text.count(FAILED) == 1
    assert set(table(at)["State"]) == {"1 done, 1 failed"}
    at.button(key="resume-study").click()
    again(at)
    assert store.study(study.id).counts["queued"] == 6  # type: ignore[union-attr]


def test_all_failed(store: Store):
    study = swept(store, "alice", GRID, fate=lambda config: "failed")
    at = of(study)
    assert "12 runs failed" in page_text(at)
    assert not charts(at)
    assert not at.dataframe


def test_another_study_of_theirs_is_under_way(store: Store):
    study = swept(store, "alice", GRID, fate=until("failed"))
    limit = store.limits.most_studies_per_visitor
    for seed in range(int(limit)):
        store.submit_study("sweep", SweepConfig(seeds=(seed + 10,)), "alice")
    at = of(study)
    at.button(key="resume-study").click()
    again(at)
    assert "already have" in at.error[0].value


def test_runs_that_somebody_picked_are_followed(store: Store):
    done = [finished(store, config=RunConfig(seed=seed)).id for seed in (0, 1)]
    waiting = store.submit(RunConfig(sparsity=0.5), "alice")
    at = opened(runs=",".join([*done, waiting.id]))
    assert at.get("progress")[0].proto.text == "2 of 3 runs done"
    assert not [button for button in at.button if button.key == "stop-study"]


# Choices


def test_choices_come_from_the_address_and_narrow_what_is_on_show(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study, only=["SNIP"], against="File size", **{"only-seed": "1"})
    assert at.multiselect(key="only").value == ["SNIP"]
    assert set(table(at)["Series"]) == {"SNIP"}
    assert set(table(at)["Seeds"]) == {"1"}
    chart = charts(at)[0]
    assert "onnx file" in chart.alt.lower()
    assert "ProsPr" not in chart.spec
    at.multiselect(key="only").set_value([])
    assert len(table(again(at))) == 6


def test_a_sparsity_in_the_address_is_a_fraction_or_a_percentage(store: Store):
    study = swept(store, "alice", GRID)
    for text in ("80", "0.8", "80%"):
        assert of(study, **{"at-sparsity": text}).session_state["at-sparsity"] == "80"


def test_garbage_in_the_address_is_no_choice(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study, only=["<script>"], against="Nothing", single="maybe", **{"at-sparsity": "1e9"})
    assert len(table(at)) == 6


def test_boxes_only_for_what_differs(store: Store):
    at = of(swept(store, "alice", GRID))
    assert {box.label for box in at.multiselect} == {"Criteria", "Seeds"}
    config = SweepConfig(steps=(1, 3), controls=("none", "shuffle"))
    at = of(swept(store, "alice", config))
    boxes = {box.label: box.options for box in at.multiselect}
    assert boxes == {"Controls": ["None", "Mask shuffled"], "Look-ahead steps (M)": ["1", "3"]}


def test_nothing_is_like_that(store: Store):
    study = swept(store, "alice", GRID, fate=until("failed"))
    at = of(study, **{"only-seed": "1"})
    assert at.info[0].value == "No matching runs."
    at.button(key="show-all").click()
    assert len(charts(again(at))) == 1


def test_the_link_opens_what_is_on_show(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study, only=["SNIP", "ProsPr"], against="Weights kept", single="true",
            **{"at-sparsity": "80", "open-curves": "true"})  # fmt: skip
    at.multiselect(key="only-seed").set_value(["0"])
    again(at)

    def page() -> None:
        import streamlit as st

        from app.compare.filters import address  # runs in a script of its own

        st.session_state["output"] = address({"study": "x"})

    names = ("only", "only-seed", "against", "single", "open-curves")
    state = {key: at.session_state[key] for key in names}
    state["at-sparsity"] = at.session_state["at-sparsity"]
    maker = AppTest.from_function(page, default_timeout=PATIENCE)
    for key, value in state.items():
        maker.session_state[key] = value
    maker.run()
    link = parse_qs(maker.session_state["output"].replace("study=x", f"study={study.id}"))
    assert link["only"] == ["SNIP", "ProsPr"]
    assert link["open-curves"] == ["true"]
    other = opened("bob", **link)
    assert charts(other)[0].spec == charts(at)[0].spec
    assert table(other).equals(table(at))


def test_going_back_from_a_run_brings_the_comparison_back(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study)
    at.query_params.clear()
    at.query_params["id"] = "0" * 32  # what Streamlit leaves in the address of the page it left
    again(at)
    assert at.query_params["study"] == study.id
    assert "id" not in at.query_params
    assert len(charts(at)) == 1


# A point, and the runs behind it


def test_a_point_of_several_runs_lists_them(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study)
    at.session_state[OPENED] = (study.id, "SNIP", 0.95, "")
    again(at)
    runs = {run.settings["seed"]: run for run in store.study_runs(study.id)
            if (run.settings["method"], run.settings["sparsity"]) == ("snip", 0.95)}  # fmt: skip
    for seed, run in runs.items():
        share = f"{100 * run.summary['accuracy']['pruned']:.1f} %"  # type: ignore[index]
        assert pages(at)[f"Seed {seed}: {share}"] == f"id={run.id}"
    at.button(key="close-point").click()
    assert not any(name.startswith("Seed") for name in pages(again(at)))


def test_a_point_of_another_comparison_is_not_shown(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study)
    at.session_state[OPENED] = ("another", "SNIP", 0.95, "")
    assert not any(name.startswith("Seed") for name in pages(again(at)))


def test_a_point_of_one_run_goes_there(store: Store):
    study = swept(store, "alice", ONE)
    (run,) = store.study_runs(study.id)
    at = of(study)
    at.session_state[OPENED] = (study.id, "ProsPr", 0.9, "")
    again(at)
    assert at.query_params["id"] == run.id
    assert "of the weights removed" in at.title[0].value


# Details


def test_closed_sections_read_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    study = swept(store, "alice", GRID)
    read: list[str] = []
    real = compared_results.runs.result

    def path(run: Any) -> Any:
        read.append(run.id)
        return real(run)

    monkeypatch.setattr(compared_results.runs, "result", path)
    at = of(study)
    assert not read
    at = of(study, **{"open-layers": "true", "at-sparsity": "80"})
    assert len(read) == 6  # three criteria, two seeds, at one sparsity
    assert len(charts(at)) == 2


@pytest.mark.parametrize(
    ("name", "says", "drawn"),
    [
        ("curves", "Validation accuracy", 1),
        ("layers", "Share of weights kept in each of 5 layers", 1),
        ("overlap", "Overlap of the masks of 3 pairs", 2),
        ("classes", "Change of accuracy in 10 classes", 1),
    ],
)
def test_a_section_that_is_open(store: Store, name: str, says: str, drawn: int):
    at = of(swept(store, "alice", GRID), **{f"open-{name}": "true"})
    alts = [chart.alt for chart in charts(at)][1:]
    assert len(alts) == drawn
    assert says in alts[0]


def test_one_line_has_nothing_to_share_its_mask_with(store: Store):
    at = of(swept(store, "alice", ONE), **{"open-overlap": "true"})
    assert [box.label.replace(SPACE, " ") for box in at.expander] == [
        "Training curves, at 90 %", "Weights kept in each layer, at 90 %",
        "Which classes lose accuracy, at 90 %",
    ]  # fmt: skip


def test_files_that_are_gone_are_reported(store: Store):
    study = swept(store, "alice", GRID)
    for run in store.study_runs(study.id)[:2]:
        for file in store.files(run.id).values():
            file.path.unlink()
    open = {"open-curves": "true", "open-overlap": "true", "at-sparsity": "80"}
    at = of(study, **open)
    assert "1 result is no longer on the server." in page_text(at)
    assert "no longer on the server" in at.error[0].value
    assert len(charts(at)) == 2


# No chart is made twice


def test_no_chart_is_made_twice_from_the_same_data(store: Store, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    for module in (accuracy_chart, curves_chart, layers_chart, overlap_chart):
        for name in ("table", "chart"):
            real = getattr(module, name)
            label = f"{module.__name__.rpartition('.')[2]}.{name}"

            def counted(*given: Any, real: Any = real, label: str = label) -> Any:
                made.append(label)
                return real(*given)

            monkeypatch.setattr(module, name, counted)
    study = swept(store, "alice", GRID)
    at = of(study, **{"open-curves": "true", "open-layers": "true", "open-overlap": "true"})
    names = ("accuracy", "curves", "layers", "overlap")
    assert sorted(made) == sorted(f"{n}_chart.{part}" for n in names for part in ("table", "chart"))
    first = [chart.spec for chart in charts(at)]
    made.clear()
    assert [chart.spec for chart in charts(again(at))] == first
    of(study, "bob", **{"open-curves": "true", "open-layers": "true", "open-overlap": "true"})
    assert not made
    at.multiselect(key="only").set_value(["SNIP", "Random"])
    again(at)
    assert "accuracy_chart.table" in made
    made.clear()
    at.multiselect(key="only").set_value([])
    again(at)
    assert not made  # it was on show before


def test_a_chart_of_ones_own_is_one_row(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Registered in a test: it is drawn, said in words, kept, and part of the link."""
    made: list[int] = []

    def make(found: Any, there: pd.DataFrame) -> Made:
        made.append(len(found))
        data = pd.DataFrame({"series": list(found), "runs": [len(of) for of in found.values()]})
        return Made(data, ("runs",), "Runs in words", (f"{data['runs'].sum()} runs in all.",))

    own = Section(
        name="own",
        title="How many runs",
        icon="tag",
        make=make,
        chart=lambda plan, colours: {"mark": "bar", "encoding": {"x": {"field": plan[0]}}},
        read=read_results,
        fewest_lines=2,
    )
    monkeypatch.setattr(sections, "SECTIONS", (*sections.SECTIONS, own))
    study = swept(store, "alice", GRID)
    at = of(study, **{"open-own": "true"})
    assert [box.label for box in at.expander if "How many runs" in box.label]
    assert "6 runs in all." in page_text(at)
    assert any('"runs"' in chart.spec for chart in charts(at))
    again(at)
    assert made == [3]
    assert at.session_state["open-own"]
    at.multiselect(key="only").set_value(["SNIP"])
    assert "runs in all." not in page_text(again(at))


# Downloads


def test_the_code_does_what_is_on_show(store: Store):
    study = swept(store, "alice", GRID)
    at = of(study, only=["SNIP"])
    at.session_state["copy-code"] = True
    again(at)
    command, program = (code.value for code in at.code)
    assert "prospr_engine sweep" in command
    assert "--methods snip --sparsities 0.8,0.95 --seeds 0,1" in command
    assert "pe.sweep(" in program


def test_files_are_made_only_when_downloaded(store: Store, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    monkeypatch.setattr(download.image_file, "picture",
                        lambda *given: made.append(given[2]) or b"x")  # fmt: skip
    at = of(swept(store, "alice", GRID))
    assert {button.proto.label for button in at.get("download_button")} == {"CSV", "PNG", "SVG"}
    assert not made


# Searches


def test_a_search_says_its_answer_first(store: Store):
    study = store.submit_study("search", SearchConfig(most_lost=0.05, seeds=(0, 1)), "alice")
    while run := store.claim("test"):
        end(store, run)
    at = of(study)
    text = page_text(at)
    assert re.search(r"### Found: .* of the weights removed", text)
    assert "1. " in text
    trail, accuracy = charts(at)
    assert trail.alt.startswith("Goal: at most 5.0 points lost. Tried in this order:")
    assert json.loads(accuracy.spec)
    assert "is best" not in text
    assert any(query.startswith("id=") for query in pages(at).values())


def test_a_search_that_has_only_begun(store: Store):
    study = store.submit_study("search", SearchConfig(most_lost=0.05), "alice")
    at = of(study)
    assert not charts(at)
    assert [header.value for header in at.subheader] == ["Waiting for its turn"]
    assert store.claim("test")
    assert [header.value for header in again(at).subheader] == ["Searching"]
