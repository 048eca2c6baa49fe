"""What holds for every criterion of the table, and for the scores they give."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import NETWORKS, batch, seeded

import prospr_engine as pe
from prospr_engine.errors import DataError, ScoringError
from prospr_engine.saliency.diagnostics import Arithmetic, Diagnostics, diagnose

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
    assert list(loaded.rest) == list(scores.rest)
    assert all(torch.equal(loaded.rest[n], scores.rest[n]) for n in scores.rest)
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


def test_verdicts():
    fine = {"a": torch.ones(3)}
    single, double = Arithmetic(torch.float32), Arithmetic(torch.float64)
    mixed = Arithmetic(torch.float64, torch.float32)
    half = Arithmetic(torch.bfloat16)
    ahead = (2.3, 2.2)
    assert diagnose(fine, None).trusted
    assert diagnose(fine, single).trusted  # a gradient at a given place is right to a millionth
    assert not diagnose(fine, half).trusted
    for arithmetic, trusted in ((single, False), (mixed, True), (double, True)):
        for amplified in ({"losses": ahead}, {"whole": fine}):
            found = diagnose(fine, arithmetic, **amplified)
            assert found.trusted == trusted
            assert found.precision == arithmetic.name
    measured = diagnose(fine, single, losses=ahead, checked=(0.9, 0.949))
    assert not measured.trusted
    assert "94.9\xa0% of the weights kept at 90\xa0%" in measured.verdict
    assert (measured.agreement, measured.checked_at) == (0.949, 0.9)
    assert diagnose(fine, single, losses=ahead, checked=(0.9, 0.95)).trusted
    assert not diagnose(fine, double, losses=ahead, checked=(0.9, 0.5)).trusted
    broken = diagnose({"a": torch.tensor([1.0, math.nan, math.inf])}, single)
    assert (broken.non_finite, broken.trusted) == (2, False)
    assert diagnose(fine, single, adjoint_norms=(0.0, 1.0)).growth == math.inf
    assert diagnose(fine, single, adjoint_norms=(2.0, 5.0)).growth == 2.5


def test_dead_and_diverged_networks_are_not_trusted():
    double = Arithmetic(torch.float64)
    dead = diagnose({"a": torch.zeros(3)}, double)
    assert not dead.trusted
    assert "All scores are zero" in dead.verdict
    diverged = diagnose({"a": torch.ones(3)}, double, losses=(2.3, 9.0, 400.0))
    assert not diverged.trusted
    assert "from 2.3 to 4e+02" in diverged.verdict


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
