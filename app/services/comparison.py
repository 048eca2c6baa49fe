"""A study, or any runs, as one table with a row per run.

The table is built from the store's summaries. Result files are not opened, and torch is not needed.
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
    CHANNELS,
    CONTROLS,
    COUNTED,
    DATASETS,
    METHODS,
    OF_CHANNELS,
    STEPS,
    WEIGHTS,
    ConfigError,
    Run,
    Study,
    SweepConfig,
    control_names,
    display_name,
    label_of,
    runs,
    studies,
)
from app.services.summary import summary_of
from prospr_engine.format import counted
from prospr_engine.guard import limits
from prospr_engine.overrides import setting_words
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
"""Most runs in an address; a study may have more."""
METHOD = ("", "method")
"""Always part of the name of a line."""
VARYING = (("", "seed"), ("", "sparsity"), ("", "encodings"))
"""Settings in which the runs of one line may differ: the last does not change the network."""
OPTIONS = "options"
LAYERS = "layers"
KIND, BUDGET = ("", "kind"), ("", "channel_budget")
WEIGHTS_ONLY = (("", "layer_floor"), ("scoring", "check_ranking"))
CHANNELS_ONLY = tuple(("", name) for name in OF_CHANNELS)
"""Settings that only concern lines of one kind; those of the other kind do not have them."""
AHEAD = (OPTIONS, STEPS)
"""The number of steps that a criterion looks ahead."""

Key = tuple[str, str]  # the group of a setting ("" for the run itself) and its name


@dataclass(frozen=True)
class Comparison:
    """``runs`` as the visitor may see them, in order; ``missing`` is the number of runs that do not
    exist (any more). ``study`` is set if they are the runs of one."""

    runs: tuple[Run, ...]
    missing: int = 0
    study: Study | None = None

    @property
    def live(self) -> bool:
        """Whether any of the runs is queued or running."""
        return any(run.live for run in self.runs)

    @property
    def classes(self) -> int | None:
        """The number of classes, if known and the same for all runs."""
        known = {summary_of(run).classes for run in self.runs if run.summary}
        return known.pop() if len(known) == 1 else None

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """The runs by their ids."""
        return {run.id: run for run in self.runs}

    @cached_property
    def key(self) -> str:
        """A hash of everything that the table depends on, for caches of what is derived from it."""
        parts = [(run.id, run.state, run.error, run.settings.get("data")) for run in self.runs]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def chosen(text: str) -> list[str]:
    """The ids in an address, without duplicates: ``"a,b"`` names two runs."""
    return list(dict.fromkeys(filter(None, (id.strip() for id in text.split(",")))))


def of_runs(ids: Sequence[str], visitor: str) -> Comparison:
    """The runs with these ids, at most ``MOST``. Raises ``StoreError``."""
    found = [runs.find(id) for id in ids[:MOST]]
    return _comparison([run for run in found if run], visitor, missing=found.count(None))


def of_study(id: str, visitor: str) -> Comparison | None:
    """The runs of the study with that id, if there is one; makes sure that a live study has a
    worker. Raises ``StoreError``."""
    study = studies.find(id)
    if study is None:
        return None
    found = studies.cells(study)
    missing = max(0, _cells(study.id, study) - len(found))
    return _comparison(found, visitor, missing, access.study_as_seen(study, visitor))


def frame(comparison: Comparison) -> pd.DataFrame:
    """One row per run: the typed table of a sweep (``sweeps.table``) with three more columns.
    ``run`` is the run's id, ``series`` the unique name of its line, ``order`` its position.
    Runs whose settings cannot be read by this version are left out. The table is shared between
    visitors: do not modify it."""
    return _frame(comparison.key, comparison.runs)


def keep(rows: pd.DataFrame, **wanted: Sequence[Any]) -> pd.DataFrame:
    """The rows whose columns have one of the ``wanted`` values; an empty list accepts all. Missing
    values pass too, such as the steps of a criterion that has none."""
    for column, values in wanted.items():
        if values:
            rows = rows[rows[column].isin(values) | rows[column].isna()]
    return rows


@st.cache_data(max_entries=100, show_spinner=False)
def _cells(id: str, _study: Study) -> int:
    """The number of runs in the grid of a sweep; 0 for a search or if settings cannot be read."""
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
    """Whether this version can read the settings."""
    try:
        return bool(run.config)
    except ConfigError:
        return False


# A resource, not data: copying it on every rerun would cost more than the rest of the page.
@st.cache_resource(max_entries=30, show_spinner=False)
def _frame(key: str, _runs: Sequence[Run]) -> pd.DataFrame:
    readable = [run for run in _runs if _readable(run)]
    rows = [row_of(run) for run in readable]
    lines = [_line(run, row["steps"]) for run, row in zip(readable, rows, strict=True)]
    names = _names(lines)
    order = {name: place for place, name in enumerate(names.values())}
    series = [names[_hashable(line)] for line in lines]
    return table.frame(rows).assign(
        run=pd.array([run.id for run in readable], dtype="str"),
        series=pd.array(series, dtype="str"),
        order=pd.array([order[name] for name in series], dtype="int64"),
    )


def _line(run: Run, steps: int | None) -> dict[Key, Any]:
    """The settings that the runs of one line have in common: the criterion's options as given, and
    the number of steps that it looks ahead even if that is the default."""
    settings = dict(_flat(run.config.to_dict()))
    if steps is not None:
        # Criteria may name this option differently; lines use one name for it.
        spec = METHODS.get(run.config.method)
        if spec and (ahead := spec.option(STEPS)):
            settings.pop((OPTIONS, ahead.name), None)
        settings[AHEAD] = steps
    foreign = WEIGHTS_ONLY if settings[KIND] == CHANNELS else CHANNELS_ONLY
    return {key: value for key, value in settings.items() if key not in (*VARYING, *foreign)}


def _flat(values: Mapping[str, Any], group: str = "") -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield (group, name), value


def _names(lines: Sequence[Mapping[Key, Any]]) -> dict[tuple[Any, ...], str]:
    """The names of the lines, in display order: the criterion, and any other setting in which the
    lines differ."""
    unique = {_hashable(line): line for line in lines}
    ordered = sorted(unique.values(), key=_rank)
    differing = [key for key in _keys(ordered) if key != METHOD and _differs(key, ordered)]
    names: dict[tuple[Any, ...], str] = {}
    for line in ordered:
        parts = [_label(METHOD, line[METHOD])]
        parts += [_label(key, line[key]) for key in differing if key in line]
        name = ", ".join(filter(None, parts))
        duplicates = sum(other == name or other.startswith(f"{name} (") for other in names.values())
        names[_hashable(line)] = f"{name} ({duplicates + 1})" if duplicates else name
    return names


def _keys(lines: Iterable[Mapping[Key, Any]]) -> list[Key]:
    """The settings of all lines, the criterion's own first."""
    keys = dict.fromkeys(key for line in lines for key in line)
    return sorted(keys, key=lambda key: (key[0] != OPTIONS, key != AHEAD))


def _differs(key: Key, lines: Sequence[Mapping[Key, Any]]) -> bool:
    """Whether the setting differs between lines; for options, between lines of one criterion, and
    for what concerns one kind of pruning, between lines of that kind."""
    values: dict[Any, set[Any]] = {}
    for line in lines:
        if key[0] != OPTIONS and (key in line or key not in (*WEIGHTS_ONLY, *CHANNELS_ONLY)):
            values.setdefault("", set()).add(line.get(key))
        elif key[0] == OPTIONS and (key in line or key != AHEAD):
            values.setdefault(line[METHOD], set()).add(line.get(key))
    return any(len(several) > 1 for several in values.values())


def _rank(line: Mapping[Key, Any]) -> tuple[Any, ...]:
    """Criteria in the order of their table, fewer steps first, controls after what they control,
    channels after weights."""
    method, control = line[METHOD], line["", "control"]
    steps = line.get(AHEAD)
    return (
        _place(method, METHODS),
        -1 if steps is None else steps,
        _place(line[KIND], (WEIGHTS, CHANNELS)),
        _place(control, control_names()),
        str(_hashable(line)),
    )


def _place(name: str, table: Iterable[str]) -> int:
    names = list(table)
    return names.index(name) if name in names else len(names)


def _label(key: Key, value: Any) -> str:
    """A setting as part of the name of a line; "" if it adds nothing."""
    group, name = key
    if key == METHOD:
        return METHODS[value].label if value in METHODS else str(value)
    if key == ("", "control"):
        label = CONTROLS[value].label if value in CONTROLS else ""
        return label[:1].lower() + label[1:]
    if key == KIND:
        return "" if value == WEIGHTS else str(value)
    if key == BUDGET:
        return f"share of {COUNTED.get(value, value)}"
    if key == ("", "model"):
        return label_of(str(value))
    if key == ("", "data"):
        return DATASETS[value].label if value in DATASETS else display_name(str(value))
    if key == AHEAD:
        return f"M\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value}"
    if key == ("", "epochs"):
        return counted(value, "epoch")
    if group == LAYERS:
        return f"layer {name} {setting_words(value)}"
    where = "" if group in ("", OPTIONS) else f"{group} "
    shown = display_name(value) if key == ("", "weights") else value
    return f"{where}{name.replace('_', ' ')} {'automatic' if shown is None else shown}"


def _hashable(line: Mapping[Key, Any]) -> tuple[Any, ...]:
    return tuple(sorted((key, repr(value)) for key, value in line.items()))
