"""The words of a search: the answer first, and nothing claimed of networks not tried."""

from __future__ import annotations

import json

import pytest

from prospr_engine.config import RunConfig
from prospr_engine.sweeps.report import figure, goal, outcome, probe_line
from prospr_engine.sweeps.search_config import Probe, SearchConfig

LOSS = SearchConfig(most_lost=0.01, seeds=(0, 1))
SIZE = SearchConfig(most_bytes=100_000)


def said(config, *probes):
    output = outcome(config, [Probe(*probe) for probe in probes])
    json.dumps(output.to_dict())
    return output.text.replace("\N{NO-BREAK SPACE}", " ")


def test_an_accuracy_that_was_found():
    text = said(LOSS, (0.97, True, 0.004), (0.98, False, 0.021), (0.971, True, 0.009))
    assert text.startswith("So far: 97.1 % of the weights removed: 0.9 points lost")
    text = said(LOSS, (0.97, True, 0.004), (0.9725, False, 0.021))
    assert text == (
        "Found: 97 % of the weights removed, 0.4 points lost (at most 1 point of accuracy lost). "
        "These runs have no validation accuracy, so the test images decided: the true loss is "
        "likely larger. With 97.25 % it is 2.1 points lost. This is from the mean of 2 seeds."
    )


def test_the_test_images_report_and_do_not_decide():
    trail = [Probe(0.97, True, 0.004, tested=0.0132), Probe(0.9725, False, 0.021, tested=0.001)]
    found = outcome(LOSS, trail)
    assert (found.found, found.value, found.tested) == (0.97, 0.004, 0.0132)
    assert found.sentences[1] == (
        "That is on the validation images, which decide; on the test images it is 1.3 points lost."
    )


def test_the_loss_on_the_test_images_has_its_uncertainty():
    (probe,) = [Probe(0.97, True, 0.004, tested=0.0132, tested_noise=0.021)]
    assert "1.3 points lost, give or take 2.1 points (95" in outcome(LOSS, [probe]).text
    assert "guess" not in outcome(LOSS, [probe]).text
    probe = Probe(0.999, True, 0.0, tested=0.0, guessing=True)
    assert "not clearly better than guessing" in outcome(LOSS, [probe]).text


def test_a_size_that_was_found():
    text = said(SIZE, (0.8, True, 99_400), (0.79, False, 101_200))
    assert text == (
        "Found: 80 % of the weights removed, the zipped file takes 99 kB (at most 100 kB zipped). "
        "With 79 % it is 101 kB."
    )


def test_the_ends():
    assert "highest sparsity allowed in this search" in said(LOSS, (0.999, True, 0.0))
    assert said(SIZE, (0.0, True, 50_000)).startswith("Found: Nothing removed")
    never = said(SIZE, (0.999, False, 140_000))
    assert never.startswith("Nothing found: no file that was tried met the goal (at most 100 kB")
    assert "The best was 99.9 % of the weights removed: 140 kB." in never


def test_a_single_seed_is_mentioned():
    alone = SearchConfig(most_lost=0.01)
    assert "one seed" in said(alone, (0.999, True, 0.0))


def test_the_most_tries():
    config = SearchConfig(most_lost=0.01, most_probes=2)
    text = said(config, (0.9, True, 0.0), (0.99, False, 0.4))
    assert "ended after 2 tries, the maximum; sparsities between 90 % and 99 % were not" in text


@pytest.mark.parametrize(
    ("config", "probes"),
    [
        (LOSS, [(0.95, False, 0.02), (0.97, True, 0.004)]),
        (SIZE, [(0.97, False, 120_000), (0.95, True, 80_000)]),
    ],
)
def test_tries_that_contradict_each_other(config, probes):
    assert "contradict each other" in said(config, *probes)
    assert "contradict" not in said(config, *[(s, not met, v) for s, met, v in probes])


def test_failures_are_mentioned_but_contradict_nothing():
    text = said(LOSS, (0.95, False, None, (), "It burned."), (0.97, True, 0.004))
    assert "1 of 2 tries failed and counts as not met (95 %: It burned.)" in text
    assert "contradict" not in text
    text = said(LOSS, *[(s, False, None, (), "It burned.") for s in (0.9, 0.8, 0.7)])
    assert text == "Nothing found: all 3 tries failed. The first error: It burned."


@pytest.mark.parametrize(
    ("config", "value", "words"),
    [
        (LOSS, 0.0, "no accuracy lost"),
        (LOSS, -0.0, "no accuracy lost"),
        (LOSS, 0.01, "1.0 point lost"),
        (LOSS, -0.012, "1.2 points gained"),
        (LOSS, 0.0104, "1.04 points lost"),
        (SearchConfig(most_lost=0.0), 0.0004, "0.04 points lost"),
        (SIZE, 100_300, "100.3 kB"),
        (SIZE, 99_700, "100 kB"),
        (SIZE, 2_345_678, "2,346 kB"),
    ],
)
def test_a_figure_stands_on_its_own_side_of_the_limit(config, value, words):
    assert figure(config, value).replace("\N{NO-BREAK SPACE}", " ") == words


def test_goals_and_lines():
    assert goal(LOSS) == "at most 1 point of accuracy lost"
    assert goal(SearchConfig(most_lost=0.005)) == "at most 0.5 points of accuracy lost"
    lines = [
        probe_line(LOSS, Probe(0.9684, False, 0.025)),
        probe_line(SIZE, Probe(0.9, True, 96_000)),
        probe_line(SIZE, Probe(0.9, False, None, (), "It burned.")),
    ]
    assert [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] == [
        "96.84 % of the weights removed: 2.5 points lost, too much",
        "90 % of the weights removed: 96 kB zipped, it fits",
        "90 % of the weights removed: failed. It burned.",
    ]
    assert said(LOSS) == "Looking for at most 1 point of accuracy lost: no try yet."


CHANNELS = RunConfig(kind="channels")
MANY = SearchConfig(CHANNELS, most_operations=20_000_000)
SLOW = SearchConfig(CHANNELS, most_ms=2.0)


def test_a_number_of_multiply_adds_that_was_found():
    assert said(MANY, (0.5, True, 19_960_000), (0.48, False, 20_040_000)) == (
        "Found: 50 % of the weights removed, the network needs 20.0 million multiply-adds "
        "(at most 20 million multiply-adds). With 48 % it is 20.04 million multiply-adds."
    )
    never = said(MANY, (0.97, False, 31_000_000), (0.999, False, 25_000_000))
    assert never.startswith("Nothing found: no network that was tried met the goal (at most 20 ")


def test_a_latency_that_was_found():
    assert said(SLOW, (0.5, True, 1.93), (0.48, False, 2.0004)) == (
        "Found: 50 % of the weights removed, the file takes 1.93 ms per image (at most 2 ms per "
        "image). With 48 % it is 2.0004 ms."
    )
    assert (
        probe_line(SLOW, Probe(0.25, False, 2.5)).replace("\N{NO-BREAK SPACE}", " ")
        == "25 % of the weights removed: 2.50 ms per image, too slow"
    )


@pytest.mark.parametrize(
    ("budget", "what"),
    [("parameters", "weights"), ("operations", "multiply-adds"), ("channels", "channels")],
)
def test_what_was_removed_is_what_the_budget_counts(budget: str, what: str):
    run = RunConfig(kind="channels", channel_budget=budget)
    line = probe_line(SearchConfig(run, most_lost=0.01), Probe(0.5, True, 0.0))
    assert line.startswith(f"50\N{NO-BREAK SPACE}% of the {what} removed: ")
    weights = RunConfig(channel_budget=budget)
    line = probe_line(SearchConfig(weights, most_lost=0.01), Probe(0.5, True, 0.0))
    assert line.startswith("50\N{NO-BREAK SPACE}% of the weights removed: ")
