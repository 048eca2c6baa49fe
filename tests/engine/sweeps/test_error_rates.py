"""How often the statistics claim a difference that is not there: data without any effect, simulated
here, at a nominal 5 %. ``TOLERANCE`` is three standard errors of the simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prospr_engine.sweeps import analysis, tested
from prospr_engine.sweeps.bisection import next_sparsity
from prospr_engine.sweeps.report import outcome
from prospr_engine.sweeps.search_config import Probe, SearchConfig, judge
from prospr_engine.sweeps.statistics import (
    difference_limit,
    noise,
    pair_limits,
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


def cells(accuracy: np.ndarray, **more: Any) -> pd.DataFrame:
    """A finished cell per sparsity, seed and series, from an array of that shape; NaN: none."""
    index = np.indices(accuracy.shape).reshape(3, -1)
    frame = pd.DataFrame({
        "sparsity": index[0] / 100 + 0.5, "seed": index[1], "method": index[2],
        "series": [f"series {i}" for i in index[2]], "order": index[2],
        "control": ["none" if i == 0 else "shuffle" for i in index[2]],
        "accuracy": accuracy.ravel(), "dense_accuracy": 0.99, "test_images": 1_000_000_000,
        "state": "done", "model": "m", "data": "upload", "steps": 1, "options": "", "epochs": 1,
        **more,
    })  # fmt: skip
    return frame[frame["accuracy"].notna()]


@pytest.mark.parametrize("spread", [(1, 1, 1), (1, 1, 10)])
@pytest.mark.parametrize("shared", [0.0, 1.0])
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


@pytest.mark.parametrize(("seeds", "missing"), [(2, False), (2, True), (3, False)])
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
        (found,) = analysis.controlled(cells(accuracy, method=0), 10)
        assert (found.levels, found.seeds) == (5, seeds)
        verdicts.append(found.verdict != "no different")
    assert np.mean(verdicts) <= 0.05 + OF_SWEEPS


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
        wrong += any(best - mean > found.limits[name] for name, mean in found.means.items())
        assert found.seeds == 3
    assert wrong / SWEEPS <= 0.05 + OF_SWEEPS


@pytest.mark.parametrize("compared", [2, 5, 11])
def test_the_test_set_alone_makes_few_leaders(compared: int):
    """From one seed: networks that are right on a share of independent images."""
    right = np.random.default_rng(4).binomial(400, 0.7, (20_000, compared)) / 400
    limit = difference_limit([0.7, 0.7], [400, 400], compared)
    rate = np.mean(np.ptp(right, axis=1) > limit)
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20_000)


def test_few_paired_means_differ_from_zero():
    draws = np.random.default_rng(5).standard_normal((DRAWS, 3))
    rate = np.mean([abs(values.mean()) > (paired_limit(list(values)) or 0) for values in draws])
    assert abs(rate - 0.05) <= TOLERANCE


@pytest.mark.parametrize(("images", "correct", "differ"), [(360, 0.95, 0.05), (2000, 0.8, 0.3)])
def test_few_networks_differ_on_the_same_images(images: int, correct: float, differ: float):
    """Of one run: two networks that differ in some answers and are equally often right. McNemar's
    exact test claims less than 5 %; independent samples would be far too cautious."""
    generator = np.random.default_rng(6)
    wrong = 0
    for _ in range(DRAWS):
        disagree = generator.binomial(images, differ)
        dense = generator.binomial(disagree, 0.5)
        right = generator.binomial(images - disagree, correct)
        figures = {
            "test_images": images,
            "dense_accuracy": (right + dense) / images,
            "accuracy": (right + disagree - dense) / images,
            "dense_right_alone": dense,
            "pruned_right_alone": disagree - dense,
        }
        wrong += not tested.by_pruning(figures).explained
    assert wrong / DRAWS <= 0.05 + TOLERANCE
    assert wrong > 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_few_guesses_are_taken_for_knowledge(share: float):
    """Of 400 test images the commonest class has that share; answers know nothing of the image."""
    generator = np.random.default_rng(7)
    right = generator.binomial(400, share, DRAWS)
    found = [
        tested.against_guessing(tested.Measurement(n / 400, 400, share), 10).guessing for n in right
    ]
    assert np.mean(found) >= 0.95 - TOLERANCE
    always = tested.Measurement(share, 400, share)
    assert tested.against_guessing(always, 10).guessing


def test_a_criterion_that_answers_the_commonest_class_is_near_guessing():
    accuracy = np.full((1, 2, 1), 0.9)
    table = cells(accuracy, commonest_share=0.9, test_images=400)
    assert analysis.guess(table, 2) == 0.9
    assert analysis.guessing(table, 2) == {"series 0": [0.5]}
    assert analysis.guessing(table.drop(columns="commonest_share"), 2) == {}


def test_the_loss_that_a_search_reports_is_not_that_of_the_luckiest():
    """The true loss grows with the sparsity; 200 validation and 1,000 test images measure it. On
    the images that decide, what is found looks better than it is; on the test images it does
    not."""
    generator = np.random.default_rng(8)
    config = SearchConfig(most_lost=0.02)
    chosen, reported = [], []
    for _ in range(1000):
        trail: list[Probe] = []
        while (sparsity := next_sparsity(config, trail)) is not None:
            true = 0.9 - loss(sparsity)
            on = {
                part: {"dense": 0.9, "pruned": generator.binomial(images, true) / images}
                for part, images in (("validation", 200), ("accuracy", 1000))
            }
            trail.append(judge(config, sparsity, [on]))
        found = outcome(config, trail)
        if found.found is not None and found.value is not None and found.tested is not None:
            chosen.append(found.value - loss(found.found))
            reported.append(found.tested - loss(found.found))
    assert len(reported) > 900
    error = 0.011 / math.sqrt(len(reported))  # of a mean of tests on 1,000 images
    assert abs(np.mean(reported)) < 4 * error
    assert np.mean(chosen) < -10 * error


def loss(sparsity: float) -> float:
    """Two points at 95 %."""
    return 0.001 / (1 - sparsity) if sparsity < 0.999 else 0.8
