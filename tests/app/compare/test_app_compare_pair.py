"""Two runs compared: what they differ in, and what must not be compared."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np
import pytest
from app_fakes import (
    HISTORY,
    LAYERS,
    RESULT,
    epochs_of,
    finished,
    found,
    layers_of,
    new,
    record,
    running,
    words,
)
from safetensors.numpy import save
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import pages
from app.compare import pair_charts
from app.compare.differences import Difference, differences, sentence
from app.compare.pair_figures import Figure, figures, noise, other_images, shared
from app.services import RunRecord, metrics
from app.services.overlap import LayerOverlap, overlap
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.errors import DataError
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NAMES = ["6.weight", "0.weight"]  # not as safetensors would sort them


def masks(*kept: list[int], names: list[str] = NAMES, size: int = 8) -> bytes:
    """A masks.safetensors; of every layer, the positions that are kept."""
    tensors = {}
    for name, positions in zip(names, kept, strict=True):
        tensors[name] = np.zeros((size // 4, 4), bool)
        tensors[name].flat[positions] = True
    return save(tensors, {"prospr": json.dumps({"names": list(names), "metadata": {}})})


def pair(store: Store, **changes: Any) -> tuple[Run, Run]:
    """Two runs of alice that are done; ``changes`` are those of the second one's settings."""
    first = finished(store, files={"masks.safetensors": masks([0, 1, 2], [0, 1])})
    second = finished(
        store,
        config=RunConfig(**{"sparsity": 0.95} | changes),
        files={"masks.safetensors": masks([1, 2, 3], [0])},
        sparsity={"requested": 0.95, "achieved": 0.95, "effective": 0.95},
        accuracy={"dense": 0.972, "pruned": 0.9},
    )
    return first, second


def page(*ids: str, visitor: str = "alice", **query: str) -> AppTest:
    at = new(visitor, pages.COMPARE)
    if query:
        at._page_hash = calc_hash("side-by-side")  # the earlier address
    for name, value in ({"runs": ",".join(ids)} if ids else query).items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def compared(at: AppTest) -> list[str]:
    """The runs in the address."""
    return at.query_params["runs"].split(",")


def specs(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in at.get("vega_lite_chart")]


def result(**changes: Any) -> RunRecord:
    """A result; objects are changed in part."""
    return record(changes)


# The page


def test_two_results_next_to_each_other(store: Store):
    first, second = pair(store)
    at = page(first.id, second.id)
    expected = words(at).replace(SPACE, " ").replace("\\", "")
    assert "They differ in: sparsity 90 % / 95 %." in expected
    assert "90 % of the weights removed, 1.1 points of accuracy lost" in expected
    assert "95 % of the weights removed, 7.2 points of accuracy lost" in expected
    assert f"| Accuracy, pruned | 96.1 % | 90.0 % | {MINUS}6.1 points |" in expected
    assert "| Accuracy, dense | 97.2 % | 97.2 % | same |" in expected
    assert "A keeps 5 weights and B 4; 3 of them are the same." in expected
    assert expected.count("Layer 3 lost all of its 640 weights.") == 2
    assert not at.warning
    assert "**Weights removed" not in expected
    assert len(specs(at)) == 4
    alts = [chart.proto.alt for chart in at.get("vega_lite_chart")]
    assert all(alts)
    links_ = [link.proto for link in at.get("page_link")]
    assert [link.label for link in links_] == ["A: Small CNN on Digits", "B: Small CNN on Digits"]
    assert [link.query_string for link in links_] == [f"id={first.id}", f"id={second.id}"]


def test_swapping_changes_the_address(store: Store):
    first, second = pair(store)
    at = page(first.id, second.id)
    at.button(key="swap").click().run()
    assert compared(at) == [second.id, first.id]
    assert f"sparsity 95{SPACE}% / 90{SPACE}%" in words(at)
    assert at.selectbox(key="pair-a").value == second.id


def test_swapping_one_run_moves_it(store: Store):
    first, _ = pair(store)
    at = page(first.id)
    at.button(key="swap").click().run()
    assert not at.exception
    assert compared(at) == ["", first.id]
    assert at.selectbox(key="pair-b").value == first.id
    assert [info.value for info in at.info] == ["Choose a run for A."]
    at.button(key="swap").click().run()
    assert compared(at) == [first.id]


def test_the_missing_run_is_chosen_here(store: Store):
    first, second = pair(store)
    at = page(first.id)
    assert [info.value for info in at.info] == ["Choose a run for B."]
    box = at.selectbox(key="pair-b")
    assert len(box.options) == 2
    box.select(box.options[box.options.index(next(o for o in box.options if "95" in o))]).run()
    assert not at.exception
    assert compared(at) == [first.id, second.id]
    assert not at.info
    at.selectbox(key="pair-a").set_value(None).run()
    assert compared(at) == ["", second.id]
    assert [info.value for info in at.info] == ["Choose a run for A."]
    at.selectbox(key="pair-b").set_value(None).run()
    assert "runs" not in at.query_params


def test_both_are_chosen_here(store: Store):
    assert not page().selectbox
    first, second = pair(store)
    at = page()
    for letter, run in zip("ab", (first, second), strict=True):
        at.selectbox(key=f"pair-{letter}").set_value(run.id).run()
        assert not at.exception
    assert compared(at) == [first.id, second.id]
    assert len(specs(at)) == 4


def test_the_earlier_address_shows_the_same(store: Store):
    first, second = pair(store)
    now = page(first.id, second.id)
    at = page(a=first.id, b=second.id)
    assert dict(at.query_params) == dict(now.query_params)
    assert words(at) == words(now)
    assert specs(at) == specs(now)
    assert compared(page(a=first.id)) == [first.id]
    assert compared(page(b=first.id)) == ["", first.id]


def test_a_link_opens_for_somebody_else(store: Store):
    first, second = pair(store)
    at = page(first.id, second.id, visitor="bob")
    assert "They differ in" in words(at)
    assert len(at.selectbox(key="pair-a").options) == 2


@pytest.mark.parametrize("id", ["zzz", "0" * 32, "'; DROP TABLE runs", "a" * 5000, "☃"])
def test_an_unknown_id_is_a_sentence(store: Store, id: str):
    first, _ = pair(store)
    at = page(first.id, id)
    (expected,) = [info.value for info in at.info]
    assert expected.startswith("Run B was not found")
    assert not specs(at)


def test_a_deleted_run_is_a_sentence(store: Store):
    first, second = pair(store)
    store.delete(first.id, "alice")
    at = page(first.id, second.id)
    assert "Run A was not found" in at.info[0].value


def test_runs_without_a_result_are_reported(store: Store):
    first, _ = pair(store)
    failed = running(store, config=RunConfig(seed=3))
    store.finish(failed.id, "failed", error="No.")
    stopped = running(store, config=RunConfig(seed=4))
    store.finish(stopped.id, "stopped")
    live = running(store, config=RunConfig(seed=5))
    waiting = store.submit(RunConfig(seed=6), "alice", "A *name*")
    for run, expected in (
        (failed, "failed and has no result"),
        (stopped, "was stopped and has no result"),
        (live, "is running. It will appear here when it is done."),
        (waiting, "B (A \\*name\\*) is waiting for its turn"),
    ):
        at = page(first.id, run.id)
        assert expected in at.info[0].value
        assert not specs(at)


def test_the_same_run_twice(store: Store):
    first, _ = pair(store)
    at = page(first.id, first.id)
    assert "A and B are the same run." in at.info[0].value


def test_files_that_are_gone_are_a_sentence(store: Store):
    first, second = pair(store)
    store.files(second.id)["masks.safetensors"].path.unlink()
    at = page(first.id, second.id)
    assert "no longer on the server" in at.error[0].value
    assert len(specs(at)) == 3
    store.files(second.id)["result.json"].path.unlink()
    at = page(first.id, second.id)
    assert "no longer on the server" in at.error[0].value
    assert not specs(at)


def test_a_result_of_another_version_is_a_sentence(store: Store):
    first, second = pair(store)
    store.files(second.id)["result.json"].path.write_text('{"accuracy": 0.5}')
    at = page(first.id, second.id)
    assert "not the result of a run" in at.error[0].value


def test_settings_of_another_version_can_be_compared(store: Store):
    first, second = pair(store)
    settings = RunConfig(sparsity=0.95).to_dict() | {"dropout": 0.5}
    with sqlite3.connect(store.database) as c:
        c.execute("UPDATE runs SET settings = ? WHERE id = ?", (json.dumps(settings), second.id))
    at = page(first.id, second.id)
    assert "dropout not set / 0.5" in words(at)
    assert len(specs(at)) == 3


def test_other_networks_have_charts_of_their_own_and_no_overlap(store: Store):
    first = finished(store)
    second = finished(
        store,
        config=RunConfig(model="resnet20"),
        layers=[{"name": "conv1.weight", "total": 8, "kept": 4, "effective": 4, "channels": 2}],
    )
    at = page(first.id, second.id)
    assert len(specs(at)) == 3
    assert "layers cannot be matched" in words(at)
    assert "Overlap of masks" not in words(at)


def test_untrained_networks_have_no_curves(store: Store):
    first = finished(store, config=RunConfig(epochs=0), history=[])
    second = finished(store, config=RunConfig(epochs=0, seed=1), history=[])
    at = page(first.id, second.id)
    assert "Neither was trained." in words(at)


def test_other_seeds_mean_other_weights(store: Store):
    first, second = pair(store, seed=7)
    assert "started from different weights" in words(page(first.id, second.id))


def test_runs_of_the_same_settings_have_names_of_their_own(store: Store):
    mine = finished(store)
    hers = store.submit(RunConfig(), "bob")
    assert hers.state == "done"
    at = page(mine.id, hers.id)
    names = at.selectbox(key="pair-a").options
    assert len(set(names)) == 2
    assert "Their settings are the same." in words(at)
    assert "Both keep the same" in words(at) or at.error


# Settings


def test_differences_are_those_of_the_form_in_its_words():
    first = RunConfig(scoring=ScoringConfig(options={"steps": 5}))
    second = RunConfig(
        model="resnet20",
        data="mnist",
        seed=3,
        loading=LoadingConfig(test_limit=100, skip_broken=True),
        training=TrainingConfig(lr=0.25),
        weights="pretrained",
    )
    found = differences(first.to_dict(), second.to_dict())
    assert Difference("Model", "Small CNN", "ResNet-20") in found
    assert Difference("Data", "Digits", "MNIST") in found
    assert Difference("Seed", "0", "3") in found
    assert Difference("Most test images", "all", "100") in found
    assert Difference("Skip broken images", "no", "yes") in found
    assert Difference("Learning rate of training", "automatic", "0.25") in found
    (steps,) = [d for d in found if d.name == "Look-ahead steps"]
    assert steps.first == "5"  # and the criterion's default in the other one
    assert steps.second.isdigit()
    (weights,) = [d for d in found if d.second == "Trained on ImageNet"]
    assert weights.first == "New weights"
    assert len(found) == 8


def test_options_of_different_criteria_are_not_compared():
    found = differences(RunConfig().to_dict(), RunConfig(method="magnitude").to_dict())
    assert found == [Difference("Criterion", "ProsPr", "Magnitude")]


def test_what_a_version_does_not_know_is_at_its_default():
    old = RunConfig().to_dict()
    del old["layer_floor"], old["training"]
    assert differences(old, RunConfig().to_dict()) == []
    strange = differences({"model": 3, "data": ["x"]}, {"model": None, "sparsity": "much"})
    assert Difference("Model", "3", "automatic") in strange


def test_settings_of_layers_are_compared_one_by_one():
    one = RunConfig(layers={"conv1": "dense", "fc": 0.5}).to_dict()
    other = RunConfig(layers={"conv1": "dense", "fc": 0.98}).to_dict()
    space = "\N{NO-BREAK SPACE}"
    assert differences(one, other) == [
        Difference("Layer fc", f"50{space}% removed", f"98{space}% removed")
    ]
    del other["layers"]
    assert Difference("Layer conv1", "dense", "automatic") in differences(one, other)


def test_an_uploaded_file_is_called_by_its_name():
    token = f"upload:{'a' * 64}/holiday.zip"
    found = differences(RunConfig().to_dict(), RunConfig(data=token).to_dict())
    assert sentence(found) == "They differ in: data Digits / holiday.zip."


# Accuracy


def test_the_same_images_can_be_compared():
    assert other_images(result(), result(config={"seed": 4})) is None  # their digest says so


@pytest.mark.parametrize(
    ("data", "config", "expected"),
    [
        ({"digest": "e"}, {"data": "mnist"}, "A was trained on Digits, B on MNIST"),
        ({"digest": "e", "classes": ["x"]}, {}, "cannot be compared"),
        ({"digest": "e", "split": {"test": 100}}, {}, "A was tested on 359 images, B on 100"),
        ({"digest": "e"}, {"seed": 1}, "may use different test images"),
        ({"digest": None}, {"loading": {"test_fraction": 0.3}}, "may use different test images"),
    ],
)
def test_other_images_are_warned_of(data: dict, config: dict, expected: str):
    warned = other_images(result(), result(data=data, config=config))
    assert warned is not None
    assert expected in warned


def test_results_that_do_not_know_their_images_are_not_taken_for_the_same():
    blind = [result(data={"digest": None}, config={"seed": seed}) for seed in (0, 1)]
    assert other_images(*blind) is not None


def test_more_training_images_do_not_change_the_test():
    other = result(data={"digest": "e"}, config={"loading": {"train_limit": 100}})
    mine = result(config={"loading": {}})
    assert other_images(mine, other) is None


def test_the_warning_is_on_the_page(store: Store):
    first = finished(store)
    second = finished(
        store, config=RunConfig(data="mnist"), data=RESULT["data"] | {"digest": "e" * 64}
    )
    at = page(first.id, second.id)
    assert "cannot be compared" in at.warning[0].value
    assert "| Accuracy, pruned | 96.1 % | 96.1 % | – |".replace(" %", f"{SPACE}%") in words(at)
    assert "noise" not in words(at).split("Results")[1]
    assert "accuracy by class" not in words(at)


def test_differences_of_figures_are_those_of_the_numbers_shown():
    one = result(accuracy={"dense": 0.97249, "pruned": 0.96141})
    other = result(accuracy={"dense": 0.97349, "pruned": 0.96051}, seconds=100.0)
    table = {figure.name: figure for figure in figures(one, other)}
    assert table["Accuracy, pruned"].difference == "same"  # 96.1 and 96.1
    assert table["Accuracy, dense"].difference == "+0.1 points"
    assert table["Change by pruning"] == Figure(
        "Change by pruning", f"{MINUS}1.1 points", f"{MINUS}1.2 points", f"{MINUS}0.1 points"
    )
    assert table["Time"].difference == f"+1{SPACE}min 7{SPACE}s"
    assert table["Weights kept"].first == f"{sum(layer['kept'] for layer in LAYERS):,}"
    assert table["Model file"].difference == "same"
    assert table["Weights removed"].difference == "same"  # both of 0.89999
    assert table["Model file, zipped"].difference == "\N{EN DASH}"  # early versions kept no size


def test_a_figure_is_in_the_table_by_its_row_alone(monkeypatch: pytest.MonkeyPatch):
    rows = (
        metrics.Metric("pace", "Pace", "count", source="pace", pair=metrics.Pair("Steps a second")),
        metrics.Metric("lucky", "Lucky", "flag", source="lucky", pair=metrics.Pair("Lucky")),
    )
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, *rows))
    one, other = record({"pace": 1200, "lucky": True}), record({"pace": 1500, "lucky": False})
    table = {figure.name: figure for figure in figures(one, other)}
    assert table["Steps a second"] == Figure("Steps a second", "1,200", "1,500", "+300")
    assert table["Lucky"] == Figure("Lucky", "yes", "no", "different")


def test_shares_differ_by_what_is_shown():
    def at(share: float) -> RunRecord:
        return result(sparsity={"requested": share, "achieved": share, "effective": share})

    for first, second, difference in (
        (0.9, 0.98164, "+8.2 points"),
        (0.98, 0.9, f"{MINUS}8 points"),
        (0.9, 0.91, "+1 point"),
        (0.99, 0.99996, "+0.996 points"),
    ):
        figure = next(f for f in figures(at(first), at(second)) if f.name == "Effective sparsity")
        assert figure.difference == difference


def test_chance_is_two_standard_errors():
    near = noise(result(), result(accuracy={"dense": 0.97, "pruned": 0.95}))
    far = noise(result(), result(accuracy={"dense": 0.97, "pruned": 0.90}))
    assert "within the noise" in near
    # 1.96 √(2 · .95 · .05 / 359) + 1 / 359: both are taken to scatter as much as the less sure one,
    # and a count of images moves by whole ones (Yates).
    assert "bout 3.5 points" in near
    assert "larger than the noise" in far


# Masks


def test_overlap_counts_weights_layer_by_layer_in_the_networks_order(store: Store):
    first, second = pair(store)
    assert overlap(first, second) == (
        LayerOverlap("6.weight", 8, 3, 3, 2),
        LayerOverlap("0.weight", 8, 2, 1, 1),
    )


@pytest.mark.parametrize(
    "content",
    [
        masks([0], names=["0.weight"]),
        masks([0], [0], names=["0.weight", "7.weight"]),
        masks([0], [0], size=16),
    ],
    ids=["a layer fewer", "another layer", "another size"],
)
def test_other_layers_are_another_network(store: Store, content: bytes):
    first, _ = pair(store)
    other = finished(store, config=RunConfig(seed=8), files={"masks.safetensors": content})
    assert overlap(first, other) is None
    assert "cannot be matched" in words(page(first.id, other.id))


@pytest.mark.parametrize("header", [{}, {"prospr": "nonsense"}, {"prospr": '{"names": [1]}'}])
def test_masks_without_our_header_are_read_in_their_own_order(store: Store, header: dict):
    content = save({name: np.ones((2, 4), bool) for name in NAMES}, header)
    first = finished(store, files={"masks.safetensors": content})
    layers = overlap(first, first)
    assert layers is not None
    assert [layer.name for layer in layers] == sorted(NAMES)


@pytest.mark.parametrize(
    "content", [b"", b"the masks", b"\xff" * 100], ids=["empty", "text", "noise"]
)
def test_masks_that_cannot_be_read_are_a_sentence(store: Store, content: bytes):
    first, _ = pair(store)
    broken = finished(store, config=RunConfig(seed=8), files={"masks.safetensors": content})
    with pytest.raises(DataError, match="cannot be read"):
        overlap(first, broken)
    at = page(first.id, broken.id)
    assert "The masks cannot be read" in at.error[0].value
    assert found(store, broken.id).state == "done"


@pytest.mark.parametrize(
    ("first", "second", "both", "expected"),
    [
        (10, 10, 10, "Both keep the same 10 weights."),
        (10, 4, 4, "All 4 weights that B keeps are also kept by A."),
        (4, 10, 4, "All 4 weights that A keeps are also kept by B."),
        (10, 10, 3, "Each keeps 10 weights; 3 of them are the same."),
        (10, 8, 3, "A keeps 10 weights and B 8; 3 of them are the same."),
        (10, 0, 0, "One of the two keeps no weights"),
    ],
)
def test_the_overlap_in_words(first: int, second: int, both: int, expected: str):
    said = shared([LayerOverlap("x", 100, first, second, both)])
    assert expected in said


def test_chance_alone_gives_the_product_of_the_densities():
    said = shared([LayerOverlap("x", 100, 50, 50, 30), LayerOverlap("y", 1000, 100, 100, 10)])
    assert "about 35 would be" in said  # 25 and 10


# Charts


def test_bars_of_both_runs_stand_in_the_networks_order():
    other = [{**layer, "kept": layer["total"]} for layer in LAYERS]
    rows = pair_charts.layers_table(layers_of(*LAYERS), layers_of(*other))
    assert list(rows["layer"]) == ["Layer 1", "Layer 2", "Layer 3"] * 2
    assert list(rows["run"]) == ["A"] * 3 + ["B"] * 3
    spec = pair_charts.layers_chart(3)
    assert spec["encoding"]["yOffset"]["field"] == "run"
    assert spec["encoding"]["color"]["scale"]["domain"] == ["A", "B"]
    expected = pair_charts.layers_description(rows).replace(SPACE, " ")
    assert expected.endswith("They differ most in Layer 3: 0.0 % and 100.0 %.")


def test_curves_are_distinguished_without_colour():
    rows = pair_charts.curves_table(epochs_of(*HISTORY), epochs_of(*HISTORY[:2]))
    assert len(rows) == 8
    line, point = pair_charts.curves_chart(3)["layer"]
    assert line["encoding"]["strokeDash"]["scale"]["range"] == [[1, 0], [6, 3]]
    assert point["encoding"]["shape"]["scale"]["range"] == ["circle", "square"]
    expected = pair_charts.curves_description(rows).replace(SPACE, " ")
    assert "A, dense 93.0 % after epoch 3" in expected
    assert "B, pruned 91.0 % after epoch 1" in expected
    assert "nothing" in pair_charts.curves_description(pair_charts.curves_table([], []))


def test_shares_of_the_overlap_make_a_whole():
    layers = [LayerOverlap("a.weight", 10, 4, 3, 2), LayerOverlap("b.weight", 10, 0, 0, 0)]
    rows = pair_charts.overlap_table(layers)
    assert list(rows["count"][:3]) == [2, 2, 1]
    assert rows["part"][:3].sum() == pytest.approx(1)
    assert rows["part"][3:].sum() == 0
    expected = pair_charts.overlap_description(rows).replace(SPACE, " ")
    assert "least in b (0.0 %), most in a (40.0 %)" in expected


@pytest.mark.parametrize("make", [pair_charts.layers_chart, pair_charts.overlap_chart])
def test_many_layers_stay_readable_and_not_too_tall(make: Any):
    assert 12 * 54 < make(54)["height"] < 1400


@pytest.mark.parametrize(
    "make", [pair_charts.layers_chart, pair_charts.overlap_chart, pair_charts.curves_chart]
)
def test_a_spec_has_no_data_of_its_own_which_would_add_a_row(make: Any):
    spec = make(3)
    assert spec["data"] == {"name": "source"}
    assert "datasets" not in spec
