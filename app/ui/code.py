"""A run as a command line and as a Python program."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from app.services import GROUPS, Option, RunConfig, display_name, is_token, settings_of, tokens

EVERYDAY = ("model", "data", "method", "sparsity", "epochs", "seed")
"""Settings that are always listed, even at their defaults."""

PREFIXES = {"": "", "loading": "", "scoring": "score-", "training": "train-"}
"""The prefix of a group's flags on the command line."""

PROGRAM = """\
import torch

import prospr_engine as pe

torch.set_num_threads({threads})


def report(event):
    e = event.to_dict()
    if e["event"] == "EpochEnded":
        print(f"{{e['network']}}, epoch {{e['epoch']}}: {{e['validation_accuracy']:.1%}}")
    elif e["event"] == "StageStarted":
        print(e["text"])


config = {config}
result = pe.run(config, report, out={out!r})
print(result.accuracy, result.proof.ok)"""


def uploads(config: RunConfig) -> list[str]:
    """The names of the uploaded files that the run used. The generated code expects them in the
    working directory."""
    return [display_name(token) for token in tokens(config).values()]


def changed(config: RunConfig) -> Iterator[tuple[str, Option, Any]]:
    """The group ("" for the run itself), option and value of every setting that is in ``EVERYDAY``
    or not at its default."""
    for option in settings_of(RunConfig):
        value = getattr(config, option.name)
        if is_token(value):
            value = display_name(value)
        if option.name in EVERYDAY or value != option.default:
            yield "", option, value
    for group, cls in GROUPS.items():
        for option in settings_of(cls):
            value = getattr(getattr(config, group), option.name)
            if is_token(value):
                value = display_name(value)
            if value != option.default:
                yield group, option, value


def command(config: RunConfig, threads: int, out: str = "out") -> str:
    """The command line that repeats the run with ``threads`` threads."""
    words = [".venv/bin/python", "-m", "prospr_engine", "run"]
    for group, option, value in changed(config):
        flag = PREFIXES[group] + option.name.replace("_", "-")
        if option.kind is bool:
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", ",".join(value) if isinstance(value, tuple) else str(value)]
    for name, value in config.scoring.options.items():
        words += ["--option", f"{name}={value}"]
    words += layer_flags(config)
    return f"OMP_NUM_THREADS={threads} {shlex.join([*words, '--out', out])}"


def layer_flags(config: RunConfig) -> list[str]:
    """The flags of the layers with a setting of their own."""
    return [word for name, own in config.layers.items() for word in ("--layer", f"{name}={own}")]


def arguments_of(config: RunConfig, values: Mapping[tuple[str, str], object]) -> list[str]:
    """The arguments of ``RunConfig`` as code: the ``values`` by group and name, and what else
    ``config`` has for criteria and layers."""
    given: dict[str, list[str]] = {group: [] for group in ("", *GROUPS)}
    for (group, name), value in values.items():
        given[group].append(f"{name}={value!r}")
    if config.scoring.options:
        given["scoring"].append(f"options={dict(config.scoring.options)!r}")
    for group, cls in GROUPS.items():
        if given[group]:
            given[""].append(f"{group}=pe.{cls.__name__}({', '.join(given[group])})")
    if config.layers:
        given[""].append(f"layers={dict(config.layers)!r}")
    return given[""]


def program(config: RunConfig, threads: int, out: str = "out") -> str:
    """The Python program that repeats the run with ``threads`` threads."""
    given = arguments_of(config, {(group, o.name): value for group, o, value in changed(config)})
    lines = "".join(f"    {line},\n" for line in given)
    return PROGRAM.format(config=f"pe.RunConfig(\n{lines})", threads=threads, out=out)
