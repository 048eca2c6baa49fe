"""Flags: fractions may be percentages, if there is a percent sign; layers are set one by one."""

from __future__ import annotations

import argparse
import json

import pytest

from prospr_engine.cli.settings import add_settings, config_of
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError


def config(*flags: str) -> RunConfig:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return config_of(parser.parse_args(flags))


@pytest.mark.parametrize("percent", ["30%", "30 %", " 30.0%"])
@pytest.mark.parametrize("flag", ["--sparsity", "--validation-fraction", "--test-fraction"])
def test_percentages(flag, percent):
    assert config(flag, percent) == config(flag, "0.3") != config()


@pytest.mark.parametrize(
    ("flag", "text"),
    [("--sparsity", "30"), ("--sparsity", "100%"), ("--validation-fraction", "30"),
     ("--validation-fraction", "-5%"), ("--epochs", "5%"), ("--train-limit", "10%")],
)  # fmt: skip
def test_what_is_no_fraction_is_refused(flag, text):
    with pytest.raises(ConfigError):
        config(f"{flag}={text}")


def test_layers_are_set_one_by_one_and_join_those_of_the_file(tmp_path):
    given = config("--layer", "conv1=dense", "--layer", "layer4.* = 98%", "--layer", "fc=0.5")
    assert given.layers == {"conv1": "dense", "fc": 0.5, "layer4.*": 0.98}
    (tmp_path / "config.json").write_text(json.dumps(given.to_dict()))
    again = config("--config", str(tmp_path / "config.json"), "--layer", "fc=dense")
    assert again.layers == {"conv1": "dense", "fc": "dense", "layer4.*": 0.98}


@pytest.mark.parametrize(
    ("pair", "words"),
    [("conv1", "e.g. conv1=dense"), ("conv1=densee", "did you mean 'dense'"), ("=0.5", "the name"),
     ("conv1=98", "give 0.98")],
)  # fmt: skip
def test_what_is_no_setting_of_a_layer_is_refused(pair, words):
    with pytest.raises(ConfigError, match=words):
        config("--layer", pair)
