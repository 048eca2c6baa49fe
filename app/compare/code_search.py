"""A budget search without a browser: as a command line and as a Python program."""

from __future__ import annotations

import dataclasses
import shlex

from app.compare.code_sweep import arguments, flag, values
from app.services import SearchConfig
from app.ui.code import layer_flags
from app.ui.format import to_percent

PROGRAM = """\
import torch

import prospr_engine as pe

torch.set_num_threads({threads})


def report(event):
    fields = event.to_dict()
    if fields["event"] == "Probed":
        print(fields["text"])


result = pe.search(
{settings}    out={out!r},
    on_event=report,
)
print(result.outcome.text)"""

OWN = ("sparsity", "seed")
"""Settings of a run that the search sets itself."""
GOAL_FLAGS = {
    "most_lost": "max-loss",
    "most_bytes": "max-size",
    "most_operations": "most-operations",
    "most_ms": "most-ms",
}
FLAGS = {"lowest": "lowest", "highest": "highest", "most_probes": "max-tries"}


def search_command(config: SearchConfig, threads: int, out: str = "out") -> str:
    """The command line of the same search with as many threads."""
    words = [".venv/bin/python", "-m", "prospr_engine", "search"]
    for (group, name), value in values(config.run, OWN).items():
        words += flag(group, name, value)
    limit = to_percent(config.limit) if config.about_accuracy else config.limit
    words += [f"--{GOAL_FLAGS[config.goal.setting]}", f"{limit:.15g}"]
    words += ["--seeds", ",".join(map(str, config.seeds))]
    for name, value in _unusual(config).items():
        words += [f"--{FLAGS[name]}", str(value)]
    for name, value in config.run.scoring.options.items():
        words += ["--option", f"{name}={value}"]
    words += layer_flags(config.run)
    return f"OMP_NUM_THREADS={threads} {shlex.join([*words, '--out', out])}"


def search_program(config: SearchConfig, threads: int, out: str = "out") -> str:
    """The Python program of the same search with as many threads."""
    own = {config.goal.setting: config.limit, "seeds": list(config.seeds)} | _unusual(config)
    lists = [f"{name}={value!r}" for name, value in own.items()]
    settings = "".join(f"    {line},\n" for line in arguments(config.run, OWN, lists))
    return PROGRAM.format(settings=settings, threads=threads, out=out)


def _unusual(config: SearchConfig) -> dict[str, object]:
    """The bounds and the number of tries, where they differ from the defaults."""
    usual = {field.name: field.default for field in dataclasses.fields(SearchConfig)}
    return {name: value for name in FLAGS if (value := getattr(config, name)) != usual[name]}
