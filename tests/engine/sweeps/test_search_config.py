"""The settings of a search, and what the runs at one sparsity say to its goal."""

from __future__ import annotations

import json
import math

import pytest

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError
from prospr_engine.sweeps.search_config import Probe, SearchConfig, judge

CHANNELS = RunConfig(kind="channels")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "has one goal"),
        ({"most_lost": 0.01, "most_bytes": 1000}, "has one goal"),
        ({"most_operations": 1000, "most_ms": 1.0}, "has one goal"),
        ({"most_operations": 1000}, "no multiply-adds and no time.*kind='channels'"),
        ({"most_ms": 1.0}, "no multiply-adds and no time.*kind='channels'"),
        ({"most_operations": 0, "run": CHANNELS}, "at least 1"),
        ({"most_ms": 0.0, "run": CHANNELS}, "at least 0.001"),
        ({"most_ms": math.inf, "run": CHANNELS}, "finite"),
        ({"most_lost": -0.01}, "at least 0"),
        ({"most_lost": 1.5}, "at most 1"),
        ({"most_lost": math.nan}, "finite"),
        ({"most_bytes": 0}, "at least 1"),
        ({"most_bytes": 0.5}, "whole number"),
        ({"most_bytes": "100kB"}, "whole number"),
        ({"most_lost": 0.01, "seeds": ()}, "seeds is empty"),
        ({"most_lost": 0.01, "seeds": (1, 2, 1)}, "1 more than once"),
        ({"most_lost": 0.01, "seeds": (-1,)}, "at least 0"),
        ({"most_lost": 0.01, "lowest": 0.9, "highest": 0.9}, "lowest below the highest"),
        ({"most_lost": 0.01, "highest": 1.0}, "at most 0.9999"),
        ({"most_lost": 0.01, "most_probes": 0}, "at least 1"),
        ({"most_lost": 0.01, "run": {"model": "mlp"}}, "not a RunConfig"),
    ],
)
def test_invalid_settings_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SearchConfig(**settings)


def test_settings_survive_being_written_and_read(tmp_path):
    config = SearchConfig(
        RunConfig(model="mlp", epochs=2), most_bytes=100_000, seeds=[0, 3], lowest=0.5
    )
    path = tmp_path / "search.json"
    path.write_text(json.dumps(config.to_dict()), "utf-8")
    assert SearchConfig.read(path) == config
    assert SearchConfig.read(path).fingerprint == config.fingerprint
    with pytest.raises(ConfigError, match="did you mean 'most_bytes'"):
        SearchConfig.from_dict({"most_byte": 3})
    with pytest.raises(ConfigError, match="cannot be read"):
        SearchConfig.read(tmp_path / "none.json")
    path.write_text("[", "utf-8")
    with pytest.raises(ConfigError, match="not JSON"):
        SearchConfig.read(path)
    path.write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match="must be an object"):
        SearchConfig.read(path)


def test_the_fingerprint_knows_every_setting_but_the_runs_own_sparsity_and_seed():
    def search(run=RunConfig(), **settings):  # noqa: B008  (frozen)
        return SearchConfig(run, **{"most_lost": 0.01, **settings}).fingerprint

    assert search() == search(RunConfig(sparsity=0.5, seed=7))
    different = [
        search(),
        search(RunConfig(epochs=9)),
        search(RunConfig(method="random")),
        search(most_lost=0.02),
        search(most_lost=None, most_bytes=10),
        search(CHANNELS, most_lost=None, most_operations=10),
        search(CHANNELS, most_lost=None, most_ms=10),
        search(seeds=(1,)),
        search(lowest=0.1),
        search(highest=0.9),
        search(most_probes=7),
    ]
    assert len(set(different)) == len(different)


def test_a_try_is_one_run_for_every_seed():
    config = SearchConfig(RunConfig(model="mlp"), most_lost=0.01, seeds=(4, 2))
    cells = config.cells(0.87)
    assert [(cell.sparsity, cell.seed, cell.model) for cell in cells] == [
        (0.87, 4, "mlp"),
        (0.87, 2, "mlp"),
    ]


def summary(dense, pruned, zipped=1000):
    return {"accuracy": {"dense": dense, "pruned": pruned}, "zipped": zipped}


def test_accuracy_is_the_mean_over_the_seeds():
    config = SearchConfig(most_lost=0.01, seeds=(0, 1))
    probe = judge(config, 0.9, [summary(0.95, 0.93), summary(0.95, 0.95)], ["a", "b"])
    assert probe.value == pytest.approx(0.01)
    assert probe.met
    assert probe.runs == ("a", "b")
    assert not judge(config, 0.9, [summary(0.95, 0.92), summary(0.95, 0.95)]).met


def test_validation_images_decide_and_test_images_report():
    config = SearchConfig(most_lost=0.01, seeds=(0, 1))
    found = [
        summary(0.95, 0.75) | {"validation": {"dense": 0.9, "pruned": value}}
        for value in (0.90, 0.88)
    ]
    probe = judge(config, 0.9, found)
    assert probe.met
    assert (probe.value, probe.tested) == (pytest.approx(0.01), pytest.approx(0.2))
    # A run of an earlier version: the test images decide, for all seeds.
    probe = judge(config, 0.9, [found[0], summary(0.95, 0.75)])
    assert (probe.value, probe.tested) == (pytest.approx(0.2), None)
    size = judge(SearchConfig(most_bytes=2000), 0.9, found[:1])
    assert (size.value, size.tested) == (1000, None)


def test_a_network_that_only_guesses_is_recognised():
    """The commonest class is nine tenths of the test images."""
    guessing = summary(0.9, 0.9) | {
        "test_images": 100, "classes": 2, "commonest_share": 0.9, "rarest_images": 10,
        "balanced": {"dense": 0.5, "pruned": 0.5}, "right_alone": {"dense": 0, "pruned": 0},
        "validation": {"dense": 0.9, "pruned": 0.9},
    }  # fmt: skip
    config = SearchConfig(most_lost=0.01)
    probe = judge(config, 0.9, [guessing])
    assert probe.met
    assert probe.guessing
    assert probe.tested_noise == pytest.approx(0.01)  # no answer differs; an image of 100
    knows = guessing | {"balanced": {"dense": 0.9, "pruned": 0.9}}
    assert not judge(config, 0.9, [knows]).guessing
    unknown = judge(config, 0.9, [summary(0.9, 0.9)])
    assert (unknown.tested_noise, unknown.guessing) == (None, False)


def test_exactly_the_limit_is_met_whatever_the_rounding():
    assert 0.95 - 0.94 > 0.01
    assert judge(SearchConfig(most_lost=0.01), 0.9, [summary(0.95, 0.94)]).met
    assert judge(SearchConfig(most_bytes=1000), 0.9, [summary(1, 1, 1000)]).met
    assert not judge(SearchConfig(most_bytes=999), 0.9, [summary(1, 1, 1000)]).met


def test_every_file_has_to_fit():
    config = SearchConfig(most_bytes=1000, seeds=(0, 1))
    probe = judge(config, 0.9, [summary(1, 1, 900), summary(1, 1, 1050)])
    assert not probe.met
    assert probe.value == 1050


def test_what_failed_is_not_met():
    config = SearchConfig(most_lost=1.0, seeds=(0, 1))
    failed = judge(config, 0.9, [summary(1, 1), None], error="It burned down.")
    assert failed == Probe(0.9, False, None, (), "It burned down.")
    assert judge(config, 0.9, []).error
    assert judge(config, 0.9, [summary(1, 1), summary(0.9, math.nan)]).error
    sizes = SearchConfig(most_bytes=10**9)
    assert not judge(sizes, 0.9, [summary(1, 1, None)]).met
    assert not judge(sizes, 0.9, [{"accuracy": {}}]).met


def test_the_slowest_and_the_largest_network_decide():
    found = [
        {"accuracy": {}, "operations": {"pruned": 900}, "latency_ms": 1.25},
        {"accuracy": {}, "operations": {"pruned": 1100}, "latency_ms": 0.75},
    ]
    probe = judge(SearchConfig(CHANNELS, most_operations=1000, seeds=(0, 1)), 0.5, found)
    assert (probe.value, probe.met, probe.tested) == (1100, False, None)
    probe = judge(SearchConfig(CHANNELS, most_ms=1.25, seeds=(0, 1)), 0.5, found)
    assert (probe.value, probe.met) == (1.25, True)
    # Nobody measured it.
    unknown = judge(SearchConfig(CHANNELS, most_ms=1.0), 0.5, [{"accuracy": {}}])
    assert unknown.error == "The result does not have this figure."


def test_earlier_searches_keep_their_fingerprints():
    """As computed by version 0.5.0."""
    assert SearchConfig(most_lost=0.01).fingerprint == "b930285448dedbdc"
    assert SearchConfig(most_lost=0.01).legacy_fingerprint == "71746a27d706b158"
    before = SearchConfig(most_bytes=1000).to_dict()
    del before["most_operations"], before["most_ms"]
    assert SearchConfig.from_dict(before) == SearchConfig(most_bytes=1000)
