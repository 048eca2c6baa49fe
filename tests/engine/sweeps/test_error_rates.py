"""How often the statistics claim a difference that is not there: data without any effect, simulated
here, at a nominal 5 %. ``TOLERANCE`` is three standard errors of the simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sweep_frames import cells

from prospr_engine.sweeps import analysis
from prospr_engine.sweeps.controlled import controlled
from prospr_engine.sweeps.statistics import (
    Estimate,
    holm_limits,
    lead_limits,
    noise,
    pair_limits,
    paired,
    paired_limit,
)

DRAWS = 1500
TOLERANCE = 3 * math.sqrt(0.05 * 0.95 / DRAWS)
SWEEPS = 200
"""Draws of whole tables, which take longer."""
OF_SWEEPS = 3 * math.sqrt(0.05 * 0.95 / SWEEPS)


def any_pair(values: np.ndarray) -> bool:
    """Whether any two columns differ by more than their limit."""
    means, limits = values.mean(0), pair_limits(values)
    assert limits is not None
    return bool((np.abs(means[:, None] - means) > limits).any())


@pytest.mark.parametrize("methods", [2, 5, 11])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noisy", [None, 1, 2, 5])
def test_in_few_sweeps_does_any_pair_of_methods_differ(methods: int, seeds: int, noisy: int | None):
    """Seeds do something to all methods; ``noisy`` of them spread ten times as much."""
    generator = np.random.default_rng(methods * 10 + seeds)
    scale = np.ones(methods)
    if noisy is not None:
        scale[:noisy] = 10
    draws = generator.standard_normal((DRAWS, seeds, methods)) * scale
    draws += 5 * generator.standard_normal((DRAWS, seeds, 1))
    rate = np.mean([any_pair(values) for values in draws])
    assert rate <= 0.05 + TOLERANCE


def test_a_real_difference_is_found():
    generator = np.random.default_rng(0)
    draws = generator.standard_normal((300, 5, 5))
    draws[:, :, 4] += 6
    assert np.mean([any_pair(values) for values in draws]) > 0.9


@pytest.mark.parametrize(
    ("spread", "shared"),
    [
        ((1, 1, 1), 1.0),
        ((1, 1, 10), 0.0),
        pytest.param((1, 1, 1), 0.0, marks=pytest.mark.slow),
        pytest.param((1, 1, 10), 1.0, marks=pytest.mark.slow),
    ],
)
def test_the_one_figure_of_a_sweep_holds_for_all_sparsities(
    spread: tuple[float, ...], shared: float
):
    """Three sparsities, alike or unlike, of which the seeds are independent or do the same."""
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(SWEEPS):
        draws = generator.standard_normal((3, 3, 4))
        draws = (shared * draws[:1] + (1 - shared) * draws) * np.array(spread)[:, None, None]
        accuracy = 0.5 + draws / 1000
        limit = noise(cells(accuracy), ["method", "sparsity"])
        means = accuracy.mean(1)
        wrong += bool((np.ptp(means, axis=1) > limit).any())
    assert wrong / SWEEPS <= 0.05 + OF_SWEEPS


@pytest.mark.parametrize(
    ("seeds", "missing"), [(2, True), (3, False), pytest.param(2, False, marks=pytest.mark.slow)]
)
def test_few_controls_differ_from_what_equals_them(seeds: int, missing: bool):
    """Five sparsities at which a seed does the same; a seed may lack cells."""
    generator = np.random.default_rng(seeds)
    verdicts = []
    for _ in range(SWEEPS):
        extra = int(missing)
        draws = np.repeat(generator.standard_normal((1, seeds + extra, 2)), 5, axis=0)
        draws += 3 * generator.standard_normal((1, seeds + extra, 1))
        accuracy = 0.5 + draws / 1000
        if missing:
            accuracy[2:, -1, 1] = np.nan
        (found,) = controlled(cells(accuracy, method=0), 10)
        assert (found.levels, found.seeds) == (5, seeds)
        verdicts.append(found.verdict != "no different")
    assert np.mean(verdicts) <= 0.05 + OF_SWEEPS


@pytest.mark.parametrize("effect", [0, 10])
def test_among_many_controls_few_differ_from_what_equals_them(effect: int):
    """Three controls of each of four criteria, judged together; those of the first criterion may
    have an effect, the others must still have none."""
    generator = np.random.default_rng(20 + effect)
    wrong = 0
    for values in generator.standard_normal((DRAWS, 4, 4, 4)):  # criteria, original and controls
        values[0, 1:] -= effect
        estimates = [paired(list(row)) for row in (values[:, 1:] - values[:, :1]).reshape(12, 4)]
        known = [estimate for estimate in estimates if estimate is not None]
        limits = holm_limits(known)
        pairs = list(zip(known, limits, strict=True))[3 if effect else 0 :]
        wrong += any(abs(one.value) > limit for one, limit in pairs)
    assert wrong / DRAWS <= 0.05 + TOLERANCE


def test_the_controls_of_a_page_are_judged_together():
    generator = np.random.default_rng(22)
    accuracy = 0.5 + generator.standard_normal((1, 4, 3)) / 1000
    found = controlled(cells(accuracy, method=0), 10)
    differences = accuracy[0, :, 1:] - accuracy[0, :, :1]
    p = [float(stats.ttest_1samp(differences[:, i], 0).pvalue) for i in range(2)]
    for i, level in ((int(np.argmin(p)), 0.05 / 2), (int(np.argmax(p)), 0.05 / 2)):
        alone = stats.t.isf(level / 2, 3) * stats.sem(differences[:, i])
        assert found[i].limit == pytest.approx(alone, rel=1e-3)
        assert found[i].verdict == "no different"


def test_holms_limits_are_those_of_his_procedure():
    """p values of 0.01, 0.04, 0.03 and 0.005 at 5 %: his own rule rejects the first and the last,
    as 0.03 > 0.05 / 2."""
    quantiles = stats.norm.isf(np.array([0.01, 0.04, 0.03, 0.005]) / 2)
    found = holm_limits([Estimate(float(z), 1.0, math.inf) for z in quantiles])
    assert [bool(z > limit) for z, limit in zip(quantiles, found, strict=True)] == [
        True, False, False, True
    ]  # fmt: skip
    expected = stats.norm.isf(np.array([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4]) / 2)
    assert found == pytest.approx(list(expected))


@pytest.mark.parametrize("images", [25, 100])
@pytest.mark.parametrize("right", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("methods", [1, 2, 3])
def test_few_test_images_on_which_seeds_agree_are_no_proof(
    methods: int, seeds: int, right: float, images: int
):
    """Counts of few images are often equal in both of two seeds, where a t-test sees no noise. One
    method: its control. Three: any pair."""
    generator = np.random.default_rng(images + seeds)
    draws = generator.binomial(images, right, (DRAWS, seeds, max(2, methods))) / images
    wrong = 0
    for values in draws:
        if methods == 1:
            found = paired(list(values[:, 0] - values[:, 1]), 1 / images)
            assert found is not None
            wrong += abs(found.value) > found.limit()
        else:
            limits = pair_limits(values, step=1 / images)
            assert limits is not None
            means = values.mean(0)
            wrong += bool((np.abs(means[:, None] - means) > limits).any())
    assert wrong / DRAWS <= 0.05 + TOLERANCE


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("means", [(0, 0), (0, 0, 0), (0, 0, -99), (0,) * 11, (0, 0, *(-99,) * 9)])
@pytest.mark.parametrize("scale", ["equal", "first", "half", "growing"])
def test_few_lead_all_others_by_luck(means: tuple[int, ...], seeds: int, scale: str):
    """One is said to lead all others although another is as good. Two that are equally good, ahead
    of all others, are the worst case."""
    methods = len(means)
    spreads = {
        "equal": np.ones(methods),
        "first": np.where(np.arange(methods) < 1, 10, 1),
        "half": np.where(np.arange(methods) < methods / 2, 10, 1),
        "growing": 3.0 ** np.arange(methods) / 3.0**methods,
    }[scale]
    generator = np.random.default_rng(seeds * 100 + methods)
    draws = generator.standard_normal((DRAWS, seeds, methods)) * spreads + np.array(means) * 1e6
    draws += 5 * generator.standard_normal((DRAWS, seeds, 1))
    wrong = 0
    for values in draws:
        averages = values.mean(0)
        best = int(averages.argmax())
        ahead = averages[best] - averages > lead_limits(values, best)
        wrong += bool(np.delete(ahead, best).all())
    assert wrong / DRAWS <= 0.05 + TOLERANCE


def test_a_leader_of_many_is_found_from_three_seeds():
    """Of five, ahead by six standard deviations: all pairs at once would show it in a quarter."""
    generator = np.random.default_rng(21)
    draws = generator.standard_normal((300, 3, 5)) + np.array([6, 0, 0, 0, 0])
    found = [
        bool((values.mean(0)[0] - values.mean(0)[1:] > lead_limits(values, 0)[1:]).all())
        for values in draws
    ]
    assert np.mean(found) > 0.7


@pytest.mark.parametrize("methods", [2, 5])
def test_few_leaders_lead_by_luck(methods: int):
    """A leader, and anyone said to be behind by more than noise, with unequal numbers of seeds."""
    generator = np.random.default_rng(3)
    names = [f"series {i}" for i in range(methods)]
    wrong = 0
    for _ in range(SWEEPS):
        draws = generator.standard_normal((1, 4, methods)) + 5 * generator.standard_normal((4, 1))
        accuracy = 0.5 + draws / 1000
        accuracy[0, 3, 0] = np.nan
        found = analysis.level(cells(accuracy, control="none"), 0.5, names)
        best = max(found.means.values())
        behind = any(best - mean > found.limits[name] for name, mean in found.means.items())
        wrong += found.leads or behind
        assert found.seeds == 3
    assert wrong / SWEEPS <= 0.05 + OF_SWEEPS


@pytest.mark.parametrize("compared", [2, 5, 11])
@pytest.mark.parametrize(("images", "right"), [(400, 0.7), (25, 0.5), (25, 0.96), (100, 0.5)])
def test_the_test_set_alone_makes_few_leaders(compared: int, images: int, right: float):
    """From one seed: networks that are right on a share of independent images."""
    generator = np.random.default_rng(4)
    wrong = 0
    for counts in generator.binomial(images, right, (DRAWS, compared)):
        wrong += np.ptp(counts / images) > analysis.image_noise(counts / images, [images], compared)
    assert wrong / DRAWS <= 0.05 + TOLERANCE


def test_few_paired_means_differ_from_zero():
    draws = np.random.default_rng(5).standard_normal((DRAWS, 3))
    rate = np.mean([abs(values.mean()) > (paired_limit(list(values)) or 0) for values in draws])
    assert abs(rate - 0.05) <= TOLERANCE
