"""How the settings of sweeps and searches are read and checked, where both do it in the same way.

``noun`` is "sweep" or "search" in messages, ``own`` are the settings that a run does not have.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.errors import ConfigError
from prospr_engine.format import brief
from prospr_engine.guard import limits
from prospr_engine.registry import did_you_mean

Group = LoadingConfig | ScoringConfig | TrainingConfig
MOST_CELLS = limits.SWEEP_RUNS.value


def run_of(
    noun: str, settings: Mapping[str, Any], own: Collection[str], chosen: Collection[str]
) -> RunConfig:
    """The settings of all runs among keywords ``settings``: ``run``, or the settings of
    ``RunConfig`` but those ``chosen`` for each run. Raises ``ConfigError`` for an unknown name."""
    theirs = {name: value for name, value in settings.items() if name not in own}
    known = [f.name for f in dataclasses.fields(RunConfig) if f.name not in chosen]
    check_names(noun, theirs, [*own, *known])
    run: RunConfig | None = settings.get("run")
    if run is not None:
        if theirs:
            raise ConfigError(f"Give either run or {next(iter(theirs))}, which run has as well.")
        return run
    plain = {
        name: dataclasses.asdict(value) if isinstance(value, Group) else value
        for name, value in theirs.items()
    }
    return RunConfig.from_dict(plain)


def from_mapping(noun: str, values: Any, own: Collection[str]) -> dict[str, Any]:
    """What ``to_dict`` gave, with ``run`` as a ``RunConfig``; raises ``ConfigError``."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"The settings of a {noun} must be an object of names and values.")
    check_names(noun, values, own)
    return {**values, "run": RunConfig.from_dict(values.get("run", {}))}


def check_names(noun: str, names: Iterable[Any], known: Collection[str]) -> None:
    """Raise ``ConfigError`` for a name that is not ``known``."""
    for name in names:
        if name not in known:
            hint = did_you_mean(str(name), [*known])
            raise ConfigError(
                f"A {noun} has no setting {brief(name)}{hint}. Known: {', '.join(known)}."
            )


def entries(
    name: str, noun: str, given: Any, check: Callable[[Any], Any], may_be_empty: bool = False
) -> tuple[Any, ...]:
    """The entries of the list ``name``, or a single one, each called a ``noun``: checked, and
    without duplicates. Raises ``ConfigError``."""
    alone = isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable)
    values = [given] if alone else list(itertools.islice(given, MOST_CELLS + 1))
    if len(values) > MOST_CELLS:
        raise ConfigError(f"{name} has more than {MOST_CELLS:,} entries; give fewer.")
    found = tuple(map(check, values))
    if not found and not may_be_empty:
        raise ConfigError(f"{name} is empty; give at least one {noun}.")
    seen = set()
    for entry in found:
        if entry in seen:
            raise ConfigError(
                f"{name} contains {entry} more than once, which would repeat the same run; give "
                "each once."
            )
        seen.add(entry)
    return found
