"""The code that does a comparison again, and really does."""

from __future__ import annotations

import csv
import dataclasses
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from app.compare import code_sweep
from app.services import ConfigError, RunConfig, SweepConfig
from prospr_engine.config import LoadingConfig, ScoringConfig, TrainingConfig
from prospr_engine.io.tokens import token

TOKEN = token("0123456789abcdef" * 4, "holiday.zip")

EVERYTHING = SweepConfig.of(
    methods=["prospr", "snip"],
    sparsities=[0.8, 0.95],
    seeds=[0, 7],
    steps=[1, 3],
    controls=["none", "shuffle"],
    epochs=2,
    layer_floor=2,
    layers={"*1*": "dense", "fc": 0.5},
    loading=LoadingConfig(train_limit=100, skip_broken=True),
    scoring=ScoringConfig(batch_size=32, options={"lr": 0.2}),
    training=TrainingConfig(lr=0.1),
)

FEW = LoadingConfig(train_limit=100, test_limit=50)


def done(command: list[str], folder: Path, **variables: str) -> str:
    """What it prints; it works in ``folder`` with the engine of this checkout."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    output = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    return output.stdout


def figures(folder: Path) -> list[tuple[str, ...]]:
    """What the table in ``folder`` says of each cell, but for how long it took."""
    with (folder / "cells.csv").open() as file:
        names = (
            "method",
            "sparsity",
            "seed",
            "state",
            "accuracy",
            "dense_accuracy",
            "kept_weights",
        )
        return [tuple(row[name] for name in names) for row in csv.DictReader(file)]


def test_program_and_command_really_do_the_sweep_and_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    config = SweepConfig.of(
        methods=["magnitude", "random"], sparsities=[0.9], model="mlp", epochs=1, loading=FEW
    )
    monkeypatch.chdir(tmp_path)
    exec(code_sweep.sweep_program(config, threads=1, out="program"), {})
    assert "2 of 2 random 0.9 0 done" in capsys.readouterr().out
    line = code_sweep.sweep_command(config, threads=1, out="command")
    line = line.replace(".venv/bin/python", sys.executable)
    done(["sh", "-c", line], tmp_path)
    found = figures(tmp_path / "program")
    assert [row[:4] for row in found] == [
        ("magnitude", "0.9", "0", "done"),
        ("random", "0.9", "0", "done"),
    ]
    assert all(0 < float(row[4]) <= 1 for row in found)
    assert figures(tmp_path / "command") == found


@pytest.mark.slow
def test_the_program_for_runs_that_are_no_grid_really_does_them(tmp_path: Path):
    configs = [
        RunConfig(method="magnitude", sparsity=0.9, epochs=0, loading=FEW),
        RunConfig(method="random", sparsity=0.8, epochs=0, seed=3, loading=FEW),
    ]
    assert code_sweep.as_sweep(configs) is None
    printed = done([sys.executable, "-c", code_sweep.runs_program(configs, 1)], tmp_path)
    output = [line.split()[:4] for line in printed.splitlines()]
    assert output == [["1", "magnitude", "0.9", "0"], ["2", "random", "0.8", "3"]]
    for number, config in enumerate(configs, 1):
        assert RunConfig.read(tmp_path / "out" / str(number) / "config.json") == config


def test_the_command_says_everything_that_is_not_as_usual():
    assert code_sweep.sweep_command(EVERYTHING, threads=2) == (
        "OMP_NUM_THREADS=2 .venv/bin/python -m prospr_engine sweep --model small_cnn --data digits "
        "--methods prospr,snip --sparsities 0.8,0.95 --seeds 0,7 --steps 1,3 --controls "
        "none,shuffle --epochs 2 --layer-floor 2 --train-limit 100 --skip-broken "
        "--score-batch-size 32 --train-lr 0.1 --option lr=0.2 "
        "--layer '*1*=dense' --layer fc=0.5 --out out"
    )


def test_a_sweep_of_both_kinds_is_found_and_repeated():
    from prospr_engine.cli import main
    from prospr_engine.cli import sweep as cli_sweep

    mixed = SweepConfig.of(
        methods=["prospr", "grasp"], sparsities=[0.5], kinds=["weights", "channels"],
        layer_floor=2, channel_budget="operations",
    )  # fmt: skip
    found = code_sweep.as_sweep(list(reversed(mixed.cells())))
    assert found is not None
    assert {c.fingerprint for c in found.cells()} == {c.fingerprint for c in mixed.cells()}
    words = code_sweep.sweep_command(mixed, threads=2)
    assert "--kinds weights,channels" in words
    assert cli_sweep.config_of(main._parser().parse_args(shlex.split(words)[4:])) == mixed
    program = code_sweep.sweep_program(mixed, threads=2)
    assert 'by = ["method", "steps", "control", "kind", "sparsity"]' in program.replace("'", '"')
    assert "kind" not in code_sweep.sweep_program(EVERYTHING, threads=2)


def test_the_command_line_reads_it_as_the_same_sweep():
    from prospr_engine.cli import main
    from prospr_engine.cli import sweep as cli_sweep

    words = code_sweep.sweep_command(EVERYTHING, threads=2)
    parsed = main._parser().parse_args(shlex.split(words)[4:])
    assert cli_sweep.config_of(parsed).cells() == EVERYTHING.cells()


def test_the_program_holds_the_same_sweep():
    calls = []

    class Engine:
        LoadingConfig = LoadingConfig
        ScoringConfig = ScoringConfig
        TrainingConfig = TrainingConfig

        @staticmethod
        def sweep(**settings: object) -> None:
            calls.append(settings)
            raise KeyboardInterrupt

    program = code_sweep.sweep_program(EVERYTHING, threads=2, out="here")
    body = program[program.index("table = ") : program.index("by = ")]
    with pytest.raises(KeyboardInterrupt):
        exec(body, {"pe": Engine, "report": print})
    (settings,) = calls
    assert settings.pop("out") == "here"
    del settings["on_event"]
    assert SweepConfig.of(**settings) == EVERYTHING


def test_an_upload_is_named_as_a_file_beside_it():
    config = SweepConfig.of(data=TOKEN, methods=["snip"])
    for text in (code_sweep.sweep_command(config, 1), code_sweep.sweep_program(config, 1)):
        assert "holiday.zip" in text
        assert "0123456789abcdef" not in text


def test_names_that_the_shell_would_take_apart_are_quoted():
    config = SweepConfig.of(data="my pictures; rm", methods=["snip"])
    assert "--data 'my pictures; rm'" in code_sweep.sweep_command(config, 1)


# Which sweep some runs are


@pytest.mark.parametrize(
    "config",
    [
        EVERYTHING,
        SweepConfig.of(methods=["magnitude"], sparsities=[0.5, 0.9]),
        SweepConfig.of(methods=["prospr"], steps=[1, 2, 3]),
        SweepConfig.of(methods=["prospr", "magnitude"], steps=[2, 5], seeds=[0, 1]),
        SweepConfig.of(methods=["snip", "prospr"], scoring=ScoringConfig(options={"steps": 5})),
    ],
)
def test_the_runs_of_a_sweep_are_known_as_it_in_whatever_order(config: SweepConfig):
    found = code_sweep.as_sweep(config.cells()[::-1])
    assert found is not None
    assert {cell.fingerprint for cell in found.cells()} == {c.fingerprint for c in config.cells()}


def test_an_option_at_its_default_changes_nothing():
    first, second = SweepConfig.of(sparsities=[0.8, 0.9]).cells()
    output = dataclasses.replace(
        first, scoring=dataclasses.replace(first.scoring, options={"steps": 3})
    )
    assert code_sweep.as_sweep([output, second]) is not None


@pytest.mark.parametrize(
    "configs",
    [
        [RunConfig()],
        [RunConfig(), RunConfig(method="snip", sparsity=0.8)],
        [RunConfig(), RunConfig(epochs=9)],
        [RunConfig(), RunConfig(sparsity=0.8), RunConfig(sparsity=0.8)],
        [
            RunConfig(scoring=ScoringConfig(options={"lr": 0.2})),
            RunConfig(sparsity=0.8, scoring=ScoringConfig(options={"lr": 0.3})),
        ],
    ],
)
def test_runs_that_are_no_grid_are_no_sweep(configs: list[RunConfig]):
    assert code_sweep.as_sweep(configs) is None


def test_each_run_of_a_choice_has_its_own_command():
    lines = code_sweep.runs_command([RunConfig(), RunConfig(sparsity=0.5)], 2).splitlines()
    assert [line.split("--out ")[1] for line in lines] == ["out/1", "out/2"]
    assert "--sparsity 0.5" in lines[1]


def test_a_sweep_that_the_engine_refuses_is_none_here_either():
    with pytest.raises(ConfigError):
        SweepConfig.of(methods=["older"])
    configs = [RunConfig(method="older"), RunConfig(method="older", sparsity=0.5)]
    assert code_sweep.as_sweep(configs) is None
