"""Intervals against SciPy's own, the least significant difference against a worked example."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prospr_engine.sweeps.statistics import Interval, interval, noise, summarise


def table(**columns: list) -> pd.DataFrame:
    count = len(columns["accuracy"])
    return pd.DataFrame({"method": ["a"] * count, "state": ["done"] * count} | columns)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_that_of_student(values: list[float], level: float):
    found = interval(values, level)
    error = stats.sem(values)
    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    if error > 1e-9:
        low, high = stats.t.interval(level, len(values) - 1, np.mean(values), error)
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_worked_by_hand():
    # t of two degrees of freedom is 4.302653, the standard error 0.01 / sqrt(3).
    found = interval([0.90, 0.91, 0.92])
    assert found.mean == pytest.approx(0.91)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-6)


def test_intervals_of_hardly_anything():
    assert interval([]) == Interval(None, None, None, 0)
    assert interval([0.5]) == Interval(0.5, None, None, 1)
    assert interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)
    assert interval([0.5, None, math.nan]) == Interval(0.5, None, None, 1)
    assert interval([None]) == Interval(None, None, None, 0)


def test_a_summary_has_a_row_per_group_in_their_order():
    frame = table(
        method=["b", "a", "b", "a", "b", "c"],
        steps=pd.array([None, 3, None, 3, None, None], dtype="Int64"),
        accuracy=[0.8, 0.7, 0.9, 0.7, math.nan, math.nan],
        kept_weights=pd.array([10, 10, 20, 10, None, None], dtype="Int64"),
        state=["done", "done", "done", "done", "failed", "waiting"],
    )
    told = summarise(frame, ["method", "steps"])
    assert list(told["method"]) == ["b", "a", "c"]
    assert told["steps"].isna().tolist() == [True, False, True]
    assert told["count"].tolist() == [2, 2, 0]
    assert told["failed"].tolist() == [1, 0, 0]
    expected = interval([0.8, 0.9])
    assert told.loc[0, ["accuracy_mean", "accuracy_low", "accuracy_high"]].tolist() == (
        pytest.approx([expected.mean, expected.low, expected.high])
    )
    assert told.loc[1, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx([0.7, 0.7])
    assert math.isnan(told.loc[2, "accuracy_mean"])
    assert told["kept_weights_mean"].tolist()[:2] == [15, 10]


def test_one_seed_has_a_mean_and_no_interval():
    told = summarise(table(accuracy=[0.8]), ["method"])
    assert told.loc[0, "accuracy_mean"] == 0.8
    assert told[["accuracy_low", "accuracy_high"]].isna().to_numpy().all()
    assert noise(table(accuracy=[0.8]), ["method"]) is None
    assert noise(table(accuracy=[0.8, 0.9], method=["a", "b"]), ["method"]) is None


def test_noise_is_the_least_significant_difference():
    # Pooled over two groups of three: s² = (2·0.01² + 2·0.02²) / 4; t of four degrees is 2.776445.
    frame = table(
        method=["a"] * 3 + ["b"] * 3 + ["alone"],
        accuracy=[0.90, 0.91, 0.92, 0.80, 0.82, 0.84, 0.1],
    )
    pooled = math.sqrt((2 * 0.01**2 + 2 * 0.02**2) / 4)
    assert noise(frame, ["method"]) == pytest.approx(2.776445 * pooled * math.sqrt(2 / 3), rel=1e-6)


def test_two_groups_are_apart_by_noise_where_the_t_test_says_so():
    first, second = np.array([0.90, 0.91, 0.93]), np.array([0.85, 0.86, 0.85])
    frame = table(method=["a"] * 3 + ["b"] * 3, accuracy=[*first, *second])
    limit = noise(frame, ["method"])
    assert limit is not None
    for distance, apart in ((limit * 1.001, True), (limit * 0.999, False)):
        moved = second - second.mean() + first.mean() - distance
        assert (stats.ttest_ind(first, moved).pvalue < 0.05) == apart


def test_what_a_seed_does_to_all_methods_alike_is_no_noise():
    """Two methods: the paired t-test, on a spread of seeds that would hide the difference."""
    easy = np.array([0.0, 0.05, -0.04, 0.02])
    first = 0.9 + easy + [0.001, -0.001, 0.002, 0.0]
    second = 0.9 + easy
    frame = table(method=["a"] * 4 + ["b"] * 4, seed=[0, 1, 2, 3] * 2, accuracy=[*first, *second])
    limit = noise(frame, ["method"])
    assert limit is not None
    assert limit < 0.005 < (noise(frame.drop(columns="seed"), ["method"]) or 0)
    for distance, apart in ((limit * 1.001, True), (limit * 0.999, False)):
        moved = second - second.mean() + first.mean() - distance
        assert (stats.ttest_rel(first, moved).pvalue < 0.05) == apart


def test_a_seed_may_do_something_else_at_every_sparsity():
    frame = table(
        method=["a", "a", "b", "b"] * 2,
        seed=[0, 1] * 4,
        sparsity=[0.5] * 4 + [0.9] * 4,
        accuracy=[0.9, 0.8, 0.7, 0.6, 0.5, 0.6, 0.3, 0.4],
    )
    assert noise(frame, ["method", "sparsity"]) == 0


def test_blocks_with_missing_cells_agree_with_plain_regression():
    generator = np.random.default_rng(0)
    rows = [(m, s) for m in "abc" for s in range(4)]
    kept = [row for i, row in enumerate(rows) if i not in (1, 7)]
    accuracy = generator.random(len(kept))
    methods, seeds = zip(*kept, strict=True)
    frame = table(method=list(methods), seed=list(seeds), accuracy=list(accuracy))
    columns = [[m == x for m, _ in kept] for x in "abc"] + [
        [s == x for _, s in kept] for x in (1, 2, 3)
    ]
    design = np.array(columns, dtype=float).T
    left = accuracy - design @ np.linalg.pinv(design) @ accuracy
    freedom = len(kept) - 6
    alike = 3 / sum(1 / methods.count(m) for m in "abc")
    expected = stats.t.ppf(0.975, freedom) * math.sqrt(left @ left / freedom * 2 / alike)
    assert noise(frame, ["method"]) == pytest.approx(expected)


def test_one_method_alone_has_the_spread_of_its_seeds():
    frame = table(seed=[0, 1, 2], accuracy=[0.90, 0.91, 0.92])
    assert noise(frame, ["method"]) == pytest.approx(4.302653 * 0.01 * math.sqrt(2 / 3), rel=1e-6)


def test_equal_values_have_no_noise_and_failed_ones_do_not_count():
    assert noise(table(accuracy=[0.5, 0.5]), ["method"]) == 0
    failed = table(accuracy=[0.5, math.nan], state=["done", "failed"])
    assert noise(failed, ["method"]) is None
    assert noise(table(accuracy=[]), ["method"]) is None


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_the_level_is_asked_for(level: float):
    frame = table(accuracy=[0.90, 0.91, 0.92])
    expected = interval([0.90, 0.91, 0.92], level)
    assert summarise(frame, ["method"], level).loc[0, "accuracy_low"] == pytest.approx(expected.low)
    assert (noise(frame, ["method"], level) or 0) > (noise(frame, ["method"], 0.5) or 1)
