"""How often the statements on single runs and searches claim what is not there, simulated at a
nominal 5 %; ``TOLERANCE`` is three standard errors of the simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sweep_frames import cells

from prospr_engine.sweeps import analysis, tested
from prospr_engine.sweeps.bisection import next_sparsity
from prospr_engine.sweeps.report import outcome
from prospr_engine.sweeps.search_config import Probe, SearchConfig, judge
from prospr_engine.sweeps.statistics import guessing_limit

DRAWS = 1500
TOLERANCE = 3 * math.sqrt(0.05 * 0.95 / DRAWS)


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


@pytest.mark.parametrize("classes", [2, 10, 200, 1000])
@pytest.mark.parametrize("images", [25, 200, 1000])
@pytest.mark.parametrize("compared", [1, 11])
def test_few_of_many_guesses_on_few_images_are_taken_for_knowledge(
    classes: int, images: int, compared: int
):
    """With 200 classes, one right answer in 25 is chance. Exactly, by the binomial distribution."""
    limit = guessing_limit(1 / classes, images, compared)
    counts = np.arange(images + 1)
    chance = stats.binom.pmf(counts, images, 1 / classes)
    beyond = chance[counts / images > limit].sum()
    assert 1 - (1 - beyond) ** compared <= 0.05
    # It is the smallest such limit: one image less would be too kind.
    assert chance[counts / images > limit - 1.5 / images].sum() > 0.025 / compared


@pytest.mark.parametrize(
    "counts", [(90, 10), (23, 2), (60, 30, 10), (50, *(5,) * 10), (197, 1, 1, 1)]
)
@pytest.mark.parametrize("answers", ["all", "commonest", "as often", "rarest half"])
def test_few_guesses_are_taken_for_knowledge_of_the_rare_classes(
    counts: tuple[int, ...], answers: str
):
    """Answers that know nothing of the image, whatever their shares; accuracy or balanced accuracy
    could each show that there is more."""
    generator = np.random.default_rng(9)
    classes, images = len(counts), sum(counts)
    shares = {
        "all": np.full(classes, 1 / classes),
        "commonest": np.eye(classes)[0],
        "as often": np.array(counts) / images,
        "rarest half": np.r_[0.5, np.zeros(classes - 2), 0.5],
    }[answers]
    wrong = 0
    for _ in range(DRAWS):
        right = generator.binomial(counts, shares)
        found = tested.Measurement(
            right.sum() / images,
            images,
            max(counts) / images,
            float((right / counts).mean()),
            min(counts),
        )
        wrong += not tested.against_guessing(found, classes).guessing
    assert wrong / DRAWS <= 0.05 + TOLERANCE


def test_a_network_that_knows_the_rare_class_does_not_guess():
    """Of 90 and 10 images: 83 of each 90 and 9 of 10, no more often right than the commonest
    class."""
    found = tested.Measurement(0.91, 100, 0.9, (82 / 90 + 9 / 10) / 2, 10)
    assert not tested.against_guessing(found, 2).guessing
    assert tested.against_guessing(tested.Measurement(0.91, 100, 0.9, 0.5, 10), 2).guessing
    table = cells(
        np.full((1, 2, 1), 0.91), commonest_share=0.9, test_images=100, balanced_accuracy=0.9,
        rarest_images=10, dense_accuracy=0.92,
    )  # fmt: skip
    assert analysis.guessing(table, 2) == {}
    assert analysis.guessing(table.assign(balanced_accuracy=0.6), 2) == {"series 0": [0.5]}


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


@pytest.mark.parametrize("images", [25, 400])
@pytest.mark.parametrize("controls", [1, 3])
def test_few_controls_of_one_run_differ_from_it(images: int, controls: int):
    """On the same number of images, drawn anew for each, which no real test set is worse than."""
    generator = np.random.default_rng(10)
    wrong = 0
    for counts in generator.binomial(images, 0.7, (DRAWS, controls + 1)):
        original, *others = (tested.Measurement(count / images, images) for count in counts)
        wrong += not all(one.explained for one in tested.differences(original, others))
    assert wrong / DRAWS <= 0.05 + TOLERANCE


@pytest.mark.parametrize(("images", "lost", "gained"), [(50, 0.1, 0.06), (400, 0.05, 0.01)])
@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_the_interval_of_what_a_search_lost_has_the_truth(
    images: int, lost: float, gained: float, seeds: int
):
    """Of each image the pruned network loses or gains the right answer with these chances."""
    generator = np.random.default_rng(11)
    missed = 0
    for _ in range(DRAWS):
        counts = generator.multinomial(images, [lost, gained, 1 - lost - gained], seeds)
        runs = [
            {
                "test_images": images,
                "dense_accuracy": 0.9,
                "accuracy": 0.9 - (down - up) / images,
                "dense_right_alone": int(down),
                "pruned_right_alone": int(up),
            }
            for down, up, _ in counts
        ]
        half = tested.loss_noise(runs)
        assert half is not None
        mean = float(np.mean([0.9 - run["accuracy"] for run in runs]))
        missed += abs(mean - (lost - gained)) > half
    assert missed / DRAWS <= 0.05 + TOLERANCE
