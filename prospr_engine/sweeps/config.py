"""The settings of a sweep: what its runs share, and what is compared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prospr_engine.config import (
    CHANNELS,
    NO_CONTROL,
    WEIGHTS,
    RunConfig,
    check_sparsity,
)
from prospr_engine.errors import ConfigError
from prospr_engine.format import brief, listed, plural
from prospr_engine.identity import study_fingerprint
from prospr_engine.io.files import read_settings
from prospr_engine.registry import did_you_mean, settings_of
from prospr_engine.saliency import METHODS, STEPS, MethodSpec
from prospr_engine.saliency.controls import find_control
from prospr_engine.sweeps.settings import MOST_CELLS, entries, from_mapping, run_of

OPTIONS = {option.name: option for option in settings_of(RunConfig)}

LISTS = {
    "methods": "method",
    "sparsities": "sparsity",
    "seeds": "seed",
    "steps": "steps",
    "controls": "control",
    "kinds": "kind",
}
"""The lists of a sweep, and the name of an entry of each."""

OWN = ("method", "sparsity", "seed", "control", "kind")
"""Settings of a run that a sweep has lists of."""
OF_CHANNELS = ("channel_budget", "channel_multiple")
"""Settings that only concern runs that remove channels."""


@dataclass(frozen=True)
class SweepConfig:
    """Every combination of ``methods``, ``sparsities``, ``seeds``, ``controls`` ("none" is no
    control) and ``kinds`` ("weights", "channels").

    ``run`` has the settings that all runs share; its scoring options go to the methods that have
    them, and settings that concern one kind to the runs of that kind. What cannot be combined is
    left out (see ``left_out``): to remove channels, a method has to rank them, and there are no
    controls. ``steps`` are numbers of look-ahead steps (M) to compare, for the methods that look
    ahead; empty for each method's own. A list may be any iterable, or a single entry.

    Raises ``ConfigError`` if a list is empty or repeats an entry, a value is unknown or out of
    range, the settings contradict each other, no method or control can be combined with a kind, or
    there are more than ``MOST_CELLS`` runs.
    """

    run: RunConfig = field(default_factory=RunConfig)
    methods: tuple[str, ...] = ("prospr",)
    sparsities: tuple[float, ...] = (0.9,)
    seeds: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = ()
    controls: tuple[str, ...] = (NO_CONTROL,)
    kinds: tuple[str, ...] = (WEIGHTS,)

    def __post_init__(self) -> None:
        if not isinstance(self.run, RunConfig):
            raise ConfigError("run is not a RunConfig.")
        for name in OWN:
            if getattr(self.run, name) != OPTIONS[name].default:
                raise ConfigError(_taken(name, getattr(self.run, name)))
        for name in LISTS:
            object.__setattr__(self, name, _entries(name, getattr(self, name)))
        self._check_options()
        self._check_steps()
        self._check_kinds()
        if self.size > MOST_CELLS:
            raise ConfigError(
                f"This sweep would be {self.size:,} runs; the limit is {MOST_CELLS:,}. Choose "
                "fewer methods, sparsities or seeds."
            )

    @classmethod
    def of(cls, **settings: Any) -> SweepConfig:
        """The config with these lists, and these settings of ``RunConfig`` for all runs: the
        keywords of ``pe.sweep``."""
        lists = {name: settings[name] for name in LISTS if name in settings}
        for name in OWN:
            if name in settings:
                raise ConfigError(_taken(name, settings[name]))
        return cls(run=run_of("sweep", settings, ["run", *LISTS], OWN), **lists)

    @property
    def size(self) -> int:
        """The number of runs in ``cells``, without creating them."""
        series = sum(
            (max(1, len(self.steps)) if METHODS[method].option(STEPS) else 1)
            * len(self._changes(METHODS[method]))
            for method in self.methods
        )
        return series * len(self.sparsities) * len(self.seeds)

    def cells(self) -> tuple[RunConfig, ...]:
        """The runs in the order of execution: by seed, method, steps, kind, control and sparsity.
        Options at their defaults are left out, so that giving them does not change a run's
        fingerprint."""
        run_of_kind = {kind: self._run_of(kind) for kind in self.kinds}
        return tuple(
            dataclasses.replace(
                run_of_kind[kind],
                kind=kind,
                method=method,
                sparsity=sparsity,
                seed=seed,
                control=control,
                scoring=dataclasses.replace(run_of_kind[kind].scoring, options=options),
            )
            for seed in self.seeds
            for method in self.methods
            for options in self._options(METHODS[method])
            for (kind, control), sparsity in itertools.product(
                self._changes(METHODS[method]), self.sparsities
            )
        )

    def left_out(self) -> str:
        """What is left out of the grid, and why, in a sentence; "" if nothing is."""
        if CHANNELS not in self.kinds:
            return ""
        unable = [METHODS[name].label for name in self.methods if METHODS[name].channels is None]
        parts = []
        if unable:
            rank = plural(len(unable), "it ranks", "they rank")
            parts.append(f"{listed(unable)} ({rank} single weights only)")
        if len(self.controls) > 1:
            parts.append("controls (they move single weights)")
        return f"Left out where channels are removed: {listed(parts)}." if parts else ""

    def to_dict(self) -> dict[str, Any]:
        """Every setting as JSON-ready values; ``run`` has only those that all runs share."""
        run = {name: value for name, value in self.run.to_dict().items() if name not in OWN}
        return {"run": run, **{name: list(getattr(self, name)) for name in LISTS}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SweepConfig:
        """The config from ``to_dict``; ``ConfigError`` if a setting is unknown or invalid."""
        return cls(**from_mapping("sweep", values, ["run", *LISTS]))

    @classmethod
    def read(cls, path: str | Path) -> SweepConfig:
        """Read a ``sweep.json``; raises ``ConfigError`` if it is missing or invalid."""
        return cls.from_dict(read_settings(path, "the sweep.json of a sweep"))

    @property
    def fingerprint(self) -> str:
        """Identifies the settings: 16 hex digits; see ``identity.study_fingerprint``."""
        return study_fingerprint(self)

    def _options(self, spec: MethodSpec) -> Iterator[dict[str, Any]]:
        """The options of the method, for each number of steps."""
        given = self.run.scoring.options
        chosen = {o.name: o.check(given[o.name]) for o in spec.options if o.name in given}
        ahead = spec.option(STEPS)
        for steps in self.steps if self.steps and ahead else (None,):
            options = {**chosen, ahead.name: steps} if ahead and steps is not None else chosen
            yield {
                o.name: options[o.name]
                for o in spec.options
                if o.name in options and options[o.name] != o.default
            }

    def _changes(self, spec: MethodSpec) -> list[tuple[str, str]]:
        """The kinds and controls that can be combined with the method and each other."""
        pairs = itertools.product(self.kinds, self.controls)
        return [
            (kind, control)
            for kind, control in pairs
            if kind != CHANNELS or (spec.channels is not None and control == NO_CONTROL)
        ]

    def _run_of(self, kind: str) -> RunConfig:
        """The settings that all runs of that kind share."""
        usual, run = RunConfig(), self.run
        if kind == WEIGHTS:
            own = {name: getattr(usual, name) for name in OF_CHANNELS}
            return dataclasses.replace(run, **own)
        scoring = dataclasses.replace(run.scoring, check_ranking=usual.scoring.check_ranking)
        return dataclasses.replace(run, layer_floor=usual.layer_floor, scoring=scoring)

    def _check_kinds(self) -> None:
        if CHANNELS not in self.kinds:
            return
        if NO_CONTROL not in self.controls:
            raise ConfigError(
                "There are no controls where channels are removed: they move single weights. Add "
                f"{NO_CONTROL!r} to the controls, or leave {CHANNELS!r} out."
            )
        if all(METHODS[name].channels is None for name in self.methods):
            able = ", ".join(name for name, spec in METHODS.items() if spec.channels is not None)
            raise ConfigError(
                f"None of the methods {', '.join(self.methods)} ranks channels; add one of {able}, "
                f"or leave {CHANNELS!r} out."
            )
        if self.kinds == (CHANNELS,):
            dataclasses.replace(self.run, kind=CHANNELS)  # refuses what concerns weights alone

    def _check_options(self) -> None:
        known = {option.name for name in self.methods for option in METHODS[name].options}
        for name in self.run.scoring.options:
            if name not in known:
                raise ConfigError(
                    f"None of the methods {', '.join(self.methods)} has an option {brief(name)}"
                    f"{did_you_mean(str(name), sorted(known))}. "
                    f"Known: {', '.join(sorted(known)) or 'none'}."
                )
        for method in self.methods:
            try:
                list(self._options(METHODS[method]))
            except ConfigError as error:
                raise ConfigError(f"In the method {method!r}: {error}") from None

    def _check_steps(self) -> None:
        if not self.steps:
            return
        ahead = {option.name for name in self.methods if (option := METHODS[name].option(STEPS))}
        if ahead & {*self.run.scoring.options}:
            raise ConfigError(
                "steps is given both as a list to compare and as an option of the method; remove "
                "one of them."
            )
        if not ahead:
            able = ", ".join(name for name, spec in METHODS.items() if spec.option(STEPS))
            raise ConfigError(
                f"None of the methods {', '.join(self.methods)} looks ahead, so there are no steps "
                f"to compare; leave steps out, or add one of {able}."
            )


def _entries(name: str, given: Any) -> tuple[Any, ...]:
    noun = LISTS[name]
    return entries(name, noun, given, partial(_entry, noun), may_be_empty=name == "steps")


def _entry(noun: str, value: Any) -> Any:
    if noun == "method":
        return METHODS.find(value).name
    if noun == "steps":
        return next(filter(None, (spec.option(STEPS) for spec in METHODS.values()))).check(value)
    value = OPTIONS[noun].check(value)
    if noun == "control":
        find_control(value)
    return check_sparsity(value) if noun == "sparsity" else value


def _taken(name: str, value: Any) -> str:
    several = next(lists for lists, noun in LISTS.items() if noun == name)
    return f"A sweep compares several values of {name} ({value}); give {several} instead."
