"""Charts are pure functions of their rows."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from app_fakes import HISTORY, LAYERS, epochs_of, layers_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.charts import histogram, picture
from app.run import mask_chart
from prospr_engine.report.charts import layers, training
from prospr_engine.report.charts.colours import DARK, LIGHT

NBSP = "\N{NO-BREAK SPACE}"


# Layers


def test_one_row_per_layer_in_the_networks_order_with_names_that_can_be_read():
    rows = layers.table(
        layers_of(*LAYERS, {"name": "layer1.0.conv1.weight", "total": 8, "kept": 4, "effective": 4})
    )
    assert list(rows["layer"]) == ["Layer 1", "Layer 2", "Layer 3", "layer1.0.conv1"]
    assert list(rows["share"]) == pytest.approx([113 / 144, 1489 / 4608, 0, 0.5])
    assert rows["counts"][1] == "2|1,489 of 4,608"


def test_equal_counts_of_two_layers_stay_two_rows():
    twins = [{"name": f"{i}.weight", "total": 10, "kept": 5, "effective": 5} for i in range(3)]
    assert layers.table(layers_of(*twins))["counts"].is_unique


def test_a_bar_per_layer_with_counts_and_tooltips():
    rows = layers.table(layers_of(*LAYERS))
    spec = layers.chart(3, LIGHT)
    bar, signs, counts = spec["layer"]
    assert bar["mark"]["type"] == "bar"
    assert bar["encoding"]["x"]["scale"]["domain"] == [0, 1]
    assert rows["percent"][0] == f"78.5{NBSP}%"
    assert bar["encoding"]["y"]["sort"] == signs["encoding"]["y"]["sort"] == {"field": "order"}
    assert counts["encoding"]["y"]["axis"]["orient"] == "right"
    assert {tip["field"] for tip in bar["encoding"]["tooltip"]} >= {"name", "kept", "total"}


@pytest.mark.parametrize(
    ("kept", "effective", "state"),
    [
        (0, 0, layers.EMPTY),
        (0, None, layers.EMPTY),
        (5, 0, layers.CUT_OFF),
        (7, 7, layers.THIN),
        (7, None, layers.THIN),
        (8, 3, layers.FINE),
    ],
)
def test_layers_in_danger_have_a_sign_that_is_explained(kept, effective, state):
    layer = {"name": "a", "total": 72, "kept": kept, "effective": effective, "channels": 8}
    rows = layers.table(layers_of(layer))
    assert list(rows["state"]) == [state]
    signs, words = layers.legend(rows), layers.description(rows)
    if state == layers.FINE:
        assert not signs
    else:
        sign, _, meaning = layers.SIGNS[state]
        assert signs == f":orange[{sign}] {meaning}"
        assert f"a: {meaning}." in words
    assert len(layers.legend(layers.table(layers_of(*[layer] * 3))).splitlines()) <= 1


def test_unexamined_connections_are_unknown():
    layer = {"name": "a", "total": 9, "kept": 9, "effective": None, "channels": 1}
    assert list(layers.table(layers_of(layer))["works"]) == ["unknown"]


@pytest.mark.parametrize(("count", "most"), [(5, 200), (54, 850)])
def test_many_layers_stay_readable_and_not_too_tall(count: int, most: int):
    assert 12 * count < layers.chart(count, LIGHT)["height"] <= most


def test_the_layers_in_words():
    assert layers.description(layers.table(layers_of(*LAYERS))) == (
        f"Share of weights kept in each of 3 layers: most in Layer 1 (78.5{NBSP}%), "
        f"least in Layer 3 (0{NBSP}%). Layer 3: no weights left."
    )


# Training


def test_networks_differ_without_colour():
    assert len(training.table(epochs_of(*HISTORY))) == 6
    lines = training.chart(3, training.MEASURES["Accuracy"])["layer"][0]["encoding"]
    assert lines["color"]["scale"]["domain"] == ["dense", "pruned"]
    assert lines["strokeDash"]["scale"]["range"] == [[1, 0], [6, 3]]
    assert lines["x"]["axis"]["values"] == [1, 2, 3]
    assert lines["x"]["scale"]["domain"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("shown", "column"), [("Accuracy", "validation_accuracy"), ("Loss", "validation_loss")]
)
def test_the_curves_show_what_was_asked_for(shown: str, column: str):
    spec = training.chart(3, training.MEASURES[shown])
    assert [part["encoding"]["y"]["field"] for part in spec["layer"]] == [column, column]
    assert column in training.table(epochs_of(*HISTORY))


@pytest.mark.parametrize(
    ("epochs", "ticks"), [(0, []), (1, [1]), (10, list(range(1, 11))), (25, [1, 3, 6, 9])]
)
def test_about_ten_whole_epochs_are_marked(epochs: int, ticks: list[int]):
    spec = training.chart(epochs, training.MEASURES["Loss"])
    values = spec["layer"][0]["encoding"]["x"]["axis"]["values"]
    assert values[: len(ticks)] == ticks
    assert len(values) <= 11


def test_the_curves_in_words():
    rows, measures = training.table(epochs_of(*HISTORY[:3])), training.MEASURES
    assert training.description(rows, measures["Accuracy"]).replace(NBSP, " ") == (
        "Validation accuracy by epoch: dense 92.0 % after epoch 2, pruned 91.0 % after epoch 1."
    )
    assert training.description(rows, measures["Loss"]) == (
        "Validation loss by epoch: dense 0.550 after epoch 2, pruned 1.100 after epoch 1."
    )
    assert "nothing yet" in training.description(training.table([]), measures["Loss"])


# Histogram


def test_bars_on_both_sides_of_the_line_and_the_one_it_divides():
    edges, counts = np.array([1e-6, 1e-4, 1e-2]), np.array([5, 7])
    rows = histogram.table(edges, counts, True, 1e-3)
    assert list(rows["side"]) == ["removed", "removed", "kept"]
    assert list(rows["count"]) == [5, 7, 7]
    assert list(rows["low"]) == pytest.approx([-6, -4, -3])
    assert list(rows["high"]) == pytest.approx([-4, -3, -2])
    assert set(rows["line"]) == {-3}


@pytest.mark.parametrize(
    ("threshold", "sides"), [(1e-9, {"kept"}), (0.0, {"kept"}), (0.1, {"removed"})]
)
def test_a_line_outside_of_the_bars_divides_none(threshold: float, sides: set[str]):
    rows = histogram.table(np.array([1e-6, 1e-4, 1e-2]), np.array([5, 7]), True, threshold)
    assert len(rows) == 2
    assert set(rows["side"]) == sides
    assert rows["line"].isna().all() == (threshold == 0)


def test_signed_scores_stand_where_they_are():
    rows = histogram.table(np.array([-2.0, 0.0, 2.0]), np.array([1, 1]), False, 0.0)
    assert list(rows["side"]) == ["removed", "kept"]
    assert list(rows["low"]) == [-2, 0]
    assert "labelExpr" not in str(histogram.chart(False, DARK)["layer"][0]["encoding"]["x"])


def test_decades_are_written_as_powers():
    axis = histogram.chart(True, LIGHT)["layer"][0]["encoding"]["x"]["axis"]
    assert "'-8': '10⁻⁸'" in axis["labelExpr"]


# Masks


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple) | st.sampled_from(
    [(70, 3, 7, 7), (10, 700), (600, 2, 1, 1), (33, 1, 3, 3), (40, 40, 3), (2, 3, 2, 3, 4)]
)


def drawn(url: str) -> np.ndarray:
    """The picture's colours, (rows, columns, 4)."""
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(image.convert("RGBA"))


def rgb(colour: str) -> list[int]:
    return picture.palette(colour)[0].tolist()


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 10))
def test_the_map_counts_every_weight_once(shape: tuple[int, ...], tenths: int):
    kept = np.random.default_rng(0).random(shape) < tenths / 10
    rows, most = mask_chart.map_rows(kept, None, LIGHT)
    cells = rows[rows["kind"] == picture.CELL]
    counts = [[int(n.replace(",", "")) for n in text.split() if n[0].isdigit()][:2]
              for text in cells["weights"]]  # fmt: skip
    assert np.sum(counts, 0).tolist() == [kept.sum(), kept.size]
    assert len(cells) <= mask_chart.CELLS**2
    assert 0 <= most <= 1
    out, into, *_ = mask_chart.four(shape)
    assert (cells["bottom"].max(), cells["right"].max()) == (out, into)
    pixels = drawn(rows["url"].iloc[0])
    assert pixels.shape[:2] == (min(out, mask_chart.PIXELS), min(into, mask_chart.PIXELS))
    if out <= mask_chart.PIXELS and into <= mask_chart.PIXELS:
        empty = ~kept.reshape(out, into, -1).any(2)
        np.testing.assert_array_equal((pixels[..., :3] == rgb(LIGHT.ground)).all(2), empty)


@settings(deadline=None, max_examples=40)
@given(shapes, st.data())
def test_blocks_cover_the_layer_and_show_their_weights(shape: tuple[int, ...], data):
    rng = np.random.default_rng(0)
    kept, scores = rng.random(shape) < 0.5, rng.random(shape)
    out, into, *_ = mask_chart.four(shape)
    parts = mask_chart.blocks(shape)
    assert [i for part in parts[0] for i in part] == list(range(out))
    assert [i for part in parts[1] for i in part] == list(range(into))
    assert max(map(len, parts)) <= mask_chart.CELLS
    top, left = (data.draw(st.sampled_from(part)) for part in parts)
    block = (top.start, top.stop, left.start, left.stop)
    rows, tips = mask_chart.block_rows(kept, scores, block, DARK)
    cells = rows[rows["kind"] == picture.CELL]
    part = kept.reshape(mask_chart.four(shape))[top.start : top.stop, left.start : left.stop]
    assert len(cells) <= mask_chart.SINGLE
    assert set(tips) <= set(cells.columns)
    if "score" in tips:
        assert len(cells) == part.size
        assert list(cells["weights"] == "kept") == part.ravel().tolist()
    text = mask_chart.block_description(kept, block)
    assert f"{part.sum():,} of {part.size:,} weights kept" in text


def test_the_shade_of_a_kernel_is_its_share():
    kept = np.zeros((2, 2, 3, 3), bool)
    kept[0, 0] = True
    kept[1, 1, 0] = True
    rows, most = mask_chart.map_rows(kept, (0, 1, 0, 1), DARK)
    assert most == 1
    pixels = drawn(rows["url"].iloc[0])[..., :3].tolist()
    assert pixels[0][0] == rgb(DARK.most)
    assert pixels[0][1] == rgb(DARK.ground)
    assert pixels[1][1] not in (rgb(DARK.most), rgb(DARK.ground))
    frame = rows[rows["kind"] == picture.FRAME]
    assert frame[["top", "bottom", "left", "right"]].values.tolist() == [[0, 1, 0, 1]]


def test_kernels_stand_side_by_side_with_gaps_that_show_the_page():
    kept = np.zeros((2, 2, 3, 3), bool)
    kept[1, 0, 2, 1] = True
    rows, tips = mask_chart.block_rows(kept, np.zeros((2, 2, 3, 3)), (0, 2, 0, 2), LIGHT)
    pixels = drawn(rows["url"].iloc[0])
    side = pixels.shape[0] // 2
    assert pixels[side - 1, 0, 3] == 0  # between two kernels
    blue = (pixels[..., :3] == rgb(LIGHT.kept)).all(2).nonzero()
    assert (blue[0].min() > side, blue[1].max() < side) == (True, True)
    one = rows[rows["weights"] == "kept"].to_dict("records")
    assert [(c["out"], c["in"], c["place"]) for c in one] == [(1, 0, "2, 1")]
    assert one[0]["top"] == pytest.approx(1 + 2 / 3)
    assert tips is mask_chart.WEIGHT_TIPS


def test_empty_and_full_layers_in_words():
    shape = (4, 2, 3, 3)
    assert mask_chart.description(np.ones(shape, bool)) == "All 72 weights of this layer are kept."
    assert (
        mask_chart.description(np.zeros(shape, bool))
        == "None of the 72 weights of this layer is kept."
    )
    some = np.zeros(shape, bool)
    some[0, 0, 0, 0] = True
    assert mask_chart.description(some) == (
        f"1 of 72 weights kept (1.4{NBSP}%). 3 of 4 output channels and 1 of 2 input channels "
        "have none."
    )
    some[:, :, 0, 0] = True
    assert mask_chart.description(some).endswith("Every channel keeps at least one weight.")
    assert mask_chart.map_rows(np.zeros(shape, bool), None, LIGHT)[1] == 0


def test_the_fullest_block_is_found():
    kept = np.zeros((64, 64, 3, 3), bool)
    kept[40, 20] = True
    assert mask_chart.fullest(kept) == (40 // 16, 20 // 16)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((8, 4, 3, 3), "3 × 3"), ((8, 4, 5), "5"), ((8, 4, 1, 1), ""), ((8, 4), ""), ((8,), ""),
     ((2, 2, 1, 2, 3), "1 × 2 × 3")],
)  # fmt: skip
def test_kernels_are_called_by_their_size(shape: tuple[int, ...], words: str):
    assert mask_chart.kernel(shape) == words
    assert math.prod(mask_chart.four(shape)) == math.prod(shape)


def test_the_cells_are_not_seen_take_clicks_and_are_not_read_out():
    spec = picture.chart(mask_chart.AXES, mask_chart.CHANNEL_TIPS, "#000000", clickable=True)
    image, _, cells = spec["layer"]
    assert image["mark"] == {"type": "image", "aspect": False, "smooth": False}
    assert cells["mark"]["fillOpacity"] == 0
    assert spec["config"]["mark"]["aria"] is False
    assert spec["params"][0]["name"] == picture.CLICK
    assert spec["params"][0]["select"]["fields"] == ["top", "left"]
    assert image["encoding"]["y"]["scale"]["reverse"]
    assert "params" not in picture.chart(mask_chart.AXES, mask_chart.CHANNEL_TIPS, "#000000")


def test_specs_hold_no_data():
    for spec in (
        layers.chart(3, LIGHT),
        training.chart(3, training.MEASURES["Loss"]),
        histogram.chart(True, LIGHT),
        picture.chart(mask_chart.AXES, mask_chart.WEIGHT_TIPS, "#000000"),
    ):
        assert "datasets" not in spec
        names = [spec.get("data"), *(part.get("data") for part in spec["layer"])]
        assert {"name": "source"} in names
        assert all(name in (None, {"name": "source"}) for name in names)
