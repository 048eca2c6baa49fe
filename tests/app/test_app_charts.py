"""Charts are pure functions of their rows."""

from __future__ import annotations

import pytest
from app_fakes import HISTORY, LAYERS

from app.charts import accuracy, layers


def test_one_row_per_layer_in_the_networks_order_with_names_that_can_be_read():
    rows = layers.table([*LAYERS, {"name": "layer1.0.conv1.weight", "total": 8, "kept": 4,
                                   "effective": 4}])  # fmt: skip
    assert list(rows["layer"]) == ["Layer 1", "Layer 2", "Layer 3", "layer1.0.conv1"]
    assert list(rows["share"]) == pytest.approx([113 / 144, 1489 / 4608, 0, 0.5])
    assert rows["counts"][1] == "2|1,489 of 4,608"


def test_equal_counts_of_two_layers_stay_two_rows():
    twins = [{"name": f"{i}.weight", "total": 10, "kept": 5, "effective": 5} for i in range(3)]
    assert layers.table(twins)["counts"].is_unique


def test_a_bar_per_layer_with_counts_and_tooltips():
    rows = layers.table(LAYERS)
    spec = layers.chart(rows).to_dict()
    bar, counts = spec["layer"]
    assert bar["mark"]["type"] == "bar"
    assert bar["encoding"]["x"]["scale"]["domain"] == [0, 1]
    assert rows["percent"][0] == "78.47\N{NO-BREAK SPACE}%"
    assert bar["encoding"]["y"]["sort"] == {"field": "order"}
    assert counts["encoding"]["y"]["axis"]["orient"] == "right"
    assert {tip["field"] for tip in bar["encoding"]["tooltip"]} >= {"name", "kept", "total"}
    assert "scheme" not in str(spec)  # colours are the theme's


@pytest.mark.parametrize(("count", "most"), [(5, 200), (54, 850)])
def test_many_layers_stay_readable_and_not_too_tall(count: int, most: int):
    rows = layers.table(
        [{"name": f"layer{i}.weight", "total": 9, "kept": i % 9, "effective": 0} for i in
         range(count)]
    )  # fmt: skip
    spec = layers.chart(rows).to_dict()
    assert 12 * count < spec["height"] <= most


def test_the_layers_in_words():
    assert layers.description(layers.table(LAYERS)) == (
        "Share of weights kept in each of 3 layers: most in Layer 1 (78.5 %), "
        "least in Layer 3 (0.0 %)."
    )


def test_both_networks_by_epoch_told_apart_without_colour():
    rows = accuracy.table(HISTORY)
    assert len(rows) == 6
    spec = accuracy.chart(rows, 3).to_dict()
    lines = spec["layer"][0]["encoding"]
    assert lines["color"]["scale"]["domain"] == ["dense", "pruned"]
    assert lines["strokeDash"]["scale"]["range"] == [[1, 0], [6, 3]]
    assert lines["x"]["axis"]["values"] == [1, 2, 3]
    assert lines["x"]["scale"]["domain"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("epochs", "ticks"), [(0, []), (1, [1]), (10, list(range(1, 11))), (25, [1, 3, 6, 9])]
)
def test_about_ten_whole_epochs_are_marked(epochs: int, ticks: list[int]):
    spec = accuracy.chart(accuracy.table([]), epochs).to_dict()
    values = spec["layer"][0]["encoding"]["x"]["axis"]["values"]
    assert values[: len(ticks)] == ticks
    assert len(values) <= 11


def test_the_curves_in_words():
    assert accuracy.description(accuracy.table(HISTORY[:3])) == (
        "Validation accuracy by epoch: dense 92.0 % after epoch 2, pruned 91.0 % after epoch 1."
    )
    assert "nothing yet" in accuracy.description(accuracy.table([]))
