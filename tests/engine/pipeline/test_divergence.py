"""Training that diverged without ending in NaN."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import prospr_engine as pe
from prospr_engine.events import EpochEnded
from prospr_engine.pipeline.divergence import diverged, divergence

TEN = [36] * 10


def epochs(**losses: list[float]) -> list[EpochEnded]:
    """Epochs of the networks with these losses while training."""
    return [
        EpochEnded(name, at + 1, len(own), loss, 0.1, loss, 0.1, 1.0)
        for name, own in losses.items()
        for at, loss in enumerate(own)
    ]


@pytest.mark.parametrize(
    ("pruned", "loss", "accuracy"),
    [([2.3, 2.3], 2.3, 0.1), ([9.0, 0.2], 0.3, 0.9), ([0.1, 0.01], 9.0, 0.5)],
    ids=["collapsed", "bad start", "overfitted"],
)
def test_networks_that_learn_or_only_guess_did_not_diverge(pruned, loss, accuracy) -> None:
    history = epochs(dense=[1.0, 0.2], pruned=pruned)
    losses, right = {"dense": 0.2, "pruned": loss}, {"dense": 0.9, "pruned": accuracy}
    assert divergence(losses, right, history, TEN, 0.1) == ""


def test_an_explosion_is_named_with_the_learning_rate() -> None:
    history = epochs(dense=[1.0, 0.2], pruned=[3e7, 2.3])
    accuracy, loss = {"dense": 0.9, "pruned": 0.1}, {"dense": 0.2, "pruned": 2.3}
    text = divergence(loss, accuracy, history, TEN, 10.0)
    assert "training of the pruned network diverged: the loss rose to 3.0" in text
    assert f"guessing is {math.log(10):.2f}" in text
    assert "--train-lr" in text
    assert "it started at 10." in text


def test_a_test_loss_that_exploded_is_enough() -> None:
    history = epochs(dense=[1.0], pruned=[1.0])
    loss, accuracy = {"dense": 2e16, "pruned": 3e16}, {"dense": 0.5, "pruned": 0.5}
    assert "of both networks diverged" in divergence(loss, accuracy, history, TEN, None)


def test_guessing_is_judged_by_the_commonest_class() -> None:
    history = epochs(dense=[1.0], pruned=[50.0])
    loss, accuracy = {"dense": 0.2, "pruned": 0.7}, {"dense": 0.95, "pruned": 0.9}
    assert divergence(loss, accuracy, history, [90, 10], 1.0)
    assert not divergence(loss, accuracy, history, [50, 50], 1.0)


def test_networks_that_were_not_trained_did_not_diverge() -> None:
    loss = {"dense": 1e9, "pruned": 1e9}
    assert divergence(loss, {"dense": 0.1, "pruned": 0.1}, [], TEN, 0.1) == ""


def test_a_run_says_so_in_its_result(tmp_path: Path) -> None:
    training = pe.TrainingConfig(lr=10.0)
    config = pe.RunConfig(epochs=1, training=training, method="magnitude")
    result = pe.run(config, out=tmp_path / "out")
    first = result.to_dict()["findings"][0]
    assert first["level"] == "danger"
    assert "diverged" in first["text"]
    assert first["text"] == diverged(result.record) == result.record.pruning.findings[0].text
