"""The form of sweeps and searches: what it asks, what its address brings back, what it tells before
anything starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from app_fakes import new, words
from streamlit.testing.v1 import AppTest

from app import pages
from app.forms import number_list, search_form, sweep_form
from app.presets import SWEEPS
from app.services import estimates, studies
from app.services import store as service
from app.ui import studies as text
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.errors import ConfigError
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import CONTROLS
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

START = "primary-start"
SPACE = "\N{NO-BREAK SPACE}"
FEATURED = SweepConfig(
    run=RunConfig(
        model="resnet20",
        data="cifar10",
        epochs=7,
        layer_floor=2,
        layers={"conv1": 0.9, "fc": 0.9},
        device="cpu",
        loading=LoadingConfig(train_limit=500),
        scoring=ScoringConfig(batch_size=64, options={"rounds": 7, "momentum": 0.5}),
        training=TrainingConfig(lr=0.05),
    ),
    methods=("prospr", "iterative_snip", "synflow", "random_erk"),
    sparsities=(0.5, 0.875, 0.999),
    seeds=(4, 5),
    steps=(0, 10),
    controls=("none", "reinit"),
)
MIXED = SweepConfig(
    run=RunConfig(channel_budget="operations", channel_multiple=16, layer_floor=2),
    methods=("prospr", "snip", "grasp"),
    sparsities=(0.5, 0.8),
    kinds=("weights", "channels"),
)
ONLY_CHANNELS = SweepConfig(methods=("prospr", "snip"), sparsities=(0.5,), kinds=("channels",))
SWEEPS_TO_TRY = [*(preset.config for preset in SWEEPS), FEATURED, MIXED, ONLY_CHANNELS]
SEARCHES = [
    SearchConfig(most_lost=0.01),
    SearchConfig(most_bytes=100_000),
    SearchConfig(RunConfig(kind="channels", channel_multiple=4), most_operations=1_234_567),
    SearchConfig(RunConfig(kind="channels", channel_budget="channels"), most_ms=0.75),
    SearchConfig(
        run=RunConfig(
            method="grasp",
            epochs=5,
            scoring=ScoringConfig(options={"temperature": 20.0}),
            layers={"6": "dense"},
        ),
        most_lost=0.025,
        highest=0.9894,  # which that layer leaves
        seeds=(3, 4, 5),
        most_probes=4,
    ),
]


def opened(parameters: dict[str, Any] | None = None, visitor: str = "alice") -> AppTest:
    at = new(visitor, pages.SWEEP)
    for name, value in (parameters or {}).items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def started(at: AppTest, store: Store) -> Study:
    """What the button starts."""
    assert not at.button(key=START).disabled, [e.value for e in at.error]
    at.button(key=START).click().run()
    assert not at.exception
    return store.studies()[0]


def errors(at: AppTest) -> list[str]:
    return [error.value.replace("\\", "") for error in at.error]


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


@pytest.fixture
def at(store: Store) -> AppTest:
    return opened()


# What is started


def test_an_untouched_form_is_the_quick_look(at: AppTest, store: Store):
    study = started(at, store)
    assert study.config == SWEEPS[0].config
    assert (study.owner, study.kind, study.cells) == ("alice", "sweep", 18)
    assert dict(at.query_params) == pages.to_study(study.id)


@pytest.mark.parametrize("number", range(len(SWEEPS)))
def test_a_preset_is_a_click_away_and_fits(at: AppTest, store: Store, number: int):
    at.slider(key=sweep_form.SEEDS).set_value(9).run()
    at.button(key=f"sweep-preset-{number}").click().run()
    marked = [at.button(key=f"sweep-preset-{n}").proto.icon for n in range(len(SWEEPS))]
    assert [bool(icon) for icon in marked] == [n == number for n in range(len(SWEEPS))]
    assert started(at, store).config == SWEEPS[number].config


def test_the_fair_comparison_takes_all_criteria():
    assert SWEEPS[1].config.methods == tuple(METHODS)
    assert len(SWEEPS[1].config.cells()) <= Limits().most_cells


@pytest.mark.parametrize("wanted", SWEEPS_TO_TRY)
def test_an_address_opens_the_same_sweep(store: Store, wanted: SweepConfig):
    at = opened(sweep_form.address(wanted))
    assert not at.warning
    assert started(at, store).config == wanted


@pytest.mark.parametrize("wanted", SEARCHES)
def test_an_address_opens_the_same_search(store: Store, wanted: SearchConfig):
    at = opened({"task": "Find the sparsity", **search_form.address(wanted)})
    assert not at.warning
    study = started(at, store)
    assert study.config == wanted
    assert study.kind == "search"


def test_the_address_is_short_and_can_be_read():
    assert sweep_form.address(sweep_form.START) == {}
    assert search_form.address(search_form.START) == {}
    expected = sweep_form.address(FEATURED)
    assert expected["methods"] == ["ProsPr", "Iterative SNIP", "SynFlow", "Random, ERK"]
    assert (expected["sparsities"], expected["seeds"], expected["seed"]) == (
        "50, 87.5, 99.9",
        "2",
        "4",
    )
    assert (expected["ahead"], expected["controls"]) == ("0, 10", ["New weights"])
    assert (expected["option-rounds"], expected["option-momentum"]) == ("7", "0.5")


def test_names_of_the_tables_are_understood_in_an_address(store: Store):
    at = opened({"methods": ["snip", "GRASP"], "controls": "shuffle", "data": "cifar10"})
    assert not at.warning
    config = started(at, store).config
    assert isinstance(config, SweepConfig)
    assert config.methods == ("snip", "grasp")
    assert config.controls == ("none", "shuffle")


def test_what_an_address_asks_in_vain_is_reported(store: Store):
    at = opened({"methods": ["SNIP", "Nonsense"], "seeds": "77"})
    expected = at.warning[0].value.replace("\\", "")
    assert "asks for criteria SNIP, Nonsense, which cannot be used here; SNIP is shown." in expected
    assert "asks for seeds 77" in expected


def test_criteria_are_compared_in_the_order_of_the_table(at: AppTest, store: Store):
    at.pills(key=sweep_form.CRITERIA).set_value(["magnitude", "prospr"]).run()
    assert started(at, store).settings["methods"] == ["prospr", "magnitude"]


# Sparsities: pills and a box that say the same


def test_pills_and_box_follow_each_other(at: AppTest):
    pills, box = f"{sweep_form.SPARSITIES}-usual", sweep_form.SPARSITIES
    at.pills(key=pills).set_value([50.0, 80.0, 95.0, 98.0]).run()
    assert at.text_input(key=box).value == "50, 80, 95, 98"
    at.text_input(key=box).set_value("99.5 % 90; 85").run()
    assert at.pills(key=pills).value == [90.0]
    at.pills(key=pills).set_value([]).run()
    assert at.text_input(key=box).value == "85, 99.5"
    assert metrics(at)["Runs"] == "12"
    assert dict(at.query_params)[box] == "85, 99.5"


def test_what_cannot_be_read_stays_while_pills_are_clicked(at: AppTest):
    at.text_input(key=sweep_form.SPARSITIES).set_value("80, 9o").run()
    assert "'9o' is not a number" in errors(at)[0]
    assert at.button(key=START).disabled
    at.pills(key=f"{sweep_form.SPARSITIES}-usual").set_value([80.0, 99.0]).run()
    assert at.text_input(key=sweep_form.SPARSITIES).value == "80, 99, 9o"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", "Choose at least one sparsity."),
        (" , ;", "Choose at least one sparsity."),
        ("100", f"100{SPACE}% is not a possible sparsity: give percentages from 0 to below 100"),
        ("-5", f"-5{SPACE}% is not a possible sparsity"),
        ("nan", "'nan' is not a number."),
        ("1e999", "'1e999' is not a number."),
        ("x" * 99, f"'{'x' * 20}…' is not a number."),
    ],
)
def test_sparsities_that_cannot_be_are_reported_beside_them(at: AppTest, typed: str, expected: str):
    at.text_input(key=sweep_form.SPARSITIES).set_value(typed).run()
    assert not at.exception
    assert errors(at)[0].startswith(expected)
    assert at.button(key=START).disabled
    assert any(c.value.replace("\\", "").startswith(expected) for c in at.caption)  # by the button


def test_the_same_sparsity_twice_is_once(at: AppTest, store: Store):
    at.text_input(key=sweep_form.SPARSITIES).set_value("90, 90.0 90%").run()
    assert started(at, store).settings["sparsities"] == [0.9]


@pytest.mark.parametrize(
    ("text", "sparsities"),
    [
        ("0.9, 0.95", [0.9, 0.95]),
        ("90, 0.95", [0.9, 0.95]),
        ("0.5, 90 %", [0.005, 0.9]),
        ("50, 80, 90%", [0.5, 0.8, 0.9]),
    ],
)
def test_fractions_and_percentages_in_the_address(store: Store, text, sparsities):
    config = started(opened({"sparsities": text}), store).config
    assert list(config.sparsities) == sparsities
    again = opened({"sparsities": sweep_form.address(config)["sparsities"]})
    assert started(again, store).config == config


def test_a_fraction_in_the_place_of_a_percentage_is_pointed_out(at: AppTest):
    at.text_input(key=sweep_form.SPARSITIES).set_value("0.9").run()
    assert f"0.9 is 90{SPACE}%" in words(at)
    at.text_input(key=sweep_form.SPARSITIES).set_value("0, 90").run()
    assert "are fractions" not in words(at)


def test_numbers_are_read_in_rising_order():
    def check(number: float) -> float:
        if number > 5:
            raise ConfigError(f"{number:g} is too much.")
        return number

    assert number_list.parse("3, 1;2  1 %", check) == ([1.0, 2.0, 3.0], [])
    assert number_list.parse("7 1", check) == ([1.0], ["7 is too much."])


# Contradictions


def test_no_criterion_is_reported_beside_them(at: AppTest):
    at.pills(key=sweep_form.CRITERIA).set_value([]).run()
    assert errors(at) == ["Choose at least one criterion."]
    assert at.button(key=START).disabled
    assert "Choose at least one criterion." in words(at)


def test_steps_are_asked_only_where_somebody_looks_ahead(at: AppTest, store: Store):
    at.text_input(key=sweep_form.STEPS).set_value("1, 5").run()
    assert metrics(at)["Runs"] == "21"  # three more of ProsPr
    at.pills(key=sweep_form.CRITERIA).set_value(["snip", "magnitude"]).run()
    assert sweep_form.STEPS not in {box.key for box in at.text_input}
    assert started(at, store).settings["steps"] == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("5000", "Look-ahead steps is 5000; give a number of at most 1000."),
        ("1.5", "Look-ahead steps is 1.5; give a whole number."),
        ("three", "'three' is not a number"),
    ],
)
def test_steps_that_cannot_be_are_reported(at: AppTest, typed: str, expected: str):
    at.text_input(key=sweep_form.STEPS).set_value(typed).run()
    assert errors(at)[0].startswith(expected)
    assert at.button(key=START).disabled


def test_an_option_goes_to_the_criteria_that_have_it(at: AppTest, store: Store):
    at.pills(key=sweep_form.CRITERIA).set_value(["iterative_snip", "synflow", "magnitude"]).run()
    rounds = at.number_input(key="option-rounds")
    assert rounds.label == "Rounds (Iterative SNIP / SynFlow)"
    assert rounds.value is None  # as each has it
    assert rounds.proto.placeholder == "each has its own"
    rounds.set_value(5).run()
    cells = started(at, store).config.cells()  # type: ignore[union-attr, call-arg]
    given = {cell.method: dict(cell.scoring.options) for cell in cells}
    assert given == {"iterative_snip": {"rounds": 5}, "synflow": {"rounds": 5}, "magnitude": {}}


def test_a_default_of_one_criterion_does_not_become_a_setting_of_others(at: AppTest, store: Store):
    assert at.number_input(key="option-rounds").proto.placeholder == "100"  # SynFlow's
    at.pills(key=sweep_form.CRITERIA).set_value(["force", "synflow", "prospr_published"]).run()
    config = started(at, store).config
    assert config == dataclasses.replace(
        SWEEPS[0].config, methods=("prospr_published", "force", "synflow")
    )


def test_too_many_runs_are_reported_before_the_button(
    at: AppTest, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "limits", Limits(most_cells=17))
    at.run()
    assert at.button(key=START).disabled
    assert errors(at)[0].startswith("This would be 18 runs; the limit is 17.")


@pytest.mark.parametrize("count", [3, 800])
def test_a_huge_address_is_refused_before_its_runs_are_made(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
):
    made: list[SweepConfig] = []
    monkeypatch.setattr(SweepConfig, "cells", lambda self: made.append(self) or ())
    at = opened(
        {
            sweep_form.CRITERIA: [spec.label for spec in METHODS.values()],
            sweep_form.SPARSITIES: ", ".join(f"{10 + number / 10:g}" for number in range(count)),
            sweep_form.SEEDS: "10",
            sweep_form.ADDED_CONTROLS: [spec.label for spec in CONTROLS.values()],
        }
    )
    assert not made
    assert at.button(key=START).disabled
    runs = len(METHODS) * count * 10 * (1 + len(CONTROLS))
    assert f"This sweep would be {runs:,} runs" in words(at) or any(
        f"This would be {runs:,} runs" in error for error in errors(at)
    )


def test_a_list_too_long_is_not_read(store: Store):
    checked: list[float] = []
    text = ", ".join(str(number) for number in range(number_list.MOST + 1))
    found, (wrong,) = number_list.parse(text, lambda number: checked.append(number) or number)
    assert found == checked == []
    assert "1,001 numbers" in wrong
    at = opened({sweep_form.SPARSITIES: text})
    assert errors(at) == [wrong]
    assert at.button(key=START).disabled


def test_one_study_at_a_time_is_reported_before_the_button(at: AppTest, store: Store):
    first = started(at, store)
    at = opened({"seeds": "2"})
    assert at.button(key=START).disabled
    assert "Sweep: Small CNN on Digits is still running" in words(at).replace("\\", "")
    assert "Your sweep is waiting, 0 of 18 runs done" in words(at)
    same = opened()
    assert not same.button(key=START).disabled  # it opens the one that is there
    assert started(same, store).id == first.id
    assert not opened({"seeds": "2"}, "bob").button(key=START).disabled


def test_a_number_that_misfits_in_a_closed_tab_is_reported(at: AppTest):
    at.number_input(key="train-lr").set_value(-1.0).run()
    assert errors(at)[0].startswith("Learning rate of training is -1")
    assert at.button(key=START).disabled


def test_a_network_that_does_not_fit_the_images_is_reported(store: Store):
    at = opened({"model": "torchvision/alexnet", "data": "CIFAR-10"})
    assert errors(at)[0].startswith("The network needs larger images")
    assert at.button(key=START).disabled


def test_somebody_elses_upload_is_refused(store: Store):
    token = f"upload:{'a' * 64}/cats.zip"
    with pytest.raises(ConfigError, match="not one of your uploads"):
        studies.start(SweepConfig(run=RunConfig(data=token)), "alice")
    at = opened({"data": "Your own images", "images": token})
    assert "cannot be used here" in errors(at)[0]
    assert at.button(key=START).disabled


# Weights and channels


def test_settings_of_channels_are_shown_where_channels_are_removed(at: AppTest, store: Store):
    def shown() -> set[str]:
        boxes = (*at.selectbox, *at.number_input, *at.toggle, *at.pills)
        return {"channel-budget", "channel-multiple", "layer-floor", "score-check-ranking",
                "controls"} & {box.key for box in boxes}  # fmt: skip

    assert shown() == {"layer-floor", "score-check-ranking", "controls"}
    at.pills(key=sweep_form.KINDS).set_value(["channels", "weights"]).run()
    assert len(shown()) == 5
    assert "2 kinds of pruning" in words(at)
    left_out = "Left out where channels are removed: GraSP; SynFlow; and Random, ERK (they "
    assert left_out in words(at).replace("\\", "")
    assert metrics(at)["Runs"] == "27"  # three of the six criteria rank channels
    at.pills(key=sweep_form.KINDS).set_value(["channels"]).run()
    assert shown() == {"channel-budget", "channel-multiple"}
    assert metrics(at)["Runs"] == "9"
    config = started(at, store).config
    assert isinstance(config, SweepConfig)
    assert config.kinds == ("channels",)


def test_channels_that_cannot_go_are_reported_before_the_sweep(store: Store):
    at = opened({"kinds": ["weights", "channels"], "sparsities": "90, 99"})
    (warning,) = at.warning
    assert warning.value.startswith("Some runs will fail. A sparsity of 0.99 leaves 1 % of the")
    assert "ask for a sparsity of 0.969 (96.9\N{NO-BREAK SPACE}%) or less" in warning.value
    assert not at.button(key=START).disabled
    assert not opened({"kinds": ["weights", "channels"], "sparsities": "90, 95"}).warning
    assert not opened({"kinds": ["weights"], "sparsities": "90, 99"}).warning


def test_a_kind_without_a_criterion_is_reported(at: AppTest):
    at.pills(key=sweep_form.KINDS).set_value([]).run()
    assert errors(at) == ["Choose what to remove: weights, channels or both."]
    at.pills(key=sweep_form.KINDS).set_value(["weights", "channels"]).run()
    at.pills(key=sweep_form.CRITERIA).set_value(["grasp"]).run()
    assert errors(at)[0].startswith(
        "This criterion ranks single weights only. To remove channels, add one of ProsPr, "
    )
    assert at.button(key=START).disabled


def test_names_of_kinds_are_understood_in_an_address(store: Store):
    at = opened({"kinds": ["weights", "CHANNELS"], "sparsities": "90"})
    assert not at.warning
    config = started(at, store).config
    assert isinstance(config, SweepConfig)
    assert config.kinds == ("weights", "channels")


@pytest.mark.parametrize("goal", ["Multiply-adds", "Latency"])
def test_a_goal_that_zeros_cannot_meet_needs_channels(store: Store, goal: str):
    at = opened({"task": "Find the sparsity", "goal": goal})
    assert errors(at)[0].endswith("For this goal, remove channels.")
    assert at.button(key=START).disabled
    at.segmented_control(key="kind").set_value("channels").run()
    assert not at.error
    # Small CNN on digits: of the network's own table of layers.
    assert ("needs ≈ 300,000 multiply-adds" in words(at)) == (goal == "Multiply-adds")
    config = started(at, store).config
    assert isinstance(config, SearchConfig)
    assert (config.run.kind, config.limit) == ("channels", 1e5 if goal[0] == "M" else 0.05)


# Searches


def test_a_search_starts_with_its_goal(store: Store):
    at = opened({"task": "Find the sparsity"})
    at.number_input(key=search_form.LOST).set_value(2.5).run()
    assert metrics(at)["Runs"] == "up to 8"
    study = started(at, store)
    assert study.config == SearchConfig(most_lost=0.025)
    assert study.cells == 1


def test_a_search_for_a_size_begins_near_the_answer(store: Store):
    at = opened({"task": "Find the sparsity", "goal": "File size"})
    assert f"254{SPACE}kB" in words(at)
    study = started(at, store)
    assert study.config == SearchConfig(most_bytes=100_000)
    (probe,) = store.study_runs(study.id)
    assert 0.5 < probe.config.sparsity < 0.9


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            search_form.LOST,
            -1.0,
            "Points of accuracy lost, at most is -1; give a number of at least 0.",
        ),
        (
            search_form.LOST,
            101.0,
            "Points of accuracy lost, at most is 101; give a number of at most",
        ),
        (search_form.TRIES, 0, "Most tries is 0; give a number of at least 1."),
    ],
)
def test_a_goal_that_cannot_be_is_reported(store: Store, name: str, value: float, expected: str):
    at = opened({"task": "Find the sparsity"})
    at.number_input(key=name).set_value(value).run()
    assert errors(at)[0].startswith(expected)
    assert at.button(key=START).disabled


# What it will take


def test_what_it_will_take_is_reported_and_moves(at: AppTest):
    assert "**6 criteria × 3 sparsities × 1 seed**" in words(at)
    before = metrics(at)
    assert (before["Runs"], before["Dense networks"]) == ("18", "1")
    at.slider(key=sweep_form.SEEDS).set_value(3).run()
    at.pills(key=sweep_form.ADDED_CONTROLS).set_value(["shuffle", "reinit"]).run()
    after = metrics(at)
    assert (after["Runs"], after["Dense networks"]) == ("162", "3")
    assert "× 3 seeds × 3 (with 2 controls)" in words(at)
    assert all(metric.proto.help for metric in at.metric)


def test_a_sweep_costs_less_than_its_runs_alone(store: Store):
    config = dataclasses.replace(SWEEPS[0].config, seeds=(0, 1))
    plan = estimates.plan(config)
    assert plan
    assert (plan.runs, plan.dense, plan.at_most) == (36, 2, False)
    alone = [estimates.forecast(cell) for cell in config.cells()]
    assert plan.seconds < sum(one.estimate.seconds for one in alone if one) / 2


def test_a_search_is_reported_at_most(store: Store):
    plan = estimates.plan(SEARCHES[-1])
    assert plan
    assert (plan.runs, plan.dense, plan.at_most) == (12, 3, True)


def test_more_files_than_are_kept_are_reported(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "limits", Limits(keep_gigabytes=0.001))
    assert "more than the 0.001 GB kept on this server" in words(opened())


def test_a_store_that_takes_no_more_is_reported(at: AppTest, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> Study:
        raise ConfigError("The disk is full.")

    monkeypatch.setattr(studies, "start", full)
    at.button(key=START).click().run()
    assert errors(at) == ["The disk is full."]


def test_the_way_back_from_a_study_brings_the_settings_back(at: AppTest, store: Store):
    at.slider(key=sweep_form.SEEDS).set_value(2).run()
    study = started(at, store)
    at.switch_page(pages.SWEEP)
    at.query_params[pages.STUDY] = study.id
    at.run()
    assert not at.exception
    assert pages.STUDY not in at.query_params
    assert at.slider(key=sweep_form.SEEDS).value == 2


def test_the_page_says_what_each_criterion_judges_by(at: AppTest):
    written = words(at)
    assert all(spec.description in written for spec in METHODS.values())
    assert at.pills(key=sweep_form.CRITERIA).options == [spec.label for spec in METHODS.values()]
    labels = [spec.label for spec in CONTROLS.values()]
    assert at.pills(key=sweep_form.ADDED_CONTROLS).options == labels


def test_the_worker_is_called(at: AppTest, store: Store, monkeypatch: pytest.MonkeyPatch):
    called = []
    monkeypatch.setattr(service, "ensure_worker", called.append)
    started(at, store)
    assert called[0] == store.folder


# Words


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            SWEEPS[0].config,
            "Small CNN · Digits · ProsPr, SNIP, GraSP and 3 more · "
            f"80, 95, 98{SPACE}% removed · 1 seed · 3 epochs",
        ),
        (
            FEATURED,
            "ResNet-20 · CIFAR-10 · ProsPr; Iterative SNIP; SynFlow; and Random, ERK · "
            f"50, 87.5, 99.9{SPACE}% removed · 2 seeds · 7 epochs · 0, 10 look-ahead steps · "
            "controls: new weights · minimum weights per layer: 2, compute on: cpu, "
            "most training images: 500, 6 more settings",
        ),
    ],
)
def test_a_sweep_in_a_line(config: SweepConfig, expected: str):
    assert text.of_sweep(config) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SEARCHES[0], "at most 1 point of accuracy lost · 1 seed"),
        (SEARCHES[1], f"at most 100{SPACE}kB zipped · 1 seed"),
        (SEARCHES[2], "channels · at most 1.234567 million multiply-adds · 1 seed"),
        (SEARCHES[3], f"channels · at most 0.75{SPACE}ms per image · 1 seed"),
        (SEARCHES[4], "GraSP · at most 2.5 points of accuracy lost · 3 seeds · 5 epochs · "),
    ],
)
def test_a_search_in_a_line(config: SearchConfig, expected: str):
    assert expected in text.of_search(config)
