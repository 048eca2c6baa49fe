"""Bisection on simulated curves: steady, noisy, contradictory and hopeless ones."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.config import RunConfig
from prospr_engine.models.measures import known
from prospr_engine.pipeline.remainder import narrowed, zipped_size
from prospr_engine.sweeps.bisection import (
    CLOSE,
    ended,
    guess_of,
    next_sparsity,
)
from prospr_engine.sweeps.report import outcome
from prospr_engine.sweeps.search_config import Probe, SearchConfig

ROUNDING = 1e-4
LOSS = SearchConfig(most_lost=0.01)
SIZE = SearchConfig(most_bytes=100_000)


def searched(config, value_of, guess=None):
    """The trail of a search in which a network of some sparsity has the figure ``value_of``
    gives it; None: the run fails."""
    trail = []
    while (sparsity := next_sparsity(config, trail, guess)) is not None:
        value = value_of(sparsity)
        met = value is not None and value <= config.limit
        trail.append(Probe(sparsity, met, value, error="" if value is not None else "Failed."))
        assert len(trail) <= config.most_probes
        assert len({probe.sparsity for probe in trail}) == len(trail), "tried twice"
        assert config.lowest <= sparsity <= config.highest
        assert sparsity in {round(sparsity, 4), config.lowest, config.highest}
    assert ended(config, trail)
    return trail


def step_at(threshold, config):
    """A goal that is met up to (an accuracy) or from (a size) a sparsity on."""

    def value_of(sparsity):
        met = sparsity <= threshold if config.about_accuracy else sparsity >= threshold
        return config.limit if met else config.limit * 1.5 + 1e-3

    return value_of


densities = st.floats(math.log(0.0012), math.log(0.98)).map(math.exp)


@pytest.mark.parametrize("config", [LOSS, SIZE], ids=["accuracy", "size"])
@given(density=densities)
def test_a_steady_curve_is_found_to_a_tenth_of_the_density(config, density):
    threshold = 1 - density
    trail = searched(config, step_at(threshold, config))
    found = outcome(config, trail).found
    if found is None:  # So near to the dense network that between them nothing is told apart.
        assert config.about_accuracy
        assert (1 - threshold) * CLOSE > 1 - 2 * ROUNDING
        return
    assert found <= threshold if config.about_accuracy else found >= threshold
    left, limit = 1 - found, 1 - threshold
    assert max(left, limit) < CLOSE * min(left, limit) + 2 * ROUNDING
    assert ended(config, trail) == "found"


@given(density=densities, miss=st.floats(0.9, 1.1))
def test_a_good_guess_saves_tries(density, miss):
    threshold = 1 - density
    guess = 1 - density * miss
    trail = searched(SIZE, step_at(threshold, SIZE), guess)
    assert len(trail) <= 5
    found = outcome(SIZE, trail).found
    assert threshold <= found
    assert 1 - threshold < CLOSE * (1 - found) + 2 * ROUNDING


@given(density=densities, guess=st.floats(0.0, 1.0))
def test_a_bad_guess_finds_what_fits_all_the_same(density, guess):
    config = SearchConfig(most_bytes=100_000, most_probes=20)
    threshold = 1 - density
    found = outcome(config, searched(config, step_at(threshold, config), guess)).found
    assert threshold <= found
    assert 1 - threshold < CLOSE * (1 - found) + 2 * ROUNDING


@given(
    seed=st.integers(0, 2**20),
    noise=st.floats(0, 0.2),
    about_accuracy=st.booleans(),
    most=st.integers(1, 12),
    lowest=st.sampled_from([0.0, 0.12345, 0.9]),
    highest=st.sampled_from([0.95, 0.999, 0.9999]),
    failing=st.floats(0, 0.7),
    guess=st.none() | st.floats(0, 1),
)
def test_whatever_the_curve_it_ends_and_what_it_finds_was_tried(
    seed, noise, about_accuracy, most, lowest, highest, failing, guess
):
    goal = {"most_lost": 0.1} if about_accuracy else {"most_bytes": 1000}
    config = SearchConfig(**goal, lowest=lowest, highest=highest, most_probes=most)

    def value_of(sparsity):
        luck = random.Random(f"{seed} {sparsity}")
        if luck.random() < failing:
            return None
        wave = sparsity**20 + luck.gauss(0, noise) if about_accuracy else 1 - sparsity
        return wave if about_accuracy else 5000 * (wave + luck.gauss(0, noise))

    trail = searched(config, value_of, guess)
    assert trail == searched(config, value_of, guess), "not the same twice"
    output = outcome(config, trail)
    met = [probe.sparsity for probe in trail if probe.met]
    assert output.found == ((max if about_accuracy else min)(met) if met else None)
    for shorter in range(len(trail)):
        assert not ended(config, trail[:shorter])
        assert outcome(config, trail[:shorter]).text
    assert output.text


def test_it_begins_in_the_middle_of_the_orders_of_magnitude():
    first = next_sparsity(LOSS, [])
    assert 1 - first == pytest.approx(math.sqrt(0.001), rel=0.01)
    assert next_sparsity(SIZE, [], guess=0.61234567) == 0.6123
    assert next_sparsity(SIZE, [], guess=1.0) == 0.999


def test_an_end_that_says_all_ends_the_search():
    easy = searched(LOSS, lambda _: 0.0)
    assert [probe.sparsity for probe in easy][1:] == [0.999]
    assert outcome(LOSS, easy).found == 0.999
    small = searched(SIZE, lambda _: 10)
    assert [probe.sparsity for probe in small][1:] == [0.0]
    assert outcome(SIZE, small).found == 0.0
    big = searched(SIZE, lambda _: 10**6)
    assert [probe.sparsity for probe in big][1:] == [0.999]
    assert ended(SIZE, big) == "never"
    above = SearchConfig(most_lost=0.01, lowest=0.5)
    bad = searched(above, lambda _: 0.3)
    assert [probe.sparsity for probe in bad][1:] == [0.5]
    assert ended(above, bad) == "never"


def test_without_pruning_nothing_is_lost_and_nothing_tried():
    trail = searched(LOSS, lambda _: 0.3)
    assert 0.0 not in {probe.sparsity for probe in trail}
    assert ended(LOSS, trail) == "never"
    assert outcome(LOSS, trail).found is None


def test_when_every_try_fails_it_is_not_the_sparsity():
    trail = searched(LOSS, lambda _: None)
    assert len(trail) == 3
    assert ended(LOSS, trail) == "failed"


def test_one_failure_is_not_met_and_no_more():
    trail = searched(LOSS, lambda s: None if s > 0.96 else 0.0)
    assert 0.95 < outcome(LOSS, trail).found <= 0.96


def test_a_trail_that_contradicts_itself_goes_on_from_the_best_that_met():
    trail = [Probe(0.9, False, 0.02), Probe(0.95, True, 0.0), Probe(0.99, False, 0.3)]
    assert 0.95 < next_sparsity(LOSS, trail) < 0.99
    assert outcome(LOSS, trail).found == 0.95


def test_the_guess_is_the_least_sparsity_whose_file_should_fit():
    size = known("small_cnn", 1, 8, 10)
    full = zipped_size(size, 1.0)
    config = SearchConfig(most_bytes=full // 4)
    guess = guess_of(config, size)
    assert zipped_size(size, 1 - guess) == pytest.approx(full / 4, rel=0.001)
    assert guess_of(SearchConfig(most_bytes=full), size) == 0.0
    assert guess_of(SearchConfig(most_bytes=1), size) == 0.999
    assert guess_of(LOSS, size) is None


# Channels: what every layer keeps sets a limit, beyond which runs fail

OPERATIONS = SearchConfig(RunConfig(kind="channels"), most_operations=1000)
LATENCY = SearchConfig(RunConfig(kind="channels"), most_ms=1.0)


@pytest.mark.parametrize("config", [OPERATIONS, LATENCY], ids=["operations", "latency"])
@given(density=densities, guess=st.none() | st.floats(0.01, 0.999))
def test_a_network_with_few_enough_channels_is_found_within_what_is_possible(
    config, density, guess
):
    threshold = 1 - density
    possible = 1 - density / 1.5  # sparser networks cannot be made

    def value_of(sparsity):
        return None if sparsity > possible else step_at(threshold, config)(sparsity)

    trail = searched(config, value_of, guess)
    found = outcome(config, trail).found
    if found is not None:
        assert threshold <= found <= possible
    else:  # what was tried was impossible, again and again, or there were too few tries
        assert ended(config, trail) in ("failed", "most")


def test_a_goal_beyond_what_is_possible_is_given_up():
    trail = searched(OPERATIONS, lambda s: None if s > 0.7 else 2000 - 1000 * s, 0.9)
    assert ended(OPERATIONS, trail) == "never"
    tried = [probe.sparsity for probe in trail if not probe.error]
    assert 1 - max(tried) < CLOSE * 0.3 + ROUNDING
    assert "no network that was tried met the goal" in outcome(OPERATIONS, trail).text


@pytest.mark.parametrize("budget", ["parameters", "operations", "channels"])
def test_the_guess_for_multiply_adds_is_where_they_should_be_few_enough(budget):
    size = known("small_cnn", 1, 8, 10)
    run = RunConfig(kind="channels", channel_budget=budget)
    full = size.macs + size.other
    guess = guess_of(SearchConfig(run, most_operations=full // 4), size)
    # A quarter of the multiply-adds: half of the channels of every layer.
    assert guess == pytest.approx(0.5 if budget == "channels" else 0.75, abs=0.001)
    assert guess_of(SearchConfig(run, most_operations=full), size) == 0.0
    assert guess_of(SearchConfig(run, most_ms=1.0), size) is None


def test_the_guess_for_a_file_without_channels_is_a_smaller_network():
    size = known("small_cnn", 1, 8, 10)
    run = RunConfig(kind="channels")
    guess = guess_of(SearchConfig(run, most_bytes=zipped_size(size, 1.0) // 2), size)
    assert zipped_size(narrowed(size, 1 - guess), 1.0) == pytest.approx(
        zipped_size(size, 1.0) / 2, rel=0.01
    )
