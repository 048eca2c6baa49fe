"""Charts of a comparison: pure functions of their tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from app_compare_frames import cell, frame, grid, without
from app_fakes import record
from PIL import Image

from app.charts import heat_map, series_style
from app.compare import accuracy_chart, classes_chart, curves_chart, overlap_chart, search_chart
from app.compare import layers_chart as compare_layers
from app.compare.axes import ends, known
from app.compare.plots import accuracy_table
from app.compare.table_file import csv as csv_of
from app.services import (
    CONTROLS,
    GOALS,
    METHODS,
    ControlSpec,
    Goal,
    MethodSpec,
    RunRecord,
    analysis,
)
from app.services.overlap import MaskOverlap
from prospr_engine.report.charts import image_file
from prospr_engine.report.charts.colours import DARK, LIGHT, Colours

NBSP = "\N{NO-BREAK SPACE}"
BOTH = [pytest.param(LIGHT, id="light"), pytest.param(DARK, id="dark")]
TWO = {"prospr": (0.95, 0.9), "magnitude": (0.94, 0.8)}


def compiled(spec: dict[str, Any], rows: pd.DataFrame, width: int = 360) -> str:
    """The chart as SVG: a spec that Vega-Lite refuses, or data that it cannot draw, fail here."""
    import vl_convert

    whole = {**spec, "datasets": {"source": json.loads(rows.to_json(orient="records"))}}
    fit = spec.get("autosize", {"type": "fit", "contains": "padding"})  # as Streamlit has it
    whole |= {"width": width, "autosize": fit}
    return vl_convert.vegalite_to_svg(json.dumps(whole), vl_version=image_file.VERSION)


# Looks


def every_method(controls: tuple[str, ...] = ("none",)) -> pd.DataFrame:
    return frame(
        cell(method, 0.9, 0, 0.9, control=control)
        for method, control in itertools.product(METHODS, controls)
    )


def test_methods_and_their_controls_all_look_different():
    seen = series_style.looks(every_method(("none", *CONTROLS)))
    assert len(seen) == len(METHODS) * (1 + len(CONTROLS))
    assert len({dataclasses.replace(look, series="") for look in seen}) == len(seen)


def test_methods_differ_in_colour_and_in_shape():
    seen = series_style.looks(every_method())
    assert len({look.hue for look in seen}) == len({look.shape for look in seen}) == len(METHODS)


def test_a_method_looks_the_same_in_every_comparison():
    everywhere = {look.series: look for look in series_style.looks(every_method())}
    for name, spec in METHODS.items():
        (alone,) = series_style.looks(frame([cell(name, 0.9, 0, 0.9)]))
        assert alone == everywhere[spec.label]


def test_a_control_has_the_colour_of_what_it_controls_and_is_dashed_and_hollow():
    for control in CONTROLS:
        plain, shown = series_style.looks(
            frame([cell("snip", 0.9, 0, 0.9), cell("snip", 0.9, 0, 0.9, control=control)])
        )
        assert (plain.hue, plain.shape) == (shown.hue, shown.shape)
        assert shown.hollow
        assert not plain.hollow
        assert shown.dash != plain.dash == series_style.SOLID


def test_what_is_random_is_grey_and_dashed():
    for look in series_style.looks(every_method()):
        assert (look.hue in series_style.GREYS) == look.series.startswith("Random")
        assert (look.dash == series_style.SOLID) == (look.hue not in series_style.GREYS)


def test_steps_of_one_method_are_lines_of_their_own():
    seen = series_style.looks(
        frame(
            cell("prospr", 0.9, 0, 0.9, steps=steps, series=f"M = {steps}", order=steps)
            for steps in range(1, 30)
        )
    )
    assert len({(look.hue, look.shape, look.dash) for look in seen}) == 29
    assert len({look.hue for look in seen[:10]}) == 10


def test_any_number_of_methods_and_controls_can_be_distinguished(tables):
    """Thirty criteria, registered, not edited into the package; each also under five controls."""
    before = series_style.looks(every_method())
    for number in range(30 - len(METHODS)):
        METHODS.register(
            MethodSpec(f"own_{number}", f"Own {number}", "Own.", target=len, by_chance=number == 5)
        )
    for number in range(2):
        CONTROLS.register(
            ControlSpec(f"own_{number}", f"Own {number}", "Own.", len, "it", rearranges_scores=True)
        )
    seen = series_style.looks(every_method(("none", *CONTROLS)))
    plain = [look for look in seen if not look.hollow]
    assert (len(plain), len(seen)) == (30, 180)
    assert len({dataclasses.replace(look, series="") for look in seen}) == len(seen)
    # Lines have no shape: those of one colour differ by their dashes, too.
    assert len({(look.hue, look.dash) for look in plain}) == 30
    assert [look for look in plain if not look.series.startswith("Own")] == list(before)
    (alone,) = series_style.looks(frame([cell("own_3", 0.9, 0, 0.9)]))
    assert dataclasses.replace(alone, series="") in {
        dataclasses.replace(look, series="") for look in plain if look.series == "Own 3"
    }


def test_a_method_that_nobody_knows_any_more_has_a_look_too():
    old = cell("snip", 0.9, 0, 0.9) | {"method": "older", "series": "older"}
    assert len(series_style.looks(frame([old, cell("prospr", 0.9, 0, 0.9)]))) == 2


@pytest.mark.parametrize("colours", BOTH)
def test_every_colour_can_be_seen_on_its_ground(colours: Colours):
    """WCAG 2.2, 1.4.11: graphics need a contrast of 3."""
    for look in series_style.looks(every_method()):
        ink = series_style.colour(colours, look)
        assert heat_map.contrast(ink, heat_map.ground(colours)) >= 3, look.series


# Accuracy


def test_the_mean_its_interval_and_its_seeds():
    rows = accuracy_table(frame(cell("snip", 0.9, s, a) for s, a in enumerate((0.9, 0.92))))
    (mean,) = rows[rows["kind"] == accuracy_chart.MEAN].to_dict("records")
    # Student's t for one degree of freedom; accuracies are rounded to one of 400 images.
    half = 12.7062 * math.sqrt(0.0002 + 1 / 12 / 400**2) / math.sqrt(2)
    assert mean["accuracy"] == pytest.approx(0.91)
    assert mean["low"] == pytest.approx(0.91 - half, abs=1e-4)
    assert mean["high"] == 1.0  # no accuracy is above it, whatever two seeds allow
    assert mean["seeds"] == "0, 1"
    assert mean["shown"] == f"91.0{NBSP}%"
    assert mean["interval"] == f"78.3 \N{EN DASH} 100.0{NBSP}%"
    assert mean["run"] == ""


def test_a_point_of_one_run_names_it_and_has_no_interval():
    rows = accuracy_table(frame([cell("snip", 0.9, 4, 0.9)]))
    (mean,) = rows[rows["kind"] == accuracy_chart.MEAN].to_dict("records")
    assert mean["run"] == "snip-none-0.9-4"
    assert pd.isna(mean["low"])
    assert mean["interval"] == "unknown (one run)"


def test_single_runs_are_shown_on_demand_only():
    table = grid(TWO)
    kinds = accuracy_table(table)["kind"].value_counts().to_dict()
    assert kinds == {accuracy_chart.MEAN: 4, accuracy_chart.DENSE: 1}
    cells = accuracy_table(table, cells=True)
    cells = cells[cells["kind"] == accuracy_chart.CELL]
    assert set(cells["run"]) == set(table["run"])


def test_only_what_is_done_is_drawn():
    gone = [without(cell("snip", 0.9, 1, 0), state) for state in ("failed", "waiting", "running")]
    rows = accuracy_table(frame([cell("snip", 0.9, 0, 0.9), *gone]))
    assert list(rows[rows["kind"] == accuracy_chart.MEAN]["accuracy"]) == [0.9]
    plan = accuracy_chart.plan(frame(gone), accuracy_table(frame(gone)))
    assert not plan.looks
    assert accuracy_chart.chart(plan, LIGHT)["layer"]
    assert "nothing yet" in accuracy_chart.description(accuracy_table(frame(gone)))


def test_a_dense_network_counts_once_per_seed():
    table = grid(TWO, seeds=(0, 1))
    table["dense_accuracy"] = [0.96 if seed else 0.98 for seed in table["seed"]]
    (dense,) = (r for r in accuracy_table(table).to_dict("records") if r["kind"] == "dense")
    assert dense["accuracy"] == pytest.approx(0.97)
    # Of two values, though there are eight cells.
    half = 12.7062 * math.sqrt(0.0002 + 1 / 12 / 400**2) / math.sqrt(2)
    assert dense["low"] == pytest.approx(0.97 - half, abs=1e-6)
    assert dense["label"] == f"Dense 97.0{NBSP}%"


def test_channels_have_the_colour_of_their_method_and_another_shape_and_dash():
    table = frame(
        cell(method, 0.9, 0, 0.9, kind=kind, control=control)
        for method in ("prospr", "snip", "random")
        for kind, control in (("weights", "none"), ("weights", "shuffle"), ("channels", "none"))
    )
    looks = series_style.looks(table)
    assert len({dataclasses.replace(look, series="") for look in looks}) == len(looks)
    for plain, control, channels in (looks[start : start + 3] for start in (0, 3, 6)):
        assert plain.hue == control.hue == channels.hue
        assert channels.shape == series_style.BARS
        assert channels.dash not in (plain.dash, control.dash)
        assert not channels.hollow
    (alone,) = series_style.looks(frame([cell("snip", 0.9, 0, 0.9, kind="channels")]))
    assert alone == looks[5]
    rows = accuracy_table(table)
    assert compiled(accuracy_chart.chart(accuracy_chart.plan(table, rows), LIGHT), rows)


def test_channels_of_one_method_that_differ_in_their_budget_look_different():
    table = frame(
        cell("prospr", 0.9, 0, 0.9, kind="channels", series=f"ProsPr, channels {number}")
        for number in range(30)
    )
    looks = series_style.looks(table)
    assert len({dataclasses.replace(look, series="") for look in looks}) == 30


def test_an_axis_says_what_the_sparsities_count():
    weights, channels = cell("snip", 0.9, 0, 0.9), cell("snip", 0.9, 0, 0.8, kind="channels")

    def title(*rows: dict[str, Any]) -> Any:
        table = frame(rows)
        points = accuracy_table(table)
        plan = accuracy_chart.plan(table, points)
        svg = compiled(accuracy_chart.chart(plan, LIGHT), points)
        return re.findall(r">([^<>]* removed \(target\))<", svg)

    operations = channels | {"channel_budget": "operations"}
    assert title(weights) == title(weights, channels) == ["Weights removed (target)"]
    assert title(operations) == ["Multiply-adds removed (target)"]
    assert title(weights, operations) == ["Weights or multiply-adds removed (target)"]


def test_dense_networks_that_differ_are_distinguished():
    table = frame([cell("snip", 0.9, 0, 0.9), cell("snip", 0.9, 0, 0.8, epochs=9)])
    labels = accuracy_table(table)["label"]
    assert [label for label in labels if label] == [
        f"Dense (3 epochs) 97.0{NBSP}%",
        f"Dense (9 epochs) 97.0{NBSP}%",
    ]


@pytest.mark.parametrize("axis", known())
def test_no_point_and_no_error_bar_is_cut_off(axis: str):
    table = grid({"prospr": (0.95, 0.2), "snip": (0.94, 0.93)}, spread=0.05)
    if table[known()[axis].column].isna().all():
        table = table.assign(**{known()[axis].column: table["kept_weights"]})
    rows = accuracy_table(table, axis, cells=True)
    plan = accuracy_chart.plan(table, rows, axis)
    bottom, top = plan.accuracy
    shown = pd.concat([rows["accuracy"], rows["low"], rows["high"]]).dropna()
    assert bottom <= shown.min() < shown.max() <= top
    places = rows["x"].dropna()
    assert plan.across.low <= places.min() <= places.max() <= plan.across.high


def test_ticks_stand_at_the_sparsities_that_were_asked_for():
    table = grid(TWO)
    plan = accuracy_chart.plan(table, accuracy_table(table))
    assert plan.across.ticks == pytest.approx((0.2, 0.05))
    many = frame(cell("snip", s, 0, 0.9) for s in np.linspace(0.5, 0.99, 30).round(3))
    plan = accuracy_chart.plan(many, accuracy_table(many))
    assert [round(1 - tick, 4) for tick in plan.across.ticks] == [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]


def test_counts_and_sizes_are_logarithmic_where_they_differ_much():
    assert ends(known()["kept"], [1000, 20_000]).log
    assert ends(known()["size"], [1000, 20_000]).log
    assert not ends(known()["size"], [10_000, 20_000]).log
    assert ends(known()["size"], [900, 120_000]).ticks == (1e3, 1e4, 1e5)
    assert ends(known()["kept"], [3000, 40_000]).ticks == (5e3, 1e4, 2e4)


def test_a_network_that_is_cut_off_altogether_still_has_a_place():
    table = frame([cell("snip", 0.99, 0, 0.1, effective_sparsity=1.0), cell("snip", 0.9, 0, 0.9)])
    rows = accuracy_table(table, "effective")
    assert rows["x"].dropna().min() == pytest.approx(0.5 / 10_000)
    assert compiled(
        accuracy_chart.chart(accuracy_chart.plan(table, rows, "effective"), LIGHT), rows
    )


def test_runs_whose_size_nobody_knows_have_no_place_there():
    table = frame([cell("snip", 0.99, 0, 0.1, zipped_bytes=None), cell("snip", 0.9, 0, 0.9)])
    assert (accuracy_table(table, "size")["kind"] == accuracy_chart.MEAN).sum() == 1
    assert (accuracy_table(table, "kept")["kind"] == accuracy_chart.MEAN).sum() == 2


def test_runs_whose_cut_off_weights_are_not_known_have_no_place_there():
    table = frame([cell("snip", 0.99, 0, 0.1, effective_sparsity=None), cell("snip", 0.9, 0, 0.9)])
    rows = accuracy_table(table, "effective")
    assert (rows["kind"] == accuracy_chart.MEAN).sum() == 1
    assert compiled(
        accuracy_chart.chart(accuracy_chart.plan(table, rows, "effective"), LIGHT), rows
    )


def test_one_single_point_can_be_drawn_against_anything():
    table = frame([cell("snip", 0.0, 0, 0.9)])
    for axis in known():
        rows = accuracy_table(table, axis)
        plan = accuracy_chart.plan(table, rows, axis)
        assert plan.across.low < plan.across.high
        assert compiled(accuracy_chart.chart(plan, LIGHT), rows)


def test_a_series_keeps_its_look_when_others_are_filtered_out():
    table = grid(TWO)
    table.loc[table["method"] == "magnitude", ["method", "steps"]] = ["prospr", 5]
    whole = accuracy_chart.plan(table, accuracy_table(table))
    part = accuracy_table(table[table["series"] == "Magnitude"])
    assert accuracy_chart.plan(table, part).looks == whole.looks[1:]


def test_new_runs_within_the_same_ends_need_no_new_chart():
    table = grid({"prospr": (0.95, 0.5)}, spread=0.001)
    more = pd.concat([table, grid({"prospr": (0.95, 0.5)}, seeds=(7, 8, 9), spread=0.0001)])
    tables = [accuracy_table(part) for part in (table, more)]
    assert not tables[0].equals(tables[1])
    plans = [accuracy_chart.plan(more, rows) for rows in tables]
    assert plans[0].looks == plans[1].looks
    assert plans[0].across == plans[1].across
    again = accuracy_chart.plan(more, accuracy_table(more.assign(loss=9.0)))
    assert plans[1] == again
    assert hash(plans[1]) == hash(again)


def test_a_click_and_the_legend_are_two_selections():
    table = grid(TWO)
    plan = accuracy_chart.plan(table, accuracy_table(table))
    params = {p["name"]: p for p in accuracy_chart.chart(plan, LIGHT)["params"]}
    click, legend = params[accuracy_chart.CLICK], params[accuracy_chart.LEGEND]
    assert click["select"]["fields"] == ["series", "sparsity", "run"]
    # A click on the legend hits no point: it would clear what was clicked before.
    assert "isVoronoi" in click["select"]["on"]
    assert click["select"]["clear"] is False
    assert legend["bind"] == "legend"
    assert legend["select"]["toggle"] == "true"
    assert [value["series"] for value in legend["value"]] == ["ProsPr", "Magnitude"]


@pytest.mark.parametrize("colours", BOTH)
def test_the_chart_is_one_that_vega_lite_draws(colours: Colours):
    table = grid(dict.fromkeys(METHODS, (0.9, 0.5)))
    rows = accuracy_table(table, cells=True)
    svg = compiled(accuracy_chart.chart(accuracy_chart.plan(table, rows), colours), rows)
    for spec in METHODS.values():
        assert svg.count(f">{spec.label}<") == 1  # one legend for colour, shape, dash and fill
    assert f">80{NBSP}%<" in svg
    assert f">Dense 97.0{NBSP}%<" in svg


def test_the_chart_in_words():
    rows = accuracy_table(grid(TWO))
    assert accuracy_chart.description(rows) == (
        f"Test accuracy against weights removed: ProsPr 95.0{NBSP}% at 80{NBSP}% "
        f"removed, 90.0{NBSP}% at 95{NBSP}%; Magnitude 94.0{NBSP}% at 80{NBSP}% removed, "
        f"80.0{NBSP}% at 95{NBSP}%; Dense 97.0{NBSP}%."
    )


# Details


def result(
    seed: int = 0,
    kept: tuple[int, ...] = (50, 10),
    right: tuple[int, ...] = (9, 5),
    curve: tuple[float, ...] = (0.5, 0.9),
) -> RunRecord:
    output = {
        "config": {"seed": seed},
        "layers": [
            {"name": f"{place}.weight", "total": 100 * (place + 1), "kept": k, "effective": k}
            for place, k in enumerate(kept)
        ],
        "per_class": {
            "images": [10] * len(right),
            "dense": [9] * len(right),
            "pruned": list(right),
        },
        "data": {"classes": [f"class {i}" for i in range(len(right))]},
        "history": [
            {"network": network, "epoch": epoch, "validation_accuracy": accuracy + shift}
            for network, shift in (("dense", 0.05), ("pruned", 0))
            for epoch, accuracy in enumerate(curve, 1)
        ],
    }
    return record(output)


def test_layers_are_means_over_runs_and_collapsed_ones_are_marked():
    rows = compare_layers.table(
        analysis.layers({"A": [result(kept=(50, 10)), result(1, kept=(70, 0))], "B": [result()]})
    )
    assert list(rows["share"]) == pytest.approx([0.6, 0.5, 0.025, 0.05])
    assert list(rows["row"]) == ["Layer 1", "Layer 1", "Layer 2", "Layer 2"]
    collapsed = rows[rows["sign"] != ""]
    assert list(collapsed["column"]) == ["A"]
    assert list(collapsed["mean_of"]) == ["mean of 2; no weight left in 1"]
    assert list(rows["text"]) == ["60", "50", "", "5.0"]
    assert compare_layers.plan(rows).least == pytest.approx(0.01)


def test_a_layer_that_lost_everything_everywhere_has_no_shade():
    rows = compare_layers.table(analysis.layers({"A": [result(kept=(0, 200))]}))
    assert pd.isna(rows["value"][0])
    assert compiled(compare_layers.chart(compare_layers.plan(rows), LIGHT), rows)


def test_layers_of_different_networks_do_not_fall_into_one():
    one, other = result(kept=(5, 5)), result(kept=(5,))
    (layer,) = other.pruning.layers
    renamed = (dataclasses.replace(layer, name="stem.weight"),)
    pruning = dataclasses.replace(other.pruning, layers=renamed)
    other = dataclasses.replace(other, pruning=pruning)
    rows = compare_layers.table(analysis.layers({"A": [one], "B": [other]}))
    assert len(rows) == 3
    assert rows["row"].nunique() == 3


@pytest.mark.parametrize("colours", BOTH)
def test_numbers_on_shades_can_be_read(colours: Colours):
    """WCAG 2.2, 1.4.3: 4.5, but for the rounding of the place where the ink turns."""
    for end in (colours.most, colours.kept, colours.danger):
        turn = heat_map.ink_switch(end, colours)
        for share in np.linspace(0, 1, 41):
            shade = heat_map.mixed(heat_map.palest(colours), end, share)
            ink = heat_map.inks(colours)[int(share > turn)]
            assert heat_map.contrast(shade, ink) >= 4.4, (end, share)


def test_contrast_is_that_of_the_standard():
    assert heat_map.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert heat_map.contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", BOTH)
def test_eleven_series_over_a_hundred_layers_can_be_drawn(colours: Colours):
    rows = compare_layers.table(
        analysis.layers({spec.label: [result(kept=tuple(range(110)))] for spec in METHODS.values()})
    )
    spec = compare_layers.chart(compare_layers.plan(rows), colours)
    assert 12 * 110 < spec["height"] < 20 * 110
    svg = compiled(spec, rows)
    assert ">ProsPr<" in svg
    assert svg.count("✕") == len(METHODS)


def test_classes_are_sorted_by_what_they_lose():
    rows = classes_chart.table(
        analysis.classes(
            {"A": [result(right=(9, 5)), result(1, right=(9, 3))], "B": [result(right=(10, 7))]}
        )
    )
    assert list(rows["row"]) == ["class 1", "class 1", "class 0", "class 0"]
    assert list(rows["value"]) == pytest.approx([-50, -20, 0, 10])
    assert list(rows["text"]) == ["\N{MINUS SIGN}50", "\N{MINUS SIGN}20", "0", "+10"]
    assert compiled(classes_chart.chart(classes_chart.plan(rows), LIGHT), rows)


def test_of_many_classes_those_that_lose_and_gain_most_are_shown():
    lines = {"A": [result(right=tuple(min(10, i % 11) for i in range(100)))]}
    rows = classes_chart.table(analysis.classes(lines))
    assert rows["row"].nunique() == classes_chart.MOST
    assert classes_chart.left_out(analysis.classes(lines), rows) == 100 - classes_chart.MOST
    shown = rows["value"]
    assert shown.is_monotonic_increasing
    assert shown.iloc[0] == pytest.approx(-90)
    assert shown.iloc[-1] == pytest.approx(10)


def test_results_without_counts_by_class_and_classes_without_images_are_left_out():
    old = dataclasses.replace(result(), per_class=None)
    counts = {"images": (10, 0), "dense": (9, 0), "pruned": (8, 0)}
    empty = dataclasses.replace(result(), per_class=counts)
    rows = classes_chart.table(analysis.classes({"old": [old], "B": [empty]}))
    assert list(rows["row"]) == ["class 0"]
    assert "unknown" in classes_chart.description(
        classes_chart.table(analysis.classes({"old": [old]}))
    )


def test_curves_are_means_and_the_dense_network_counts_once_per_seed():
    seen = series_style.looks(grid(TWO))
    rows = curves_chart.table(
        analysis.curves(
            {
                "ProsPr": [result(0, curve=(0.4, 0.8)), result(1, curve=(0.6, 0.9))],
                "Magnitude": [result(0, curve=(0.4, 0.8))],
            }
        )
    )
    found = rows.set_index(["series", "epoch"])["accuracy"]
    assert found["ProsPr", 2] == pytest.approx(0.85)
    assert found["Dense", 1] == pytest.approx(0.55)
    assert list(rows["series"].unique()) == ["Dense", "ProsPr", "Magnitude"]
    plan = curves_chart.plan(rows, seen)
    assert plan.epochs == 2
    assert ">Dense<" in compiled(curves_chart.chart(plan, DARK), rows)
    assert "Magnitude 80.0" in curves_chart.description(rows)


def test_nothing_trained_is_no_curve():
    untrained = dataclasses.replace(result(), history=())
    rows = curves_chart.table(analysis.curves({"ProsPr": [untrained]}))
    assert rows.empty
    assert curves_chart.plan(rows, ()).epochs == 0
    assert curves_chart.description(rows) == "Validation accuracy by epoch: nothing."


ALIKE = (
    MaskOverlap("A", "B", "", 0.5, 0.1, 2),
    MaskOverlap("A", "B", "0.weight", 0.6, 0.2, 2),
    MaskOverlap("A", "B", "1.weight", None, None, 2),
    MaskOverlap("A", "C", "", 0.02, 0.1, 1),
)


def test_to_the_right_what_masks_share_and_to_the_left_what_chance_would_give():
    rows = overlap_chart.table(ALIKE, ["A", "B", "C"])
    square = rows.pivot(index="row", columns="column", values="text")
    assert square.loc["A", "B"] == "50"
    assert square.loc["B", "A"] == "10"
    assert square.loc["A", "A"] == square.loc["B", "C"] == ""
    not_compared = rows[(rows["row"] == "B") & (rows["column"] == "C")]
    assert list(not_compared["measured"]) == ["not compared"]
    assert compiled(overlap_chart.chart(("A", "B", "C"), LIGHT), rows)
    assert overlap_chart.description(rows) == (
        f"Overlap of the masks of 2 pairs: most between A and B (50{NBSP}%; by chance 10{NBSP}%), "
        f"least between A and C (2{NBSP}%; by chance 10{NBSP}%)."
    )


@pytest.mark.parametrize("pair", [("A", "B"), ("B", "A")])
def test_two_masks_layer_by_layer(pair: tuple[str, str]):
    rows = overlap_chart.layers_table(ALIKE, *pair)
    assert list(rows["layer"]) == ["Layer 1", "Layer 2"]
    assert rows["measured"][0] == f"60{NBSP}%"
    assert rows["measured"][1] == "none kept"
    assert compiled(overlap_chart.layers_chart(tuple(rows["layer"]), DARK), rows)


ACCURACY, SIZE, OPERATIONS, LATENCY = GOALS


def probe(sparsity: float, value: float | None, met: bool = False, error: str = "") -> Any:
    return SimpleNamespace(sparsity=sparsity, met=met, value=value, error=error)


def test_the_trail_of_a_search_stands_against_its_goal():
    trail = [probe(0.9, 0.004, True), probe(0.99, 0.09), probe(0.97, None, error="No memory.")]
    rows = search_chart.table(trail, 0.01, ACCURACY)
    assert list(rows["kind"]) == ["goal met", "goal missed", "failed", "goal"]
    assert list(rows["value"]) == pytest.approx([0.4, 9, 1, 1])
    assert search_chart.description(rows) == (
        f"Goal: at most 1.0 point lost. Tried in this order: 90{NBSP}% (0.4 points, goal met), "
        f"99{NBSP}% (9.0 points, goal missed), 97{NBSP}% (no result, failed)."
    )
    svg = compiled(search_chart.chart(search_chart.plan(rows, ACCURACY), LIGHT), rows)
    assert ">Goal: at most 1.0 point lost<" in svg


def test_a_search_for_a_size():
    rows = search_chart.table([probe(0.9, 140_000), probe(0.95, 90_000, True)], 100_000, SIZE)
    plan = search_chart.plan(rows, SIZE)
    assert plan.value[0] < 90_000 < 140_000 < plan.value[1]
    svg = compiled(search_chart.chart(plan, DARK), rows)
    assert ">Goal: at most 100\N{NO-BREAK SPACE}kB<" in svg


def test_a_search_that_has_not_begun():
    rows = search_chart.table([], 0.01, ACCURACY)
    assert search_chart.description(rows).endswith("Tried in this order: nothing yet.")
    assert compiled(search_chart.chart(search_chart.plan(rows, ACCURACY), LIGHT), rows)


@pytest.mark.parametrize(
    ("goal", "value", "limit", "words"),
    [
        (OPERATIONS, 21_400_000, 20e6, "Goal: at most 20 million"),
        (LATENCY, 2.25, 2.0, f"Goal: at most 2.00{NBSP}ms"),
    ],
)
def test_a_search_that_removes_channels(goal: Goal, value: float, limit: float, words: str):
    rows = search_chart.table([probe(0.5, value)], limit, goal)
    svg = compiled(search_chart.chart(search_chart.plan(rows, goal, "multiply-adds"), LIGHT), rows)
    assert f">{words}<" in svg
    assert f">{goal.title}<" in svg
    assert ">Multiply-adds removed<" in svg


# Files


def picture(kind: Any) -> bytes:
    table = grid(TWO)
    rows = accuracy_table(table)
    spec = accuracy_chart.chart(accuracy_chart.plan(table, rows), LIGHT)
    return image_file.picture(spec, rows, kind, "Accuracy", "Small CNN · Digits · 3 seeds")


def test_a_picture_says_what_it_is_of_and_is_the_same_every_time():
    svg = picture("svg")
    for text in ("Accuracy", "Small CNN · Digits · 3 seeds", "Magnitude", f"Dense 97.0{NBSP}%"):
        assert f">{text}<".encode() in svg
    assert picture("svg") == svg


def test_a_png_is_a_picture_with_something_on_it():
    image = Image.open(io.BytesIO(picture("png"))).convert("RGB")
    width = image_file.WIDTH * image_file.SCALE
    assert width * 0.98 <= image.width <= width * 1.02
    assert image.getpixel((0, 0)) == (255, 255, 255)
    colours = {colour for _, colour in image.getcolors(1 << 20) or ()}
    blue = tuple(bytes.fromhex(series_style.HUES_LIGHT[0][1:]))
    assert blue in colours


def test_the_table_as_a_file_is_tidy_and_tells_no_folder():
    table = grid(TWO).assign(data='=cmd|"/c"')
    read = list(csv.DictReader(io.StringIO(csv_of(table).decode())))
    assert len(read) == len(table)
    assert read[0]["series"] == "ProsPr"
    assert (read[0]["steps"], read[-1]["steps"]) == ("3", "")
    assert float(read[0]["accuracy"]) == table["accuracy"][0]
    assert read[0]["data"].startswith("'=")
    assert "out" not in read[0]
    assert "out" in table  # not taken from everybody
