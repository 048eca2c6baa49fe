"""A comparison without a browser: as a command line and as a Python program.

For a sweep, ``sweep_command(config, threads)`` and ``sweep_program(config, threads)``. For picked
runs, ``as_sweep(configs)`` finds the sweep of exactly these runs, if there is one; else
``runs_command`` and ``runs_program`` repeat each of them.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from app.services import (
    CHANNELS,
    METHODS,
    OF_CHANNELS,
    STEPS,
    WEIGHTS,
    ConfigError,
    RunConfig,
    SweepConfig,
)
from app.ui.code import PREFIXES, arguments_of, changed, command, layer_flags

LISTS = ("methods", "sparsities", "seeds", "steps", "controls", "kinds")
OWN = ("method", "sparsity", "seed", "control", "kind")
"""Settings of a run of which a sweep has lists."""

SWEEP = """\
import torch

import prospr_engine as pe

torch.set_num_threads({threads})


def report(event):
    fields = event.to_dict()
    if fields["event"] == "CellEnded":
        row = fields["row"]
        done = f"{{fields['number']}} of {{fields['cells']}}"
        print(done, row["method"], row["sparsity"], row["seed"], row["state"])


table = pe.sweep(
{settings}    out={out!r},
    on_event=report,
)
by = {by!r}
print(table.groupby(by, sort=False, dropna=False)["accuracy"].agg(["mean", "std", "count"]))"""

RUNS = """\
import torch

import prospr_engine as pe

torch.set_num_threads({threads})

configs = [
{configs}]
for number, config in enumerate(configs, 1):
    result = pe.run(config, out=f"{out}/{{number}}")
    print(number, config.method, config.sparsity, config.seed, result.accuracy)"""


def sweep_command(config: SweepConfig, threads: int, out: str = "out") -> str:
    """The command line of the same sweep with as many threads."""
    words = [".venv/bin/python", "-m", "prospr_engine", "sweep"]
    default = SweepConfig()
    for name in ("model", "data"):
        words += flag("", name, values(config.run)["", name])
    for name in LISTS:
        entries = getattr(config, name)
        if name in ("methods", "sparsities", "seeds") or entries != getattr(default, name):
            words += [f"--{name}", ",".join(map(str, entries))]
    for (group, name), value in values(config.run).items():
        if (group, name) not in (("", "model"), ("", "data")):
            words += flag(group, name, value)
    for name, value in config.run.scoring.options.items():
        words += ["--option", f"{name}={value}"]
    words += layer_flags(config.run)
    return f"OMP_NUM_THREADS={threads} {shlex.join([*words, '--out', out])}"


def sweep_program(config: SweepConfig, threads: int, out: str = "out") -> str:
    """The Python program of the same sweep with as many threads."""
    default = SweepConfig()
    lists = [
        f"{name}={list(getattr(config, name))!r}"
        for name in LISTS
        if name in ("methods", "sparsities", "seeds")
        or getattr(config, name) != getattr(default, name)
    ]
    settings = "".join(f"    {line},\n" for line in [*arguments(config.run, OWN, lists)])
    by = ["method", "steps", "control", *(["kind"] if config.kinds[1:] else []), "sparsity"]
    return SWEEP.format(settings=settings, threads=threads, out=out, by=by)


def runs_command(configs: Sequence[RunConfig], threads: int, out: str = "out") -> str:
    """The command lines of these runs, one per line."""
    return "\n".join(
        command(config, threads, f"{out}/{number}") for number, config in enumerate(configs, 1)
    )


def runs_program(configs: Sequence[RunConfig], threads: int, out: str = "out") -> str:
    """The Python program of these runs."""
    lines = "".join(f"    pe.RunConfig({', '.join(arguments(c))}),\n" for c in configs)
    return RUNS.format(configs=lines, threads=threads, out=out)


def as_sweep(configs: Sequence[RunConfig]) -> SweepConfig | None:
    """The sweep of exactly these runs, in any order; None if there is none, or with fewer than two
    runs."""
    plain = [_without_defaults(config) for config in configs]
    if len(plain) < 2:
        return None
    lists = {name: list(dict.fromkeys(getattr(c, name) for c in plain)) for name in OWN}
    given = [dict(config.scoring.options) for config in plain]
    steps = sorted({number for number in map(_steps, plain) if number is not None})
    options = {name: value for own in given for name, value in own.items()}
    if len(steps) > 1:
        for spec in map(METHODS.get, lists["method"]):
            if spec and (ahead := spec.option(STEPS)):
                options.pop(ahead.name, None)
    try:
        # Each kind has settings of its own, at their defaults in runs of the other.
        first = next((c for c in plain if c.kind == WEIGHTS), plain[0])
        channels = next((c for c in plain if c.kind == CHANNELS), first)
        run = dataclasses.replace(
            first,
            **{name: getattr(RunConfig(), name) for name in OWN},
            **{name: getattr(channels, name) for name in OF_CHANNELS},
            scoring=dataclasses.replace(first.scoring, options=options),
        )
        found = SweepConfig(
            run=run,
            methods=tuple(lists["method"]),
            sparsities=tuple(lists["sparsity"]),
            seeds=tuple(lists["seed"]),
            steps=tuple(steps) if len(steps) > 1 else (),
            controls=tuple(lists["control"]),
            kinds=tuple(lists["kind"]),
        )
    except ConfigError:
        return None
    if found.size != len(plain):
        return None
    same = {c.fingerprint for c in found.cells()} == {c.fingerprint for c in plain}
    return found if same else None


def arguments(
    config: RunConfig, without: Sequence[str] = (), lists: Sequence[str] = ()
) -> list[str]:
    """The arguments of ``RunConfig`` as code; ``lists`` come after the model and the data."""
    given = arguments_of(config, values(config, without))
    return [*given[:2], *lists, *given[2:]]


def values(config: RunConfig, without: Sequence[str] = OWN) -> dict[tuple[str, str], Any]:
    """By group and name, the settings that differ from their default, and those always shown."""
    return {
        (group, option.name): value
        for group, option, value in changed(config)
        if group or option.name not in without
    }


def flag(group: str, name: str, value: Any) -> list[str]:
    flag = PREFIXES[group] + name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def _without_defaults(config: RunConfig) -> RunConfig:
    """Without the options of the criterion that are at their default."""
    spec = METHODS.get(config.method)
    usual = {option.name: option.default for option in spec.options} if spec else {}
    options = {
        name: value
        for name, value in config.scoring.options.items()
        if name not in usual or value != usual[name]
    }
    return dataclasses.replace(config, scoring=dataclasses.replace(config.scoring, options=options))


def _steps(config: RunConfig) -> int | None:
    """The number of look-ahead steps of the criterion, if it has any."""
    spec = METHODS.get(config.method)
    return spec.value(STEPS, config.scoring.options) if spec else None
