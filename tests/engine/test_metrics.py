"""One row per figure: what is generated from the table of figures."""

from __future__ import annotations

import copy
import re
from typing import Any

import fakes
import pandas as pd
import pytest

from prospr_engine import metrics
from prospr_engine.cli import render, render_runs, render_sweep
from prospr_engine.config import RunConfig
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.format import SCALES, figure, quantity
from prospr_engine.metrics import Metric, Pair, summary
from prospr_engine.sweeps import statistics, table

RESULT = {
    "accuracy": {"dense": 0.96, "pruned": 0.94},
    "loss": {"dense": 0.1, "pruned": 0.2},
    "sparsity": {"requested": 0.9, "achieved": 0.9001, "effective": 0.92},
    "layers": [
        {"name": "0.weight", "kept": 10, "total": 100},
        {"name": "1.weight", "kept": 90, "total": 901},
    ],
    "onnx": {"bytes": 9000, "zipped": 3000, "milliseconds": 1.5},
    "seconds": 4.5,
    "seconds_of": {"scoring": 1.0, "training_dense": 0.0, "training_pruned": 2.0},
    "trust": {"trusted": True},
    "data": {
        "digest": "d1",
        "shape": [1, 8, 8],
        "classes": ["a", "b", "c"],
        "split": {"seed": 0, "train": 1000, "validation": 200, "test": 360},
    },
    "config": {"epochs": 3},
    "environment": {"device": "cpu", "device_name": "x86_64", "threads": 2, "python": "3.12"},
}
SUMMARY_OF_0_3_0 = {
    "accuracy": {"dense": 0.96, "pruned": 0.94},
    "loss": {"dense": 0.1, "pruned": 0.2},
    "sparsity": {"requested": 0.9, "achieved": 0.9001, "effective": 0.92},
    "kept": 100,
    "total": 1001,
    "bytes": 9000,
    "zipped": 3000,
    "seconds": 4.5,
    "seconds_of": {"scoring": 1.0, "training_dense": 0.0, "training_pruned": 2.0},
    "digest": "d1",
    "shape": [1, 8, 8],
    "classes": 3,
    "train_images": 1000,
    "validation_images": 200,
    "test_images": 360,
    "epochs": 3,
    "trusted": True,
    "device": "cpu",
    "device_name": "x86_64",
    "threads": 2,
}
COLUMNS_OF_0_3_0 = [
    "model",
    "data",
    "method",
    "steps",
    "control",
    "options",
    "seed",
    "epochs",
    "sparsity",
    "state",
    "error",
    "achieved_sparsity",
    "effective_sparsity",
    "total_weights",
    "kept_weights",
    "accuracy",
    "dense_accuracy",
    "change",
    "loss",
    "dense_loss",
    "file_bytes",
    "zipped_bytes",
    "seconds",
    "trusted",
    "test_images",
    "digest",
    "fingerprint",
    "out",
]
LATENCY = Metric(
    "latency",
    "Latency",
    "seconds",
    source=lambda result: result["onnx"]["milliseconds"] / 1000,
    seeds="interval",
    terminal="latency",
    terminal_means=True,
)


SINCE: dict[str, object] = {
    "exports": None,
    "balanced": {"pruned": None, "dense": None},
    "rarest_images": None,
    "commonest_share": None,
    "right_alone": {"dense": None, "pruned": None},
    "validation": {"dense": None, "pruned": None},
    "operations": {"dense": None, "pruned": None},
    "latency_ms": None,
    "at_pruning": {"dense": None, "pruned": None},
}
"""What the summary has got since, of a result of 0.3.0."""
COLUMNS_SINCE = {
    "balanced_accuracy",
    "dense_balanced_accuracy",
    "rarest_images",
    "commonest_share",
    "given",
    "dense_right_alone",
    "pruned_right_alone",
    "operations",
    "dense_operations",
    "validation_accuracy",
    "dense_validation_accuracy",
    "accuracy_before_pruning",
    "accuracy_after_pruning",
    "kind",
    "channel_budget",
    "latency_ms",
    *(
        f"{figure}_{name.replace('-', '_')}"
        for figure in ("file_bytes", "zipped_bytes", "latency_ms")
        for name in ENCODINGS
        if name != "dense"
    ),
}


def test_the_summary_is_what_the_store_has_kept_since_0_3_0():
    assert summary(RESULT) == SUMMARY_OF_0_3_0 | SINCE


def test_a_result_of_an_earlier_version_lacks_some_figures():
    old = copy.deepcopy(RESULT)
    del old["onnx"]["zipped"], old["seconds_of"]
    kept = summary(old)
    assert kept["zipped"] is kept["seconds_of"] is None
    assert {**kept, "zipped": 3000, "seconds_of": RESULT["seconds_of"]} == (
        SUMMARY_OF_0_3_0 | SINCE
    )


def test_figures_of_the_classes_are_counted():
    """Nine in ten are of the first class."""
    counts = {"images": [90, 10, 0], "dense": [90, 5, 0], "pruned": [81, 2, 0]}
    epochs = [
        {"network": network, "validation_accuracy": accuracy}
        for network, accuracy in (("dense", 0.5), ("pruned", 0.4), ("dense", 0.9), ("pruned", 0.8))
    ]
    more = {"per_class": counts, "history": epochs, "right_alone": {"dense": 13, "pruned": 1}}
    found = metrics.result_figures(RESULT | more)
    assert found["commonest_share"] == 0.9
    assert found["balanced_accuracy"] == pytest.approx((0.9 + 0.2) / 2)
    assert found["dense_balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert found["rarest_images"] == 10
    assert (found["dense_right_alone"], found["pruned_right_alone"]) == (13, 1)
    assert (found["dense_validation_accuracy"], found["validation_accuracy"]) == (0.9, 0.8)
    assert metrics.figures(summary(RESULT | more)) == found
    even = {"images": [50, 50, 0], "dense": [9, 9, 0], "pruned": [9, 9, 0]}
    found = metrics.result_figures(RESULT | {"per_class": even})
    assert found["balanced_accuracy"] is None
    assert found["commonest_share"] == 0.5


@pytest.mark.parametrize("part", ["accuracy", "layers", "onnx", "data", "trust", "environment"])
def test_what_is_no_result_has_no_summary(part: str):
    with pytest.raises((KeyError, TypeError)):
        summary({name: value for name, value in RESULT.items() if name != part})
    with pytest.raises((KeyError, TypeError)):
        summary({**RESULT, part: None})


def test_the_table_has_the_columns_that_it_has_had_since_0_3_0():
    columns = table.columns()
    assert [name for name in columns if name not in COLUMNS_SINCE] == COLUMNS_OF_0_3_0
    assert set(columns) == {*COLUMNS_OF_0_3_0, *COLUMNS_SINCE}
    assert table.types()["trusted"] == "boolean"
    assert table.types()["zipped_bytes"] == "Int64"
    assert table.types()["seconds"] == "float64"


def test_names_are_unique():
    for names in (
        [metric.name for metric in metrics.METRICS],
        [metric.path for metric in metrics.METRICS if metric.path]
        + [fact.key for fact in metrics.FACTS],
        [metric.name for metric in metrics.columns()],
        [axis.label for _, axis in metrics.axes().values()],
        [axis.title for _, axis in metrics.axes().values()],
    ):
        assert len(names) == len(set(names))


def test_a_new_figure_is_one_row(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, LATENCY))
    kept = summary(RESULT)
    assert kept == SUMMARY_OF_0_3_0 | SINCE | {"latency": 0.0015}
    rows = [
        table.row(RunConfig(seed=seed), kept | {"latency": value})
        for seed, value in enumerate((0.001, 0.002, 0.003))
    ]
    frame = table.frame(rows)
    assert frame["latency"].tolist() == [0.001, 0.002, 0.003]
    assert frame["latency"].dtype == "float64"
    (means,) = statistics.summarise(frame, ["method"]).to_dict("records")
    assert means["latency_mean"] == pytest.approx(0.002)
    # t of two degrees of freedom is 4.302653, the standard error 0.001 / sqrt(3).
    assert means["latency_high"] == pytest.approx(0.002 + 4.302653 * 0.001 / 3**0.5, rel=1e-6)


def test_a_new_figure_is_in_the_tables_of_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, LATENCY))
    rows = [
        table.row(RunConfig(seed=seed), summary(RESULT) | {"latency": value})
        for seed, value in enumerate((0.001, 0.002, 0.003))
    ]
    render_sweep.print_sweep({"cells": rows, "noise": 0.01, "out": None, "seconds": 1.0})
    printed = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert "Test accuracy" in printed
    assert "94.0 ± 0.2 %" in printed
    assert printed.count("dense network") == 1  # which has no latency
    assert "0.002 ± 0.00248 s" in printed
    settings = RunConfig().to_dict()
    run = {"id": "a" * 32, "name": "", "state": "done", "settings": settings, "created": 0.0}
    old = {**run, "summary": SUMMARY_OF_0_3_0}
    waiting = {**run, "state": "failed", "summary": None}
    render_runs.print_runs({"runs": [{**run, "summary": summary(RESULT)}, old, waiting]})
    heading, new, *_ = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert heading.split()[-5:] == ["sparsity", "dense", "pruned", "latency", "age"]
    assert "96.0 %" in new
    assert "0.0015 s" in new


def test_a_new_figure_of_a_run_is_shown_with_its_result(monkeypatch: pytest.MonkeyPatch, capsys):
    paired = Metric(
        "steps_per_second", "Pace", "count", source="steps", pair=Pair("Steps a second")
    )
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, LATENCY, paired))
    onnx = {**fakes.RESULT["onnx"], "milliseconds": 1500}
    result = fakes.RESULT | {"steps": 1234, "onnx": onnx}
    render.print_result(result)
    lines = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    shown = dict(re.split(" {2,}", line.strip(), maxsplit=1) for line in lines if "  " in line)
    assert shown["Steps a second"] == "1,234"
    assert shown["Latency"] == "2 s"
    assert shown["Accuracy, pruned"] == "80.0 %"
    assert shown["Accuracy, dense"] == "90.0 %"
    assert shown["Change by pruning"] == "\N{MINUS SIGN}10.0 points"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        # 2 · (1 + 9 + 36) / 2^9 and 2 · (1 + 24 + 276 + 2024 + 10626) / 2^24, by hand.
        ({"right_alone": {"dense": 7, "pruned": 2}}, "the change (McNemar's test, p = 0.18"),
        ({"right_alone": {"dense": 20, "pruned": 4}}, "chance (McNemar's test, p = 0.0015)"),
        ({"accuracy": {"dense": 0.9, "pruned": 0.12}}, "not clearly better than guessing (50 %)"),
        ({"config": {**fakes.RESULT["config"], "epochs": 0}}, "Neither network was trained."),
    ],
)  # fmt: skip
def test_a_result_is_shown_with_its_uncertainty(
    changes: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
):
    copies = "16 of 45 test images have the same pixels."
    split = {**fakes.RESULT["data"]["split"], "test": 360}
    data = {
        **fakes.RESULT["data"],
        "split": split,
        "notes": ["Some were skipped.", copies],
        "warnings": [copies],
    }
    render.print_result({**fakes.RESULT, "data": data, **changes})
    shown = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert sentence in shown
    assert f"! {copies}" in shown
    assert "· Some were skipped." in shown


def test_numbers_are_written_by_their_unit():
    found = {unit: quantity(unit, 0.0124, 0.002) for unit in SCALES}
    assert {unit: text.replace("\N{NO-BREAK SPACE}", " ") for unit, text in found.items()} == {
        "share": "1.2 ± 0.2 %",
        "difference": "+1.2 ± 0.2 points",
        "count": "0 ± 0",
        "bytes": "0.0 ± 0.0 kB",
        "seconds": "0.0124 ± 0.002 s",
        "ms": "0.0124 ± 0.002 ms",
        "nats": "0.012 ± 0.002",
    }


def test_a_table_written_before_a_figure_was_known_is_still_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path
):
    before = table.frame([table.row(RunConfig(), SUMMARY_OF_0_3_0)])
    table.write(before, tmp_path / "cells.csv")
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, LATENCY))
    after = table.read(tmp_path / "cells.csv")
    assert after["latency"].isna().all()
    pd.testing.assert_frame_equal(after.drop(columns="latency"), before)


def test_the_latency_of_every_file_is_a_figure():
    files = {
        "dense": {"bytes": 9000, "zipped": 3000, "latency_ms": 1.5},
        "compact": {"bytes": 4000, "zipped": 2900},
    }
    onnx = RESULT["onnx"] | files["dense"]
    found = metrics.figures(summary(RESULT | {"onnx": onnx, "exports": files}))
    assert (found["latency_ms"], found["latency_ms_compact"]) == (1.5, None)
    assert found["file_bytes_compact"] == 4000
    files["compact"]["latency_ms"] = 1.25
    found = metrics.figures(summary(RESULT | {"onnx": onnx, "exports": files}))
    assert found["latency_ms_compact"] == 1.25
    assert found == metrics.result_figures(RESULT | {"onnx": onnx, "exports": files})


def test_every_file_has_axes_of_its_own():
    titles = {name: axis.title for name, (_, axis) in metrics.axes().items()}
    assert titles["size"] == "ONNX file, zipped (smaller to the right)"
    assert titles["size-compact"] == "ONNX file, zipped, compact (smaller to the right)"
    assert {"bytes", "bytes-compact", "latency", "latency-compact", "operations"} <= {*titles}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.834, "1.83 ms"),
        (0.04521, "0.045 ms"),
        (0.0004, "0.000400 ms"),
        (1234.5, "1,234 ms"),
        (25, "25.0 ms"),
        (0, "0 ms"),
    ],
)
def test_milliseconds_have_three_digits_to_the_microsecond(value: float, words: str):
    assert figure("ms", value).replace("\N{NO-BREAK SPACE}", " ") == words
