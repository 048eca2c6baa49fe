"""Means of what results hold, against values computed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prospr_engine.config import RunConfig
from prospr_engine.events import EpochEnded
from prospr_engine.pipeline.pruning_record import LayerRecord
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.sweeps import result_analysis as analysis


def result(seed: int = 0, layers: Any = (), classes: Any = (), **parts: Any) -> RunRecord:
    """A result of which nothing else is read."""
    unread: dict[str, Any] = dict.fromkeys(
        ("fingerprint", "accuracy", "loss", "exports", "environment", "seconds", "out")
    )
    return RunRecord(
        config=RunConfig(seed=seed),
        pruning=SimpleNamespace(layers=layers),
        data=SimpleNamespace(classes=classes),
        **{"history": (), **parts},
        **unread,
    )


def history(dense: list[float], pruned: list[float]) -> dict[str, Any]:
    return {
        "history": tuple(
            EpochEnded(network, epoch, len(values), 0.0, 0.0, 0.0, value, 0.0)
            for network, values in (("dense", dense), ("pruned", pruned))
            for epoch, value in enumerate(values, 1)
        )
    }


def by_class(images: list[int], dense: list[int], pruned: list[int]) -> dict[str, Any]:
    names = [f"class {i}" for i in range(len(images))]
    return {"classes": names, "per_class": {"images": images, "dense": dense, "pruned": pruned}}


def test_a_dense_network_counts_once_per_seed_and_a_pruned_one_per_run():
    lines = {
        "A": [result(0, **history([0.5, 0.7], [0.4, 0.6])), result(1, **history([0.9], [0.8]))],
        "B": [result(0, **history([0.5, 0.7], [0.2, 0.3]))],
    }
    found = analysis.curves(lines)
    assert list(found.itertuples(index=False, name=None)) == [
        ("dense", "", 1, pytest.approx(0.7), 2),  # (0.5 + 0.9) / 2
        ("dense", "", 2, pytest.approx(0.7), 1),
        ("pruned", "A", 1, pytest.approx(0.6), 2),  # (0.4 + 0.8) / 2
        ("pruned", "A", 2, pytest.approx(0.6), 1),
        ("pruned", "B", 1, pytest.approx(0.2), 1),
        ("pruned", "B", 2, pytest.approx(0.3), 1),
    ]


def test_layers_are_means_of_the_runs_and_empty_ones_are_counted():
    def layers(*kept: int) -> RunRecord:
        return result(layers=[LayerRecord(str(i), 200, k, k, 1, 0) for i, k in enumerate(kept)])

    found = analysis.layers({"A": [layers(30, 0), layers(60, 5)], "B": [layers(20, 1)]})
    assert list(found.itertuples(index=False, name=None)) == [
        ("0", 1, "A", 200, 45, pytest.approx(0.225), 2, 0),
        ("0", 1, "B", 200, 20, pytest.approx(0.1), 1, 0),
        ("1", 2, "A", 200, 2.5, pytest.approx(0.0125), 2, 1),
        ("1", 2, "B", 200, 1, pytest.approx(0.005), 1, 0),
    ]


def test_the_class_that_loses_most_comes_first():
    lines = {
        "A": [
            result(0, **by_class([10, 20, 0], [9, 18, 0], [9, 10, 0])),
            result(1, **by_class([10, 10, 0], [8, 10, 0], [9, 6, 0])),
        ],
        "B": [result(0, **by_class([10, 20, 0], [9, 18, 0], [8, 18, 0]))],
        "early": [result(0, classes=["class 0"])],  # no counts by class
    }
    found = analysis.classes(lines)
    assert list(found[["name", "series", "fewest", "most", "runs"]].itertuples(
        index=False, name=None
    )) == [
        ("class 1", "A", 10, 20, 2),
        ("class 1", "B", 20, 20, 1),
        ("class 0", "A", 10, 10, 2),
        ("class 0", "B", 10, 10, 1),
    ]  # fmt: skip
    assert list(found["dense"]) == pytest.approx([0.95, 0.9, 0.85, 0.9])
    assert list(found["pruned"]) == pytest.approx([0.55, 0.9, 0.9, 0.8])
    assert list(found["change"]) == pytest.approx([-0.4, 0, 0.05, -0.1])
    assert list(found["mean"]) == pytest.approx([-0.2, -0.2, -0.025, -0.025])


def test_classes_that_lose_the_same_stay_in_the_order_of_the_data():
    # 0.9 - 0.8 and 0.4 - 0.3 differ in the last digit.
    found = analysis.classes({"A": [result(**by_class([10, 10, 10], [9, 6, 4], [8, 5, 3]))]})
    assert list(found["name"]) == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("table", [analysis.curves, analysis.layers, analysis.classes])
def test_results_without_anything_make_an_empty_table(table):
    assert table({}).empty
    assert table({"A": [result()]}).empty


def test_means_over_seeds():
    found = analysis.by_seed({"prospr": {"0.9": [0.6, 0.9, 0.9]}, "dense": {"0.9": [0.7]}})
    assert list(found.itertuples(index=False, name=None)) == [
        ("prospr", 0.9, pytest.approx(0.8), 0.6, 0.9),
        ("dense", 0.9, pytest.approx(0.7), 0.7, 0.7),
    ]


def test_a_mean_of_values_by_their_keys():
    values, keys = [1.0, 2.0, 6.0, 8.0], [0.1, 0.5, 0.5, 0.9]
    assert analysis.mean_between(values, keys, 0.5, 0.9) == 4.0


def test_ahead_is_by_more_than_the_paired_t_test_allows():
    # With three seeds the quantile of Student's t is 4.3027: of differences that spread by 0.01,
    # the mean has to exceed 0.0248, by 0.005, 0.0124.
    low = [0.90, 0.91, 0.92]
    by = [[one + other for one, other in zip(low, more, strict=True)] for more in MORE]
    assert not analysis.ahead(by[0], low)
    assert analysis.ahead(by[1], low)
    assert not analysis.ahead(low, by[1])
    assert not analysis.ahead(by[1][:1], low[:1])


MORE = [(0.01, 0.02, 0.03), (0.015, 0.02, 0.025)]
