"""Compare shows whatever the table of figures says: in its table, and as an axis."""

from __future__ import annotations

import pytest
from app_compare_frames import TOTAL, cell, frame
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from app.compare import accuracy_chart, axes
from app.compare.plots import accuracy_table
from app.compare.table import _shown
from prospr_engine import metrics
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.metrics import Axis, Column, Metric

LATENCY = Metric(
    "latency",
    "Latency",
    "seconds",
    source="latency",
    seeds="interval",
    axis=Axis("latency", "Latency", "Latency (faster to the right)", log=False),
    compare=Column("Latency", "Of one image.", 4, spread=True),
)


@pytest.fixture
def latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, LATENCY))


def test_the_leading_columns_come_first():
    headings = [column.heading for _, column in _shown()]
    others = [row.label.lower() for name, row in ENCODINGS.items() if name != "dense"]
    assert headings == [
        "Removed",
        "Accuracy",
        "Balanced accuracy",
        "Change",
        "Effective sparsity",
        "Weights kept",
        "Multiply-adds",
        "Right after pruning",
        "Zipped file",
        *(f"Zipped file ({label})" for label in others),
        "Latency",
        *(f"Latency ({label})" for label in others),
    ]


def test_the_axes_have_the_names_that_addresses_hold():
    labels = {axis.name: axis.label for axis in axes.known().values()}
    assert {name: label for name, label in labels.items() if "(" not in label} == {
        "sparsity": "Sparsity",
        "effective": "Effective sparsity",
        "kept": "Weights kept",
        "operations": "Multiply-adds",
        "bytes": "File size, not zipped",
        "size": "File size",
        "latency": "Latency",
    }
    assert labels["size-compact"] == "File size (compact)"


def test_only_figures_that_runs_have_and_differ_in_are_offered():
    usual = ["sparsity", "effective", "kept", "size"]
    weights = frame(cell("prospr", sparsity, 0, 0.9) for sparsity in (0.8, 0.9))
    assert list(axes.offered(weights)) == usual  # of weights: as many multiply-adds everywhere
    both = frame(
        cell("prospr", sparsity, 0, 0.9, kind=kind, file_bytes=size)
        for sparsity, kind, size in ((0.8, "weights", 45_000), (0.8, "channels", 9_000))
    )
    assert list(axes.offered(both)) == ["sparsity", "effective", "kept", "operations", "bytes",
                                        "size"]  # fmt: skip
    timed = both.assign(latency_ms=[1.5, 0.5], zipped_bytes_compact=[100, 100], zipped_bytes=None)
    assert "latency" in axes.offered(timed)
    assert not {"size", "size-compact"} & {*axes.offered(timed)}


def page() -> None:
    from app_compare_frames import cell, frame

    from app.compare.filters import Shown, axis
    from app.compare.table import show_table

    rows = frame(cell("prospr", 0.9, seed, 0.9, latency=0.001 * (seed + 1)) for seed in range(3))
    axis(rows)
    show_table(Shown(rows, "latency"), "whose")


@pytest.mark.usefixtures("latency")
def test_a_new_figure_is_in_the_table_and_on_the_switch():
    at = AppTest.from_function(page, default_timeout=PATIENCE).run()
    assert not at.exception
    (row,) = at.dataframe[0].value.to_dict("records")
    assert row["Latency"] == pytest.approx(0.002)
    # t of two degrees of freedom is 4.302653, the standard error 0.001 / sqrt(3).
    assert row["\N{PLUS-MINUS SIGN} Latency"] == pytest.approx(4.302653 * 0.001 / 3**0.5)
    assert row["Weights kept"] == TOTAL / 10
    assert "Latency" in at.selectbox[0].options


@pytest.mark.usefixtures("latency")
def test_a_new_figure_is_an_axis():
    rows = frame(
        cell("prospr", sparsity, 0, 0.9, latency=latency)
        for sparsity, latency in ((0.8, 0.004), (0.95, 0.002))
    )
    points = accuracy_table(rows, "latency")
    assert points[points["kind"] == "mean"]["x"].tolist() == [0.004, 0.002]
    plan = accuracy_chart.plan(rows, points, "latency")
    assert not plan.across.log
    scale = accuracy_chart.encoding(axes.known()["latency"], plan.across).to_dict()
    assert scale["title"] == "Latency (faster to the right)"
    assert scale["scale"]["reverse"]
