"""Flags that set a fraction take it as a percentage, too, if there is a percent sign."""

from __future__ import annotations

import argparse

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
