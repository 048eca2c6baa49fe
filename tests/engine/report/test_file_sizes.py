"""The chart of file sizes: its table, its words, and that Vega-Lite draws it."""

from __future__ import annotations

import json

import pytest

from prospr_engine.report.charts.colours import DARK, LIGHT
from prospr_engine.report.charts.file_sizes import chart, description, table

CURVE = [(0.0, {"a": 1_000_000, "b": 1_200_000}), (0.9, {"a": 1_000_000, "b": 150_000})]
HERE = (0.5, {"a": 1_000_000, "b": 600_000})
LABELS = {"a": "Dense", "b": "Small"}
SPACE = "\N{NO-BREAK SPACE}"


def test_the_table_has_every_point_once_and_marks_that_of_the_slider():
    rows = table(CURVE, HERE, LABELS)
    assert list(rows["removed"]) == [f"0{SPACE}%", f"50{SPACE}%", f"90{SPACE}%"] * 2
    assert list(rows[rows["here"]]["size"]) == [f"1.0{SPACE}MB", f"600{SPACE}kB"]
    again = table(CURVE, CURVE[1], LABELS)
    assert len(again) == 4
    assert list(again[again["here"]]["bytes"]) == [1_000_000, 150_000]


def test_the_words_say_the_sizes_at_the_slider():
    assert description(table(CURVE, HERE, LABELS)).endswith(
        f"At 50{SPACE}%: Dense 1.0{SPACE}MB, Small 600{SPACE}kB."
    )


@pytest.mark.parametrize("dark", [False, True])
def test_vega_lite_draws_a_line_for_each(dark: bool):
    import vl_convert

    labels = (*LABELS.values(), *(f"More {n}" for n in range(6)))
    spec = chart(labels, DARK if dark else LIGHT, dark)
    rows = table(CURVE, HERE, LABELS)
    whole = {
        **spec,
        "width": 500,
        "datasets": {"source": json.loads(rows.to_json(orient="records"))},
    }
    drawn = vl_convert.vegalite_to_svg(json.dumps(whole), vl_version="6.4")
    assert "Weights removed" in drawn
    assert drawn.count("mark-line") >= 2
