"""Intervals and limits against SciPy's tests and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prospr_engine.sweeps.statistics import (
    Interval,
    exact_mcnemar,
    interval,
    noise,
    pair_limits,
    paired_limit,
    summarise,
)


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
        # What a cell that is not done may still hold does not count.
        accuracy=[0.8, 0.7, 0.9, 0.7, 0.1, 0.2],
        kept_weights=pd.array([10, 10, 20, 10, None, None], dtype="Int64"),
        state=["done", "done", "done", "done", "failed", "waiting"],
    )
    output = summarise(frame, ["method", "steps"])
    assert list(output["method"]) == ["b", "a", "c"]
    assert output["steps"].isna().tolist() == [True, False, True]
    assert output["count"].tolist() == [2, 2, 0]
    assert output["failed"].tolist() == [1, 0, 0]
    expected = interval([0.8, 0.9])
    assert output.loc[0, ["accuracy_mean", "accuracy_low", "accuracy_high"]].tolist() == (
        pytest.approx([expected.mean, expected.low, expected.high])
    )
    assert output.loc[1, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx([0.7, 0.7])
    assert math.isnan(output.loc[2, "accuracy_mean"])
    assert output["kept_weights_mean"].tolist()[:2] == [15, 10]


def test_one_seed_has_a_mean_and_no_interval():
    output = summarise(table(accuracy=[0.8]), ["method"])
    assert output.loc[0, "accuracy_mean"] == 0.8
    assert output[["accuracy_low", "accuracy_high"]].isna().to_numpy().all()
    assert noise(table(accuracy=[0.8], seed=[0]), ["method"]) is None
    two = table(accuracy=[0.8, 0.9], method=["a", "b"], seed=[0, 0])
    assert noise(two, ["method"]) is None


def test_noise_of_three_methods_worked_by_hand():
    """Both parts of the limit, with the quantiles of published tables: q(0.05; 3, 4) = 5.040
    (studentised range) and t(2) at 0.05 / 3 per side = 5.339 (Bonferroni)."""
    accuracy = np.array([[0.90, 0.80, 0.70], [0.91, 0.82, 0.69], [0.92, 0.81, 0.71]])
    blocks = accuracy - accuracy.mean(0) - (accuracy.mean(1) - accuracy.mean())[:, None]
    tukey = 5.040 * math.sqrt((blocks**2).sum() / 4 / 3)
    found = pair_limits(accuracy)
    assert found is not None
    assert found == pytest.approx(found.T)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        alone = 5.339 * stats.sem(accuracy[:, i] - accuracy[:, j])
        assert found[i, j] == pytest.approx(max(tukey, alone), rel=1e-3)
    frame = table(
        method=["a", "b", "c"] * 3, seed=[0] * 3 + [1] * 3 + [2] * 3, accuracy=list(accuracy.flat)
    )
    assert noise(frame, ["method"]) == pytest.approx(found.max())


def test_two_groups_are_apart_by_noise_where_the_paired_t_test_says_so():
    """Two methods, on a spread of seeds that would hide the difference."""
    easy = np.array([0.0, 0.05, -0.04, 0.02])
    first = 0.9 + easy + [0.001, -0.001, 0.002, 0.0]
    second = 0.9 + easy
    frame = table(method=["a"] * 4 + ["b"] * 4, seed=[0, 1, 2, 3] * 2, accuracy=[*first, *second])
    limit = noise(frame, ["method"])
    assert limit is not None
    assert limit < 0.005 < (noise(frame[frame["method"] == "a"], ["method"]) or 0)
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


def test_only_seeds_that_all_groups_have_count():
    generator = np.random.default_rng(0)
    rows = [(m, s) for m in "abc" for s in range(5)]
    accuracy = generator.random((3, 5))
    frame = table(
        method=[m for m, _ in rows], seed=[s for _, s in rows], accuracy=list(accuracy.flat)
    )
    without = frame.drop(index=[1, 8])  # seed 1 of a, seed 3 of b
    expected = pair_limits(accuracy[:, [0, 2, 4]].T)
    assert expected is not None
    assert noise(without, ["method"]) == pytest.approx(expected.max())
    assert noise(frame.drop(index=[1, 2, 8, 14]), ["method"]) is None  # one seed is left


def test_one_method_alone_has_the_spread_of_its_seeds():
    frame = table(seed=[0, 1, 2], accuracy=[0.90, 0.91, 0.92])
    assert noise(frame, ["method"]) == pytest.approx(4.302653 * 0.01 * math.sqrt(2 / 3), rel=1e-6)


def test_equal_values_have_no_noise_and_failed_ones_do_not_count():
    assert noise(table(seed=[0, 1], accuracy=[0.5, 0.5]), ["method"]) == 0
    failed = table(seed=[0, 1], sparsity=[0.9, 0.9], accuracy=[0.5, 0.9], state=["done", "failed"])
    assert noise(failed, ["method"]) is None
    assert noise(table(accuracy=[], seed=[]), ["method"]) is None


@pytest.mark.parametrize("wins", [(0, 0), (1, 0), (5, 15), (3, 3), (0, 20)])
def test_mcnemar_counts_coin_tosses(wins: tuple[int, int]):
    first, total = wins[0], sum(wins)
    extreme = min(wins)
    tail = sum(math.comb(total, k) for k in range(extreme + 1)) / 2**total
    assert exact_mcnemar(first, wins[1]) == pytest.approx(min(1.0, 2 * tail))


def test_the_limit_of_paired_differences_is_that_of_the_t_test():
    values = [0.01, 0.02, 0.04, 0.01]
    limit = paired_limit(values)
    assert limit is not None
    for shift, apart in ((limit * 1.001, True), (limit * 0.999, False)):
        moved = np.array(values) - np.mean(values) + shift
        assert (stats.ttest_1samp(moved, 0).pvalue < 0.05) == apart
    assert paired_limit([0.01]) is None


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_the_confidence_level_can_be_chosen(level: float):
    frame = table(seed=[0, 1, 2], accuracy=[0.90, 0.91, 0.92])
    expected = interval([0.90, 0.91, 0.92], level)
    assert summarise(frame, ["method"], level).loc[0, "accuracy_low"] == pytest.approx(expected.low)
    assert (noise(frame, ["method"], level) or 0) > (noise(frame, ["method"], 0.5) or 1)
