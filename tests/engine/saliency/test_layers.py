"""Scores and masks of layers with a setting of their own."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from helpers import batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError
from prospr_engine.io.tensors import read_tensors
from prospr_engine.pruning.ranking import Ranking
from prospr_engine.saliency import METHODS, MethodSpec
from prospr_engine.saliency.base import Saliency
from prospr_engine.saliency.controls import CONTROLS
from prospr_engine.saliency.controls.rearrange import rearrange
from prospr_engine.saliency.rounds import schedule

ITERATIVE = [name for name, spec in METHODS.items() if spec.iterative]
LAYERS = {"0": "dense", "[24]": 0.7}


def make() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(),
        nn.Linear(10, 9), nn.ReLU(), nn.Linear(9, 3),
    )  # fmt: skip


SIZES = {"0.weight": 96, "2.weight": 120, "4.weight": 90, "6.weight": 27}
KEPT = {"0.weight": 96, "2.weight": 36, "4.weight": 27}


@pytest.mark.parametrize("method", [*METHODS])
def test_every_criterion_keeps_to_the_settings(method):
    model, batches = seeded(make), [batch((8,), seed=i) for i in range(2)]
    towards = {"sparsity": 0.48, "layers": LAYERS, "rounds": 5}
    scores = pe.score(model, batches, method, **(towards if method in ITERATIVE else {}))
    masks = scores.masks(0.48, layers=LAYERS)
    kept = {stats.name: stats.kept for stats in masks.layers}
    assert {name: kept[name] for name in KEPT} == KEPT
    assert masks.kept == math.ceil(333 * (1 - Fraction("0.48")))
    assert masks.metadata["layers"] == {"0.weight": "dense", "2.weight": 0.7, "4.weight": 0.7}
    for name in ("2.weight", "4.weight"):  # the layer's own best
        mask, values = masks[name], scores[name]
        assert values[mask].min() >= values[~mask].max()
    for name in CONTROLS:
        if CONTROLS[name].rearranges_scores:
            other = rearrange(CONTROLS[name], scores, 0).masks(0.48, layers=LAYERS)
            assert {stats.name: stats.kept for stats in other.layers} == kept


@pytest.mark.parametrize("method", ITERATIVE)
def test_scores_of_an_iterative_criterion_remember_the_settings(method, tmp_path):
    model, batches = seeded(make), [batch((8,))]
    options = {"sparsity": 0.48, "rounds": 3}
    scores = pe.score(model, batches, method, layers=LAYERS, **options)
    scores.save(tmp_path / "scores.safetensors")
    loaded = pe.Scores.load(tmp_path / "scores.safetensors")
    ranking = Ranking.load(tmp_path / "scores.safetensors")
    assert loaded.target == ranking.target == (0.48, 0)
    same = {"4.weight": 0.7, "0.weight": "dense", "2.weight": 0.7}  # in other words
    for found in (scores.masks(0.48, layers=same), loaded.masks(0.48, layers=LAYERS)):
        assert all(
            torch.equal(mask, scores.masks(0.48, layers=LAYERS)[n]) for n, mask in found.items()
        )
    cut = ranking.cut(0.48, layers=LAYERS)
    for name, mask in ranking.masks(cut).items():
        assert torch.equal(torch.from_numpy(mask), found[name])
    for layers in (None, {"0": "dense"}, {"0": "dense", "[24]": 0.6}):
        for wrong in (loaded.masks, ranking.cut):
            with pytest.raises(ConfigError, match=r"of 0\.48 \(0 dense, 2 70.% removed and 4 70"):
                wrong(0.48, layers=layers)
    plain = pe.score(model, batches, method, **options)
    plain.masks(0.48)
    with pytest.raises(ConfigError, match="score again with these settings"):
        plain.masks(0.48, layers={"0": "dense"})


def test_files_without_settings_are_as_earlier_versions_wrote_them(tmp_path):
    file = tmp_path / "scores.safetensors"
    model, batches = seeded(make), [batch((8,))]
    pe.score(model, batches, "synflow", sparsity=0.48, rounds=2).save(file)
    _, metadata = read_tensors(file, "np")
    assert "target_layers" not in metadata
    assert "layers" not in pe.Scores.load(file).masks(0.48).metadata
    assert pe.Scores.load(file).target_layers == {}


def test_a_dense_layer_is_not_pruned_on_the_way():
    seen = []

    def spy(network, batches, on_step, *, sparsity, layer_floor, layers):
        seen.append((sparsity, layer_floor, layers))
        weights = dict(zip(network.names, network.start, strict=True))
        return Saliency.of({name: weights[name] for name in network.prunable})

    row = MethodSpec("spy_on_layers", "Spy", "Sees what it gets.", spy, iterative=True)
    METHODS.register(row, replace=True)
    model = seeded(make)
    pe.score(model, [batch((8,))], "spy_on_layers", sparsity=0.48, layers=LAYERS)
    assert seen == [(0.48, 0, {"0.weight": "dense", "2.weight": 0.7, "4.weight": 0.7})]


def test_each_pool_falls_at_its_own_pace_to_its_own_end():
    layers = {"0.weight": "dense", "2.weight": 0.7, "4.weight": 0.7}
    goals = schedule(SIZES, 0.48, 0, layers, 10, math.ceil)
    assert len(goals) == 10
    assert goals[-1].own == (96, 36, 27, None)
    assert goals[-1].shared == math.ceil(333 * (1 - Fraction("0.48"))) - 96 - 36 - 27
    for i, goal in enumerate(goals[:-1], 1):
        assert goal.own[:3] == (
            96,
            math.ceil(120 * 0.3 ** (i / 10)),
            math.ceil(90 * 0.3 ** (i / 10)),
        )
        assert goal.shared == math.ceil(27 * (goals[-1].shared / 27) ** (i / 10))
    plain = schedule(SIZES, 0.48, 0, {}, 10, math.floor)
    for i, goal in enumerate(plain[:-1], 1):  # de Jorge et al., section 4
        assert goal.shared == max(174, math.floor(333 * 0.52 ** (i / 10)))


def test_a_ranking_is_checked_under_the_settings_of_its_masks():
    model, batches = seeded(make).float(), [batch((8,), n=32, dtype=torch.float32)]
    options = {"precision": "float32", "steps": 40, "lr": 0.5, "check_at": 0.5}
    plain = pe.score(model, batches, **options).diagnostics.agreement
    own = pe.score(model, batches, layers={"0": "dense"}, **options)
    assert own.diagnostics.agreement != plain
    assert own.target_layers == {}
    own.masks(0.9)  # they hold everywhere
    with pytest.raises(ConfigError, match=r"set a sparsity of at most 0\.7117"):
        pe.score(model, batches, layers={"0": "dense"}, **options | {"check_at": 0.9})


def test_what_ranks_once_takes_no_settings_before_its_masks():
    with pytest.raises(ConfigError, match="give layers to masks"):
        pe.score(seeded(make), [batch((8,))], "snip", layers={"0": "dense"})
    with pytest.raises(ConfigError, match="no layer called 'zero'"):
        pe.score(seeded(make), [batch((8,))], "force", sparsity=0.5, layers={"zero": "dense"})


def test_a_contradiction_ends_scoring_before_the_work():
    def never(event):
        raise AssertionError(event)

    with pytest.raises(ConfigError, match="set a sparsity of at most"):
        pe.score(
            seeded(make), [batch((8,))], "force", sparsity=0.9, layers={"0": "dense"},
            on_event=never,
        )  # fmt: skip
