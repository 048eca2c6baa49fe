"""What is compared: a study or any runs, as one table with a row per run.

The table is made of what the store's record says of every run. Results are not opened here, and
torch is not needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import streamlit as st

from app import access
from app.services import (
    CONTROLS,
    DATASETS,
    METHODS,
    MODELS,
    STEPS,
    ConfigError,
    Run,
    Study,
    SweepConfig,
    control_names,
    display_name,
    runs,
    studies,
)
from prospr_engine.format import counted
from prospr_engine.guard import limits
from prospr_engine.store.study import row_of
from prospr_engine.sweeps import table

__all__ = [
    "MOST",
    "Comparison",
    "chosen",
    "frame",
    "keep",
    "of_runs",
    "of_study",
]

MOST = limits.COMPARED_RUNS.value
"""Runs that an address may name; a study may have more."""
ALWAYS, NEVER = ("", "method"), (("", "seed"), ("", "sparsity"))
"""Settings that name a line in any case, and those by which the runs of one line differ."""
OPTIONS = "options"
AHEAD = (OPTIONS, STEPS)
"""The steps that a criterion looks ahead."""

Key = tuple[str, str]  # the group of a setting ("" for the run itself) and its name


@dataclass(frozen=True)
class Comparison:
    """``runs`` as the visitor may see them, in order; ``missing`` runs are not there (any more).
    ``study``, if they are those of one."""

    runs: tuple[Run, ...]
    missing: int = 0
    study: Study | None = None

    @property
    def live(self) -> bool:
        """Is any of the runs waiting or at work?"""
        return any(run.live for run in self.runs)

    @property
    def classes(self) -> int | None:
        """How many classes the data have, if that is known and the same for all."""
        known = {run.summary.get("classes") for run in self.runs if run.summary}
        return known.pop() if len(known) == 1 else None

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """The runs by their ids."""
        return {run.id: run for run in self.runs}

    @cached_property
    def key(self) -> str:
        """Another one as soon as the table is another one: what is made of it can be kept by it."""
        told = [(run.id, run.state, run.error, run.settings.get("data")) for run in self.runs]
        return hashlib.sha256(repr(told).encode()).hexdigest()


def chosen(text: str) -> list[str]:
    """The ids in an address: ``"a,b"`` names two runs; nobody is named twice."""
    return list(dict.fromkeys(filter(None, (id.strip() for id in text.split(",")))))


def of_runs(ids: Sequence[str], visitor: str) -> Comparison:
    """The runs of these ids, the first ``MOST`` of them. Raises ``StoreError``."""
    found = [runs.find(id) for id in ids[:MOST]]
    return _comparison([run for run in found if run], visitor, missing=found.count(None))


def of_study(id: str, visitor: str) -> Comparison | None:
    """The runs of a study, if there is one of that id; sees that somebody works on them. Raises
    ``StoreError``."""
    study = studies.find(id)
    if study is None:
        return None
    found = studies.cells(study)
    missing = max(0, _cells(study.id, study) - len(found))
    return _comparison(found, visitor, missing, access.study_as_seen(study, visitor))


def frame(comparison: Comparison) -> pd.DataFrame:
    """One row per run: the table of a sweep (``sweeps.table``), of its types, with three columns
    more: ``run`` is its id, ``series`` the name of the line it belongs to, no two the same, and
    ``order`` that line's place. Runs whose settings another version wrote have none. Not to be
    changed: everybody gets the same one."""
    return _frame(comparison.key, comparison.runs)


def keep(rows: pd.DataFrame, **wanted: Sequence[Any]) -> pd.DataFrame:
    """The rows whose columns hold one of what is ``wanted`` there; nothing wanted is anything.
    Methods without steps stay whatever steps are wanted."""
    for column, values in wanted.items():
        if values:
            rows = rows[rows[column].isin(values) | rows[column].isna()]
    return rows


@st.cache_data(max_entries=100, show_spinner=False)
def _cells(id: str, _study: Study) -> int:
    """How many runs a sweep has to have; a search, and one of another version, as it has."""
    try:
        config = _study.config
    except ConfigError:
        return 0
    return config.size if isinstance(config, SweepConfig) else 0


def _comparison(
    found: Iterable[Run], visitor: str, missing: int = 0, study: Study | None = None
) -> Comparison:
    return Comparison(tuple(access.as_seen(run, visitor) for run in found), missing, study)


def _readable(run: Run) -> bool:
    """Did this version write the settings, or one that it understands?"""
    try:
        return bool(run.config)
    except ConfigError:
        return False


# A resource, not data: a copy of it at every look would cost more than the rest of the page.
@st.cache_resource(max_entries=30, show_spinner=False)
def _frame(key: str, _runs: Sequence[Run]) -> pd.DataFrame:
    readable = [run for run in _runs if _readable(run)]
    rows = [row_of(run) for run in readable]
    lines = [_line(run, row["steps"]) for run, row in zip(readable, rows, strict=True)]
    names = _names(lines)
    order = {name: place for place, name in enumerate(names.values())}
    series = [names[_frozen(line)] for line in lines]
    return table.frame(rows).assign(
        run=pd.array([run.id for run in readable], dtype="str"),
        series=pd.array(series, dtype="str"),
        order=pd.array([order[name] for name in series], dtype="int64"),
    )


def _line(run: Run, steps: int | None) -> dict[Key, Any]:
    """All settings that the runs of one line have in common; the options of the criterion as they
    were given, and the steps that it looks ahead in any case."""
    settings = dict(_flat(run.config.to_dict()))
    if steps is not None:
        # Whatever the criterion calls it, the lines of all of them have it under one name.
        spec = METHODS.get(run.config.method)
        if spec and (ahead := spec.option(STEPS)):
            settings.pop((OPTIONS, ahead.name), None)
        settings[AHEAD] = steps
    return {key: value for key, value in settings.items() if key not in NEVER}


def _flat(values: Mapping[str, Any], group: str = "") -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield (group, name), value


def _names(lines: Sequence[Mapping[Key, Any]]) -> dict[tuple[Any, ...], str]:
    """What each line is called, in the order in which lines are shown: by the criterion, and by
    whatever else is not the same for all of them."""
    apart = {_frozen(line): line for line in lines}
    ordered = sorted(apart.values(), key=_rank)
    telling = [key for key in _keys(ordered) if key != ALWAYS and _differs(key, ordered)]
    names: dict[tuple[Any, ...], str] = {}
    for line in ordered:
        parts = [_called(ALWAYS, line[ALWAYS])]
        parts += [_called(key, line[key]) for key in telling if key in line]
        name = ", ".join(filter(None, parts))
        alike = sum(other == name or other.startswith(f"{name} (") for other in names.values())
        names[_frozen(line)] = f"{name} ({alike + 1})" if alike else name
    return names


def _keys(lines: Iterable[Mapping[Key, Any]]) -> list[Key]:
    """The settings of any of the lines: those of the criterion first."""
    keys = dict.fromkeys(key for line in lines for key in line)
    return sorted(keys, key=lambda key: (key[0] != OPTIONS, key != AHEAD))


def _differs(key: Key, lines: Sequence[Mapping[Key, Any]]) -> bool:
    """Does the setting tell lines apart? Options only lines of one criterion."""
    values: dict[Any, set[Any]] = {}
    for line in lines:
        if key[0] != OPTIONS:
            values.setdefault("", set()).add(line.get(key))
        elif key in line or key != AHEAD:
            values.setdefault(line[ALWAYS], set()).add(line.get(key))
    return any(len(several) > 1 for several in values.values())


def _rank(line: Mapping[Key, Any]) -> tuple[Any, ...]:
    """Criteria in the order of their table, fewer steps first, controls after what they control."""
    method, control = line[ALWAYS], line["", "control"]
    steps = line.get(AHEAD)
    return (
        _place(method, METHODS),
        -1 if steps is None else steps,
        _place(control, control_names()),
        str(_frozen(line)),
    )


def _place(name: str, table: Iterable[str]) -> int:
    names = list(table)
    return names.index(name) if name in names else len(names)


def _called(key: Key, value: Any) -> str:
    """A setting in the name of a line; empty where there is nothing to say."""
    group, name = key
    if key == ALWAYS:
        return METHODS[value].label if value in METHODS else str(value)
    if key == ("", "control"):
        label = CONTROLS[value].label if value in CONTROLS else ""
        return label[:1].lower() + label[1:]
    if key == ("", "model"):
        return MODELS[value].label if value in MODELS else str(value)
    if key == ("", "data"):
        return DATASETS[value].label if value in DATASETS else display_name(str(value))
    if key == AHEAD:
        return f"M\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value}"
    if key == ("", "epochs"):
        return counted(value, "epoch")
    where = "" if group in ("", OPTIONS) else f"{group} "
    shown = display_name(value) if key == ("", "weights") else value
    return f"{where}{name.replace('_', ' ')} {'automatic' if shown is None else shown}"


def _frozen(line: Mapping[Key, Any]) -> tuple[Any, ...]:
    return tuple(sorted((key, repr(value)) for key, value in line.items()))
