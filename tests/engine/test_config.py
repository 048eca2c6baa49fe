from __future__ import annotations

import dataclasses
import json

import pytest

from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.errors import ConfigError


def test_a_config_survives_the_way_through_json(tmp_path):
    config = RunConfig(
        model="resnet20",
        sparsity=0.95,
        loading=LoadingConfig(train_limit=2000),
        scoring=ScoringConfig(precision="float64", options={"steps": 5}),
        training=TrainingConfig(lr=0.05, schedule="step"),
    )
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    again = RunConfig.read(tmp_path / "config.json")
    assert again == config
    assert again.fingerprint == config.fingerprint


def test_the_fingerprint_ignores_defaults_and_sees_everything_else():
    plain = RunConfig()
    # Part of the public contract: names of earlier runs must not change when options are added.
    assert plain.fingerprint == "44136fa355b3678a"
    assert RunConfig(epochs=3, training=TrainingConfig(momentum=0.9)).fingerprint == (
        plain.fingerprint
    )
    changed = [
        RunConfig(seed=1),
        RunConfig(sparsity=0.91),
        RunConfig(training=TrainingConfig(lr=0.2)),
        RunConfig(loading=LoadingConfig(image_size=16)),
        RunConfig(scoring=ScoringConfig(options={"steps": 4})),
    ]
    assert len({config.fingerprint for config in [plain, *changed]}) == 6


@pytest.mark.parametrize(
    "given",
    ["int8,compact,dense", " compact, int8,,int8", ["int8", "compact"], {"compact", "int8"}],
)
def test_encodings_are_a_set_with_dense_in_it(given):
    config = RunConfig(encodings=given)
    assert config.encodings == ("dense", "compact", "int8")
    assert config.to_dict()["encodings"] == ["dense", "compact", "int8"]
    assert config.fingerprint == RunConfig(encodings=("dense", "int8", "compact")).fingerprint
    assert config.fingerprint != RunConfig().fingerprint
    assert RunConfig(encodings="compact") == RunConfig()
    assert config.dense == RunConfig().dense  # runs share a dense network whatever they write


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sparsity": 1.0}, "below 1"),
        ({"sparsity": 90}, "give 0.9"),
        ({"epochs": -1}, "at least 0"),
        ({"seed": "x"}, "whole number"),
        ({"weights": "old"}, "fresh, pretrained"),
        ({"modle": "mlp"}, "did you mean 'model'"),
        ({"training": {"lr": "fast"}}, "lr is 'fast'"),
        ({"training": []}, "names and values"),
        ({"scoring": {"options": 3}}, "names and values"),
        ({"loading": {"validation_fraction": 0.9}}, "at most 0.5"),
        ([], "names and values"),
        ({"encodings": 3}, "give names, as in dense,compact"),
        ({"encodings": ["dense", 8]}, "give names, as in dense,compact"),
    ],
)
def test_misfitting_settings_are_refused_with_a_sentence(settings, words):
    with pytest.raises(ConfigError, match=words):
        RunConfig.from_dict(settings)


def test_files_that_hold_no_config(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        RunConfig.read(tmp_path / "nowhere.json")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ConfigError, match="not JSON"):
        RunConfig.read(tmp_path / "text")


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 1
