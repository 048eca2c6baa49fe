"""A sweep is its lists multiplied, nothing twice, and what contradicts itself is told."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prospr_engine as pe
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig
from prospr_engine.errors import ConfigError
from prospr_engine.saliency import METHODS
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

AHEAD = [name for name, spec in METHODS.items() if any(o.name == "steps" for o in spec.options)]


def some(values: Any, least: int = 1, most: int = 3) -> Any:
    return st.lists(values, min_size=least, max_size=most, unique=True).map(tuple)


sweeps = st.builds(
    SweepConfig,
    methods=some(st.sampled_from(sorted(METHODS)), most=6).map(lambda m: ("prospr", *m))
    .map(lambda m: tuple(dict.fromkeys(m))),
    sparsities=some(st.floats(0, 0.999)),
    seeds=some(st.integers(0, 2**32 - 1)),
    steps=some(st.integers(0, 20), least=0),
    controls=some(st.sampled_from(["none", "shuffle", "reinit", "random"]), most=4),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(sweeps)
def test_cells_are_the_lists_multiplied(sweep):
    cells = sweep.cells()
    per_method = [
        len(sweep.steps) if name in AHEAD and sweep.steps else 1 for name in sweep.methods
    ]
    kinds = len(sweep.controls) * len(sweep.sparsities) * len(sweep.seeds)
    assert len(cells) == sweep.size == sum(per_method) * kinds
    assert len({cell.fingerprint for cell in cells}) == len(cells)
    assert [cell.seed for cell in cells] == [
        seed for seed in sweep.seeds for _ in range(len(cells) // len(sweep.seeds))
    ]
    first = [cell for cell in cells if cell.seed == sweep.seeds[0]]
    assert list(dict.fromkeys(cell.method for cell in first)) == list(sweep.methods)
    assert [cell.sparsity for cell in first[: len(sweep.sparsities)]] == list(sweep.sparsities)


def test_too_many_runs_are_counted_and_not_made(monkeypatch, tmp_path):
    monkeypatch.setattr(SweepConfig, "cells", lambda self: pytest.fail("the runs were made"))
    grid = {
        "methods": list(METHODS),
        "sparsities": [number / 1000 for number in range(800)],
        "seeds": range(50),
    }
    with pytest.raises(ConfigError, match=f"would be {len(METHODS) * 800 * 50:,} runs"):
        SweepConfig.of(**grid)
    with pytest.raises(ConfigError, match="runs; the limit is 100,000"):
        pe.sweep(out=tmp_path / "sweep", **grid)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("config", [SweepConfig, partial(SearchConfig, most_lost=0.1)])
def test_an_endless_list_is_given_up(config):
    taken = 0

    def numbers():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with pytest.raises(ConfigError, match="seeds has more than 100,000"):
        config(seeds=numbers())
    assert taken == 100_001


@settings(deadline=None, max_examples=60)
@given(sweeps)
def test_a_config_survives_json(sweep):
    again = SweepConfig.from_dict(json.loads(json.dumps(sweep.to_dict())))
    assert again == sweep
    assert again.fingerprint == sweep.fingerprint


def test_a_larger_grid_holds_the_cells_of_a_smaller_one():
    small = SweepConfig(methods=("prospr",), sparsities=(0.9,))
    large = SweepConfig(
        methods=("magnitude", "prospr"), sparsities=(0.5, 0.9), seeds=(1, 0), steps=(1, 3)
    )
    assert {c.fingerprint for c in small.cells()} < {c.fingerprint for c in large.cells()}


def test_what_is_shared_reaches_every_cell_and_options_those_that_have_them():
    run = RunConfig(
        model="resnet20", epochs=7, scoring=ScoringConfig(batch_size=32, options={"lr": "0.5"})
    )
    cells = SweepConfig(run=run, methods=("prospr", "magnitude"), steps=(1, 2)).cells()
    assert [dict(cell.scoring.options) for cell in cells] == [
        {"steps": 1, "lr": 0.5},
        {"steps": 2, "lr": 0.5},
        {},
    ]
    assert {(cell.model, cell.epochs, cell.scoring.batch_size) for cell in cells} == {
        ("resnet20", 7, 32)
    }


def test_options_at_their_defaults_make_no_difference():
    given = SweepConfig.of(scoring={"options": {"steps": 3, "lr": 0.1}})
    assert given.cells() == SweepConfig().cells()
    assert SweepConfig(steps=(3,)).cells() == SweepConfig().cells()


def test_one_entry_and_anything_that_can_be_gone_through_will_do():
    import numpy as np

    assert SweepConfig(methods="snip" if "snip" in METHODS else "random").sparsities == (0.9,)
    config = SweepConfig(sparsities=np.linspace(0, 0.5, 3), seeds=range(2), steps="3")
    assert (config.sparsities, config.seeds, config.steps) == ((0.0, 0.25, 0.5), (0, 1), (3,))
    assert json.dumps(config.to_dict())


def test_keywords_are_those_of_both_configs():
    config = SweepConfig.of(
        model="mlp", epochs=1, loading=LoadingConfig(train_limit=100), methods=["random"]
    )
    assert config.run == RunConfig(model="mlp", epochs=1, loading=LoadingConfig(train_limit=100))
    assert config.methods == ("random",)
    assert SweepConfig.of(run=RunConfig(model="mlp")).run.model == "mlp"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"methods": ()}, "methods is empty; give at least one method"),
        ({"sparsities": []}, "sparsities is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"controls": []}, "controls is empty"),
        ({"seeds": (0, 1, 0)}, "seeds contains 0 more than once"),
        ({"seeds": (1, "1")}, "seeds contains 1 more than once"),
        ({"sparsities": (0.9, 0.90)}, "sparsities contains 0.9 more than once"),
        ({"methods": ("random", "random")}, "methods contains random more than once"),
        ({"controls": ("none", "none")}, "controls contains none more than once"),
        ({"steps": (1, 1)}, "steps contains 1 more than once"),
        ({"methods": ("prosper",)}, "did you mean 'prospr'"),
        ({"methods": (None,)}, "no method called None"),
        ({"controls": ("shufle",)}, "did you mean 'shuffle'"),
        ({"sparsities": (1.0,)}, "below 1"),
        ({"sparsities": (95,)}, "give 0.95"),
        ({"sparsities": (float("nan"),)}, "finite"),
        ({"sparsities": ("many",)}, "give a number"),
        ({"sparsities": (None,)}, "give a number"),
        ({"seeds": (-1,)}, "at least 0"),
        ({"seeds": (0.5,)}, "whole number"),
        ({"seeds": (True,)}, "give a number"),
        ({"steps": (-1,)}, "at least 0"),
        ({"steps": (2,), "methods": ("random",)}, "looks ahead"),
        ({"steps": (2,), "scoring": {"options": {"steps": 1}}}, "remove one of them"),
        ({"scoring": {"options": {"temperatur": 1}}}, "has an option 'temperatur'"),
        ({"scoring": {"options": {"lr": "fast"}}}, "In the method 'prospr': lr is 'fast'"),
        ({"method": "random"}, "give methods"),
        ({"sparsity": 0.5}, "give sparsities"),
        ({"seed": 0}, "give seeds"),
        ({"control": "shuffle"}, "give controls"),
        ({"kind": "channels"}, "give kinds"),
        ({"kinds": []}, "kinds is empty; give at least one kind"),
        ({"kinds": ("weights", "weights")}, "kinds contains weights more than once"),
        ({"kinds": ("chanels",)}, "did you mean 'channels'"),
        ({"kinds": ("weights", "channels"), "methods": ("grasp", "synflow")}, "add one of prospr"),
        ({"kinds": ("channels",), "controls": ("shuffle",)}, "Add 'none' to the controls"),
        ({"kinds": ("channels",), "layer_floor": 3}, "no layer loses all its channels"),
        ({"run": RunConfig(seed=1)}, "give seeds"),
        ({"run": RunConfig(), "epochs": 2}, "either run or epochs"),
        ({"run": {}}, "not a RunConfig"),
        ({"epoch": 2}, "did you mean 'epochs'"),
        ({"sparsitys": (0.5,)}, "did you mean 'sparsities'"),
        ({"epochs": -1}, "at least 0"),
        ({"loading": {"train_limits": 3}}, "did you mean 'train_limit'"),
    ],
    ids=str,
)
def test_invalid_grids_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ConfigError) as output:
        SweepConfig.of(**settings)
    assert words in str(output.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"method": "prospr"}', "did you mean 'methods'"),
        ('{"model": "mlp"}', "A sweep has no setting 'model'"),
        ('{"run": 3}', "must be an object"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(tmp_path, content: str | None, words: str):
    path = tmp_path / "sweep.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as output:
        SweepConfig.read(path)
    assert words in str(output.value)


def test_a_written_config_is_read_again(tmp_path):
    config = SweepConfig(run=RunConfig(model="mlp"), seeds=(3, 1))
    (tmp_path / "sweep.json").write_text(json.dumps(config.to_dict()))
    assert SweepConfig.read(tmp_path / "sweep.json") == config


def test_different_sweeps_have_different_fingerprints():
    configs = [
        SweepConfig(),
        SweepConfig(seeds=(1,)),
        SweepConfig(seeds=(0, 1)),
        SweepConfig(steps=(1,)),
        SweepConfig(run=RunConfig(epochs=4)),
        SweepConfig(kinds=("channels",)),
        SweepConfig(kinds=("weights", "channels")),
    ]
    assert len({config.fingerprint for config in configs}) == len(configs)
    with pytest.raises(dataclasses.FrozenInstanceError):
        configs[0].seeds = (2,)  # type: ignore[misc]


@pytest.mark.parametrize("start", [pe.sweep, pe.search])
def test_settings_in_a_dict_are_answered_with_a_sentence(start, tmp_path):
    with pytest.raises(ConfigError, match="config is a dict; give a S"):
        start({"methods": ["snip"]}, out=tmp_path)


# Weights and channels

BOTH = ("weights", "channels")
ABLE = {name for name, spec in METHODS.items() if spec.channels}


@settings(deadline=None, max_examples=40)
@given(sweeps, some(st.sampled_from(BOTH), most=2))
def test_only_what_exists_is_in_the_grid(sweep, kinds):
    """Each cell by itself: criteria that rank no channels, and controls, have none of them."""
    sweep = dataclasses.replace(sweep, controls=tuple({"none": 0, **dict.fromkeys(sweep.controls)}))
    weights = sweep.cells()
    sweep = dataclasses.replace(sweep, kinds=kinds)
    cells = sweep.cells()
    assert len(cells) == sweep.size == len({cell.fingerprint for cell in cells})
    expected = {
        dataclasses.replace(cell, kind=kind).fingerprint
        for cell in weights
        for kind in kinds
        if kind == "weights" or (cell.method in ABLE and cell.control == "none")
    }
    assert {cell.fingerprint for cell in cells} == expected
    assert SweepConfig.from_dict(json.loads(json.dumps(sweep.to_dict()))) == sweep


def test_sweeps_of_weights_alone_are_what_they_were():
    assert SweepConfig().fingerprint == SweepConfig(kinds="weights").fingerprint
    before = SweepConfig().to_dict()
    del before["kinds"]
    assert SweepConfig.from_dict(before) == SweepConfig()


def test_settings_of_one_kind_reach_only_its_runs():
    sweep = SweepConfig.of(
        kinds=BOTH,
        layer_floor=5,
        channel_budget="operations",
        channel_multiple=4,
        scoring={"check_ranking": True},
    )
    weights, channels = sweep.cells()
    assert weights == RunConfig(layer_floor=5, scoring=ScoringConfig(check_ranking=True))
    assert channels == RunConfig(kind="channels", channel_budget="operations", channel_multiple=4)
    (alone,) = SweepConfig.of(channel_budget="operations").cells()
    assert alone == RunConfig()


def test_runs_are_in_the_order_in_which_they_share_most():
    sweep = SweepConfig(methods=("prospr", "grasp"), kinds=BOTH, controls=("none", "shuffle"))
    assert [(cell.method, cell.kind, cell.control) for cell in sweep.cells()] == [
        ("prospr", "weights", "none"),
        ("prospr", "weights", "shuffle"),
        ("prospr", "channels", "none"),
        ("grasp", "weights", "none"),
        ("grasp", "weights", "shuffle"),
    ]


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({"kinds": BOTH}, ""),
        ({"methods": ("prospr", "grasp"), "controls": ("none", "shuffle")}, ""),
        (
            {"methods": ("prospr", "grasp"), "kinds": BOTH},
            "Left out where channels are removed: GraSP (it ranks single weights only).",
        ),
        (
            {
                "methods": ("prospr", "grasp", "synflow"),
                "controls": ("none", "shuffle"),
                "kinds": BOTH,
            },
            "Left out where channels are removed: GraSP and SynFlow (they rank single weights "
            "only) and controls (they move single weights).",
        ),
    ],
)
def test_what_is_left_out_is_a_sentence(lists: dict[str, Any], sentence: str):
    assert SweepConfig(**lists).left_out() == sentence
