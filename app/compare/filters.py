"""Which runs of a comparison are shown, and against what: all of it in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from app.compare import axes
from app.services import analysis, is_control
from app.services.analysis import done
from app.services.comparison import keep
from app.ui.format import listed, percent_number, read_share
from app.ui.labels import BUDGETS, KINDS, WITHOUT_CONTROL
from app.ui.titles import control_label, method_label

# These widgets bind to query parameters, under names that no other page uses.
METHODS, CONTROLS, SEEDS, STEPS, KIND = (
    "only",
    "only-control",
    "only-seed",
    "only-steps",
    "only-kind",
)
AXIS, CELLS, LEVEL = "against", "single", "at-sparsity"
OPEN = "open-"
"""Prefix of the key of a section's expander."""
USUAL = 0.95  # the details are of this sparsity at first, or of the nearest one
MOST_SEGMENTS = 8


@dataclass(frozen=True)
class Shown:
    """The ``rows`` of the table that are shown; ``key`` identifies them in caches."""

    rows: pd.DataFrame
    key: str


def show_filters(table: pd.DataFrame, key: str) -> Shown:
    """A box for each setting that differs; an empty box means all."""
    methods = {method_label(name): name for name in table.sort_values("order")["method"].unique()}
    controls = {_control(name): name for name in _ordered(table, "control")}
    seeds = {str(seed): seed for seed in sorted(table["seed"].unique())}
    kinds = {KINDS.get(name, name): name for name in sorted(table["kind"].unique(), key=_place)}
    steps = {str(int(steps)): steps for steps in sorted(table["steps"].dropna().unique())}
    boxes = (
        ("Criteria", METHODS, methods, "method"),
        ("Controls", CONTROLS, controls, "control"),
        ("What is removed", KIND, kinds, "kind"),
        ("Seeds", SEEDS, seeds, "seed"),
        ("Look-ahead steps (M)", STEPS, steps, "steps"),
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
    """No run matches the filters."""
    st.info("No matching runs.", icon=":material/search_off:")
    st.button("Show all", icon=":material/filter_list_off:", on_click=_show_all, key="show-all")


def axis(table: pd.DataFrame) -> str:
    """The name of the horizontal axis, of a figure that the runs of ``table`` have."""
    names = {axis.label: axis.name for axis in axes.offered(done(table)).values()}
    shown = st.selectbox("Accuracy against", list(names), key=AXIS, bind="query-params", width=250)
    return names[shown]


def single_runs(rows: pd.DataFrame) -> bool:
    """Whether to draw single runs as well as means; the toggle appears only with several seeds."""
    if rows["seed"].nunique() < 2:
        return False
    return bool(st.toggle("Single runs", key=CELLS, bind="query-params",
                          help="Also show every run, not just the means."))  # fmt: skip


def level(rows: pd.DataFrame) -> float:
    """The sparsity of the details."""
    # All digits: the sparsities that a search tries lie close together.
    names = {percent_number(sparsity): sparsity for sparsity in sorted(rows["sparsity"].unique())}
    usual = min(names, key=lambda name: (abs(names[name] - USUAL), names[name]))
    if len(names) == 1:
        return float(names[usual])
    # The names of the choices are percentages, as the address was; fractions are understood, too.
    typed = st.query_params.get(LEVEL, "")
    share = None if typed in names else read_share(typed)
    if share is not None and percent_number(share) in names and LEVEL not in st.session_state:
        st.session_state[LEVEL] = percent_number(share)
    what = listed(BUDGETS[name] for name in analysis.budgets(rows))
    label = f"{what.capitalize()} removed (%)"
    if len(names) <= MOST_SEGMENTS:
        shown = st.segmented_control(
            label,
            list(names),
            default=usual,
            required=True,
            key=LEVEL,
            bind="query-params",
        )
    else:
        shown = st.selectbox(
            label,
            list(names),
            list(names).index(usual),
            key=LEVEL,
            bind="query-params",
        )
    return float(names[shown])


def address(given: Mapping[str, str]) -> str:
    """The query string of a link to this view: ``given`` says what is compared, the widgets say
    the rest."""
    open_sections = sorted(str(name) for name in st.session_state if str(name).startswith(OPEN))
    names = (METHODS, CONTROLS, KIND, SEEDS, STEPS, AXIS, CELLS, LEVEL, *open_sections)
    values = {name: value for name in names if (value := st.session_state.get(name))}
    parameters = {name: "true" if value is True else value for name, value in values.items()}
    return urlencode({**given, **parameters}, doseq=True, safe=",")


def _place(kind: str) -> int:
    return list(KINDS).index(kind) if kind in KINDS else len(KINDS)


def _control(name: str) -> str:
    label = control_label(name)
    return f"{label[:1].upper()}{label[1:]}" if is_control(name) else WITHOUT_CONTROL


def _ordered(table: pd.DataFrame, column: str) -> Iterable[str]:
    names: Sequence[str] = table.sort_values("order", kind="stable")[column].unique().tolist()
    return sorted(names, key=is_control)


def _show_all() -> None:
    for name in (METHODS, CONTROLS, KIND, SEEDS, STEPS):
        if name in st.session_state:
            st.session_state[name] = []
