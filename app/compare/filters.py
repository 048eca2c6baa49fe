"""Which runs of a comparison are on show, and against what: all of it in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from app.compare import axes
from app.services import is_control
from app.services.comparison import keep
from app.ui.format import percent_number
from app.ui.labels import WITHOUT_CONTROL
from app.ui.titles import control_label, method_label

# The names of these widgets stand in the address. No other page has such ones.
METHODS, CONTROLS, SEEDS, STEPS = "only", "only-control", "only-seed", "only-steps"
AXIS, CELLS, LEVEL = "against", "single", "at-sparsity"
OPEN = "open-"
"""Before the name of a section: the box that opens it."""
USUAL = 0.95  # the sparsity that is looked at closely, or the nearest one to it
MOST_SEGMENTS = 8


@dataclass(frozen=True)
class Shown:
    """``rows`` of the table are on show; ``key`` is another one as soon as they are others."""

    rows: pd.DataFrame
    key: str


def show_filters(table: pd.DataFrame, key: str) -> Shown:
    """Boxes for whatever differs; nothing chosen in one is everything."""
    methods = {method_label(name): name for name in table.sort_values("order")["method"].unique()}
    controls = {_control(name): name for name in _ordered(table, "control")}
    seeds = {str(seed): seed for seed in sorted(table["seed"].unique())}
    steps = {str(int(steps)): steps for steps in sorted(table["steps"].dropna().unique())}
    boxes = (
        ("Criteria", METHODS, methods, "method"),
        ("Controls", CONTROLS, controls, "control"),
        ("Seeds", SEEDS, seeds, "seed"),
        ("Steps looked ahead (M)", STEPS, steps, "steps"),
    )
    wanted: dict[str, Sequence[Any]] = {}
    for label, name, choices, column in boxes:
        if len(choices) > 1:
            chosen = st.multiselect(
                label, list(choices), key=name, bind="query-params", placeholder="All", width=230
            )
            wanted[column] = [choices[one] for one in chosen]
    rows = keep(table, **wanted)
    return Shown(rows, f"{key} {sorted(wanted.items())}")


def show_none_left() -> None:
    """Nothing is like what was chosen."""
    st.info("No matching runs.", icon=":material/search_off:")
    st.button("Show all", icon=":material/filter_list_off:", on_click=_show_all, key="show-all")


def axis() -> str:
    """What accuracy is drawn against."""
    names = {axis.label: axis.name for axis in axes.known().values()}
    shown = st.segmented_control(
        "Accuracy against",
        list(names),
        default=next(iter(names)),
        required=True,
        key=AXIS,
        bind="query-params",
    )
    return names[shown]


def single_runs(rows: pd.DataFrame) -> bool:
    """Are the single runs drawn besides their means? Asked only where there are some."""
    if rows["seed"].nunique() < 2:
        return False
    return bool(st.toggle("Every seed", key=CELLS, bind="query-params",
                          help="Draw every run besides the means."))  # fmt: skip


def level(rows: pd.DataFrame) -> float:
    """The sparsity that is looked at closely."""
    # All digits: the tries of a search lie close together.
    names = {percent_number(sparsity): sparsity for sparsity in sorted(rows["sparsity"].unique())}
    usual = min(names, key=lambda name: (abs(names[name] - USUAL), names[name]))
    if len(names) == 1:
        return float(names[usual])
    if len(names) <= MOST_SEGMENTS:
        shown = st.segmented_control(
            "Weights removed (%)",
            list(names),
            default=usual,
            required=True,
            key=LEVEL,
            bind="query-params",
        )
    else:
        shown = st.selectbox(
            "Weights removed (%)",
            list(names),
            list(names).index(usual),
            key=LEVEL,
            bind="query-params",
        )
    return float(names[shown])


def address(given: Mapping[str, str]) -> str:
    """What follows the question mark in the link to all that is on show: ``given`` says what is
    compared, the widgets say the rest."""
    open_sections = sorted(str(name) for name in st.session_state if str(name).startswith(OPEN))
    names = (METHODS, CONTROLS, SEEDS, STEPS, AXIS, CELLS, LEVEL, *open_sections)
    held = {name: value for name in names if (value := st.session_state.get(name))}
    told = {name: "true" if value is True else value for name, value in held.items()}
    return urlencode({**given, **told}, doseq=True, safe=",")


def _control(name: str) -> str:
    label = control_label(name)
    return f"{label[:1].upper()}{label[1:]}" if is_control(name) else WITHOUT_CONTROL


def _ordered(table: pd.DataFrame, column: str) -> Iterable[str]:
    names: Sequence[str] = table.sort_values("order", kind="stable")[column].unique().tolist()
    return sorted(names, key=is_control)


def _show_all() -> None:
    for name in (METHODS, CONTROLS, SEEDS, STEPS):
        if name in st.session_state:
            st.session_state[name] = []
