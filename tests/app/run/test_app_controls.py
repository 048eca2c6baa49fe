"""Controls beside a run: one click each, told in place, and what they say together."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import Any

import pytest
from app_fakes import RESULT, finished, found, keys, linked, running, words
from app_run import SPACE, opened

from app.compare.differences import differences, sentence
from app.run import controls as component
from app.run import controls_words as text
from app.run.controls_words import Measured, verdict
from app.run.files import file_name
from app.runs.search import search
from app.services.analysis import Measurement, difference
from app.ui.titles import short, summary, title
from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError
from prospr_engine.saliency.controls import CONTROLS
from prospr_engine.store.records import Run
from prospr_engine.store.schema import connect
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig

ALL = "controls-all"
CONTROL = {name: RunConfig(control=name) for name in CONTROLS}


def done(store: Store, config: RunConfig, accuracy: float, owner: str = "alice") -> Run:
    return finished(store, owner, config, accuracy={"dense": 0.972, "pruned": accuracy})


def end_next(store: Store, accuracy: float) -> Run:
    """The run that comes next is done."""
    run = store.claim("test")
    assert run
    expected = {**copy.deepcopy(RESULT), "config": run.config.to_dict()}
    expected["accuracy"] = {"dense": 0.972, "pruned": accuracy}
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "result.json").write_text(json.dumps(expected))
    store.finish(run.id, "done", folder=folder)
    return found(store, run.id)


# One click


def test_one_click_starts_all_three(store: Store):
    at = opened(finished(store))
    at.button(key=ALL).click().run()
    assert not at.exception
    made = [run.config for run in store.runs("alice")][:3]
    assert {config.control for config in made} == set(CONTROLS)
    assert all(dataclasses.replace(config, control="none") == RunConfig() for config in made)
    assert ALL not in keys(at)
    assert "Waiting for 1 run" in words(at)


@pytest.mark.parametrize("name", CONTROLS)
def test_each_is_a_click_of_its_own(store: Store, name: str):
    at = opened(finished(store))
    at.button(key=f"control-{name}").click().run()
    assert store.runs("alice")[0].config == CONTROL[name]
    assert f"control-{name}" not in keys(at)
    assert at.button(key=ALL).label == "Run the other controls"


def test_results_stand_in_place_beside_the_original(store: Store):
    run = finished(store)
    at = opened(run)
    at.button(key=ALL).click().run()
    made = [end_next(store, share) for share in (0.95, 0.93, 0.955)]
    at.run()
    assert not at.exception
    figures = [(m.value.replace(SPACE, " "), m.delta) for m in at.metric[-4:]]
    assert figures == [
        ("96.1 %", "the original"),
        ("95.0 %", "\N{MINUS SIGN}1.1 points"),
        ("93.0 %", "\N{MINUS SIGN}3.1 points"),
        ("95.5 %", "\N{MINUS SIGN}0.6 points"),
    ]
    links = linked(at)
    assert links["Open mask shuffled"] == f"id={made[0].id}"
    ids = re.findall("[0-9a-f]{32}", links["Compare them with the original"])
    assert ids == [run.id, *(r.id for r in made)]
    assert "nothing shows that it mattered" in words(at)


def test_the_section_is_looked_after_while_a_control_works(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    paces = []
    fragment = component.st.fragment

    def noted(function: Any, run_every: float | None = None) -> Any:
        paces.append(run_every)
        return fragment(function, run_every=run_every)

    monkeypatch.setattr(component.st, "fragment", noted)
    run = finished(store)
    opened(run)
    assert paces[-1] is None
    store.submit(CONTROL["shuffle"], "alice")
    opened(run)
    assert paces[-1] == component.POLL


def test_a_control_that_failed_says_why_and_can_begin_again(store: Store):
    run = finished(store)
    failed = running(store, config=CONTROL["reinit"])
    store.finish(failed.id, "failed", error="The *loss* became NaN.")
    at = opened(run)
    assert "The \\*loss\\* became NaN." in words(at)
    assert at.button(key="control-reinit").label == "Run new weights again"
    at.button(key="control-reinit").click().run()
    assert store.runs("alice")[0].state == "queued"
    assert "NaN" not in words(at)


def test_a_queue_that_is_full_is_reported_beside_the_button(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> Run:
        raise ResourceError("You already have 3 runs waiting or in progress.")

    at = opened(finished(store))
    monkeypatch.setattr(store, "submit", full)
    at.button(key=ALL).click().run()
    assert at.error[0].value == "You already have 3 runs waiting or in progress."
    assert ALL in keys(at)


def test_a_cell_of_a_sweep_serves_as_a_control(store: Store):
    store.submit_study("sweep", SweepConfig(controls=("none", "shuffle")), "alice")
    cells = [end_next(store, share) for share in (0.96, 0.91)]
    at = opened(cells[0])
    assert linked(at)["Open mask shuffled"] == f"id={cells[1].id}"
    assert linked(at)["Compare with its sweep or search"] == f"study={cells[0].study}"


def test_others_start_controls_of_their_own(store: Store):
    run = finished(store)
    at = opened(run, "bob")
    at.button(key="control-shuffle").click().run()
    assert [r.owner for r in store.runs() if r.config.control == "shuffle"] == ["bob"]
    assert "control-shuffle" in keys(opened(run, "alice"))  # it is not hers


@pytest.mark.parametrize(
    ("config", "changes", "expected"),
    [
        (
            RunConfig(sparsity=0.0),
            {"sparsity": {"requested": 0.0, "achieved": 0.0, "effective": 0.0}},
            text.NOTHING_REMOVED,
        ),
        (RunConfig(epochs=0), {"history": []}, text.NOT_TRAINED),
    ],
)
def test_where_controls_would_tell_nothing_none_is_offered(
    store: Store, config: RunConfig, changes: dict[str, Any], expected: str
):
    at = opened(finished(store, config=config, **changes))
    assert expected in words(at)
    assert not {ALL, "control-shuffle"} & keys(at)


def test_of_chance_it_is_said_that_shuffling_is_another_draw(store: Store):
    assert text.BY_CHANCE in words(opened(finished(store, config=RunConfig(method="random"))))
    assert text.BY_CHANCE not in words(opened(finished(store)))


def test_a_sweep_over_several_seeds_is_offered(store: Store):
    link = linked(opened(finished(store, config=RunConfig(seed=5, sparsity=0.95))))
    query = link["Repeat with 3 seeds"]
    assert "seeds=3" in query
    assert "seed=5" in query
    assert "sparsities=95" in query
    assert query.count("controls=") == 3


# A run that is a control


def test_a_control_says_so_links_to_its_original_and_has_none(store: Store):
    original = finished(store)
    at = opened(done(store, CONTROL["shuffle"], 0.95))
    written = words(at)
    assert "**This run is a control: mask shuffled.**" in written
    assert linked(at)[f"See the original (96.1{SPACE}%)"] == f"id={original.id}"
    assert "Does the choice of weights matter?" not in written
    assert ALL not in keys(at)


def test_a_control_without_an_original_says_so(store: Store):
    finished(store, "bob")
    at = opened(done(store, CONTROL["reinit"], 0.95))
    assert "The original run is not one of yours." in words(at)


def test_a_control_that_works_or_failed_says_so_too(store: Store):
    run = running(store, config=CONTROL["random"])
    assert "random, same layers" in opened(run).title[0].value
    store.finish(run.id, "failed", error="No.")
    assert "This run is a control" in words(opened(run.id))


def test_controls_are_named_wherever_runs_are(store: Store):
    run = done(store, CONTROL["shuffle"], 0.95)
    assert title(run) == "Small CNN on Digits, mask shuffled"
    assert "ProsPr, mask shuffled · 90" in summary(run.config)
    assert "other setting" not in summary(run.config)
    assert short(run).endswith("Small CNN · Digits · ProsPr, mask shuffled")
    assert file_name(run, "model.onnx").startswith("small_cnn-digits-90-shuffle-")
    assert search([run], "mask shuffled") == [run]
    expected = differences(RunConfig().to_dict(), run.settings)
    assert sentence(expected) == "They differ in: control none / mask shuffled."


def test_the_settings_of_a_control_are_used_again_for_all_to_see(store: Store):
    at = opened(done(store, CONTROL["shuffle"], 0.95))
    at.button(key="again").click().run()
    assert at.selectbox(key="control").value == "shuffle"
    assert "This run is a control: mask shuffled" in words(at)
    at.selectbox(key="control").select("none").run()
    assert "This run is a control" not in words(at)


def test_settings_from_before_there_were_controls_are_found(store: Store):
    run = finished(store)
    settings = {k: v for k, v in run.settings.items() if k != "control"}
    with connect(store.database) as c:
        c.execute("UPDATE runs SET settings = ? WHERE id = ?", (json.dumps(settings), run.id))
    at = opened(done(store, CONTROL["shuffle"], 0.95))
    assert linked(at)[f"See the original (96.1{SPACE}%)"] == f"id={run.id}"
    assert title(found(store, run.id)) == "Small CNN on Digits"
    assert ALL not in keys(at)
    assert at.title[0].value


# What they say together


def figures(**shares: float) -> dict[str, Measured]:
    return {name: Measured(Measurement(share, 1000), 10, "d") for name, share in shares.items()}


ORIGINAL = Measured(Measurement(0.9, 1000), 10, "d")


def test_what_is_beyond_chance_is_reported_with_its_size():
    expected = verdict(ORIGINAL, figures(shuffle=0.85, reinit=0.895))
    # Of two judged together, the larger difference needs 2.24 standard errors, and one image:
    # 2.24 · sqrt(0.9 · 0.1 / 1000 + 0.85 · 0.15 / 1000) + 0.001.
    assert "more than chance explains on these test images (about 3.4 points)" in expected
    assert "“mask shuffled” (\N{MINUS SIGN}5.0)" in expected
    assert "that suggests that it mattered which weights each layer keeps." in expected
    assert "“New weights” lies within what chance explains on 1,000 test images" in expected
    assert "nothing shows that it mattered which values the kept weights began with" in expected
    assert "one seed" in expected


def test_a_control_that_does_better_is_reported():
    expected = verdict(ORIGINAL, figures(shuffle=0.95))
    assert "Higher than the original" in expected
    assert "did worse than chance." in expected
    assert "So here" not in expected


def test_chance_is_two_standard_errors_of_the_difference():
    # sqrt(0.9 · 0.1 / 1000 + 0.88 · 0.12 / 1000) · 1.96 = 2.74 points, and an image of 1,000
    limit = difference(ORIGINAL.tested, Measurement(0.88, 1000)).limit
    assert 100 * limit == pytest.approx(2.84, abs=0.005)
    assert difference(Measurement(1.0, 50), Measurement(1.0, 50)).limit == 0.02  # an image


@pytest.mark.parametrize("share", [0.872, 0.874])
def test_the_border_of_chance_decides(share: float):
    expected = verdict(ORIGINAL, figures(shuffle=share))
    limit = 100 * difference(ORIGINAL.tested, Measurement(share, 1000)).limit
    beyond = abs(round(100 * share - 90, 1)) > limit
    assert ("Lower than" in expected) == beyond
    assert ("nothing shows" in expected) != beyond


def test_two_draws_of_one_question_are_said_to_be_that():
    expected = verdict(ORIGINAL, figures(shuffle=0.89, random=0.875))
    assert "leave the same to chance and differ by 1.5 points" in expected
    # What a draw alone can do is no sign of anything.
    wide = verdict(ORIGINAL, figures(shuffle=0.86, random=0.81))
    assert "differ by 5.0 points" in wide
    assert "mask shuffled” (" not in wide
    assert "leave the same" not in verdict(ORIGINAL, figures(shuffle=0.89, reinit=0.89))


def test_of_a_network_that_guesses_nothing_is_claimed():
    expected = verdict(
        dataclasses.replace(ORIGINAL, tested=Measurement(0.11, 1000)), figures(shuffle=0.1)
    )
    assert f"The pruned network only guesses (11.0{SPACE}%)" in expected
    assert "mattered" not in expected


def test_controls_on_other_images_are_left_out():
    other = {"shuffle": Measured(Measurement(0.5, 1000), 10, "e")}
    assert verdict(ORIGINAL, other) == ("A control tested on different images is left out.")


def test_no_figure_no_word(store: Store):
    run = running(store)
    assert text.measured(run) is None
    assert difference(ORIGINAL.tested, Measurement(0.9, 1000)).points == 0
    assert text.change(ORIGINAL, figures(x=0.9)["x"]) == "same as the original"
    assert text.change(ORIGINAL, figures(x=0.91)["x"]) == "+1.0 point"
