"""What holds for every criterion of the table, and for the scores they give."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import NETWORKS, batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import DataError, ScoringError
from prospr_engine.saliency.diagnostics import Diagnostics, diagnose

everywhere = pytest.mark.parametrize("method", pe.METHODS)


def towards(method: str) -> dict[str, Any]:
    """What an iterative criterion has to be told."""
    return {"sparsity": 0.5, "rounds": 3} if pe.METHODS[method].iterative else {}


@pytest.mark.parametrize(
    "method", [n for n, spec in pe.METHODS.items() if not spec.needs_data and not spec.needs_shape]
)
def test_criteria_without_data_need_none(method):
    make, _ = NETWORKS["batch norm"]
    assert pe.score(seeded(make), method=method).masks(0.5).kept


def test_magnitude_is_the_size_of_the_weight():
    make, _ = NETWORKS["grouped, group norm"]
    model = seeded(make)
    scores = pe.score(model, method="magnitude")
    for name, values in scores.items():
        assert torch.equal(values, dict(model.named_parameters())[name].abs())


def test_random_follows_its_seed_and_nothing_else():
    make, shape = NETWORKS["batch norm"]
    a = pe.score(seeded(make, 1), method="random", seed=5)
    b = pe.score(seeded(make, 2), [batch(shape)], method="random", seed=5)
    c = pe.score(seeded(make, 1), method="random", seed=6)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a)
    assert all((a[name] >= 0).all() and (a[name] < 1).all() for name in a)


@everywhere
def test_saving_keeps_everything(tmp_path, method):
    make, shape = NETWORKS["batch norm"]
    scores = pe.score(seeded(make), [batch(shape)], method=method, **towards(method))
    scores.save(tmp_path / "scores.safetensors")
    loaded = pe.Scores.load(tmp_path / "scores.safetensors")
    assert list(loaded) == list(scores)
    assert all(torch.equal(loaded[name], scores[name]) for name in scores)
    assert all(torch.equal(loaded.channels[n], scores.channels[n]) for n in scores)
    assert loaded.diagnostics == scores.diagnostics
    assert (loaded.method, loaded.options) == (scores.method, scores.options)
    assert loaded.target == scores.target
    scores.masks(0.5).save(tmp_path / "masks.safetensors")
    with pytest.raises(DataError, match="holds no scores"):
        pe.Scores.load(tmp_path / "masks.safetensors")


def test_masks_say_where_they_come_from():
    make, shape = NETWORKS["batch norm"]
    masks = pe.score(seeded(make), [batch(shape)], steps=2).masks(0.5, layer_floor=1)
    assert masks.metadata["method"] == "prospr"
    assert masks.metadata["sparsity"] == 0.5
    assert masks.metadata["layer_floor"] == 1
    assert masks.metadata["options"]["steps"] == 2


def deep():
    """Nine layers with batch norm: enough for training to amplify rounding errors."""
    blocks = [[nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU()] for _ in range(8)]
    blocks[0][0] = nn.Linear(8, 16, bias=False)
    return nn.Sequential(nn.Flatten(), *[layer for b in blocks for layer in b], nn.Linear(16, 3))


def test_a_short_look_ahead_is_trusted_and_a_chaotic_one_only_in_double_precision():
    model = seeded(deep).float()
    x, y = batch((2, 2, 2), n=32, dtype=torch.float32)
    calm = pe.score(model, [(x, y)], steps=3, lr=0.5).diagnostics
    wild = pe.score(model, [(x, y)], steps=40, lr=0.5).diagnostics
    exact = pe.score(model, [(x, y)], steps=40, lr=0.5, precision="float64").diagnostics
    assert calm.trusted
    assert "numerically stable" in calm.verdict
    assert not wild.trusted
    assert "is unreliable" in wild.verdict
    assert exact.trusted


def test_verdicts():
    fine = {"a": torch.ones(3)}
    assert diagnose(fine, torch.float32, sensitivity=0.019).trusted
    some, much = (diagnose(fine, torch.float32, sensitivity=s) for s in (0.021, 0.6))
    assert not some.trusted
    assert some.verdict.startswith("Part of the ranking is unreliable")
    assert not much.trusted
    assert much.verdict.startswith("Much of the ranking is unreliable")
    assert "float64" in diagnose(fine, torch.float32, sensitivity=1).verdict
    assert "float64" not in diagnose(fine, torch.float64, sensitivity=1).verdict
    in_rounds = diagnose(fine, torch.float32, whole=fine)
    assert in_rounds.trusted
    assert "early round" in in_rounds.verdict
    assert "it is exact" in diagnose(fine, torch.float64, whole=fine).verdict
    broken = diagnose({"a": torch.tensor([1.0, math.nan, math.inf])}, torch.float32)
    assert (broken.non_finite, broken.trusted) == (2, False)
    assert diagnose(fine, torch.float32, adjoint_norms=(0.0, 1.0)).growth == math.inf
    assert diagnose(fine, torch.float32, adjoint_norms=(2.0, 5.0)).growth == 2.5


def test_dead_and_diverged_networks_are_not_trusted():
    dead = diagnose({"a": torch.zeros(3)}, torch.float32, sensitivity=0.0)
    assert not dead.trusted
    assert "All scores are zero" in dead.verdict
    diverged = diagnose(
        {"a": torch.ones(3)}, torch.float32, losses=(2.3, 9.0, 400.0), sensitivity=1e-6
    )
    assert not diverged.trusted
    assert "from 2.3 to 4e+02" in diverged.verdict
    assert "float64" not in diagnose({"a": torch.tensor([math.nan])}, torch.float64).verdict


def test_diagnostics_that_are_not_finite_survive_saving(tmp_path):
    make, shape = NETWORKS["no normalisation"]
    x, y = batch(shape)
    scores = pe.score(seeded(make), [(x * 1e200, y)], steps=3, lr=100.0)
    scores.save(tmp_path / "scores.safetensors")
    loaded = pe.Scores.load(tmp_path / "scores.safetensors").diagnostics
    assert isinstance(loaded, Diagnostics)
    assert [str(n) for n in loaded.adjoint_norms] == [
        str(n) for n in scores.diagnostics.adjoint_norms
    ]
    with pytest.raises(ScoringError):
        pe.Scores.load(tmp_path / "scores.safetensors").masks(0.5)
