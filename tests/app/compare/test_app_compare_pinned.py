"""One small comparison, its figures computed by hand, wherever means are shown."""

from __future__ import annotations

import pytest
from app_compare_frames import cell, frame
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from prospr_engine.cli import render_sweep
from prospr_engine.sweeps import statistics, table

# Three seeds at 90 %: mean 0.92, deviation 0.02. Accuracies on 400 test images are multiples of
# 0.0025, which hides a variance of 0.0025² / 12; half of the interval is
# 4.3026527 · sqrt((0.0004 + 0.0025² / 12) / 3) = 0.0497151, with Student's t of two degrees of
# freedom (tables). A change is the difference of two such accuracies: 0.0497474.
ACCURACIES = (0.90, 0.92, 0.94)
MEAN, HALF = 0.92, 0.0497151
CHANGE, HALF_OF_CHANGE = 0.92 - 0.97, 0.0497474


def rows():
    return frame(cell("snip", 0.9, seed, value) for seed, value in enumerate(ACCURACIES))


def test_the_summary_of_a_sweep():
    (found,) = table.records(statistics.summarise(rows(), ["series", "sparsity"]))
    assert found["count"] == 3
    assert found["accuracy_mean"] == pytest.approx(MEAN)
    assert found["accuracy_low"] == pytest.approx(MEAN - HALF, abs=1e-6)
    assert found["accuracy_high"] == pytest.approx(MEAN + HALF, abs=1e-6)
    assert found["change_mean"] == pytest.approx(CHANGE)
    assert found["change_high"] == pytest.approx(CHANGE + HALF_OF_CHANGE, abs=1e-6)
    # Three dense networks that agree to the image: 4.3026527 · 0.0025 / sqrt(12 · 3).
    assert found["dense_accuracy_low"] == pytest.approx(0.97 - 0.0017928, abs=1e-6)
    assert found["kept_weights_mean"] == 1000
    assert found["zipped_bytes_mean"] == 6000  # 2,000 bytes and 4 for each weight


def test_the_table_in_the_terminal(capsys: pytest.CaptureFixture[str]):
    cells = table.records(rows())
    render_sweep.print_sweep({"cells": cells, "noise": 0.01, "out": None, "seconds": 1.0})
    lines = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    (line,) = (line for line in lines if line.startswith("SNIP"))
    assert line.split(maxsplit=1)[1].strip() == "92.0 ± 5.0 %"
    (dense,) = (line for line in lines if "dense network" in line)
    assert dense.rstrip().endswith("97.0 ± 0.2 %")


def page() -> None:
    from test_app_compare_pinned import rows

    from app.compare.filters import Shown, axis
    from app.compare.table import show_table

    axis(rows())
    show_table(Shown(rows(), "pinned"), "whose")


def test_the_table_of_the_page():
    at = AppTest.from_function(page, default_timeout=PATIENCE).run()
    assert not at.exception
    (row,) = at.dataframe[0].value.to_dict("records")
    assert row["Series"] == "SNIP"
    assert row["Removed"] == pytest.approx(90)
    assert row["Accuracy"] == pytest.approx(100 * MEAN)
    assert row["\N{PLUS-MINUS SIGN} Accuracy"] == pytest.approx(100 * HALF, abs=1e-4)
    assert row["Change"] == pytest.approx(-5)
    assert row["Effective sparsity"] == pytest.approx(90)
    assert row["Weights kept"] == 1000
    assert row["Zipped file"] == pytest.approx(6)
