"""The charts of a comparison, cached.

The plan that decides a chart is small and changes only with the runs, the theme or a choice, so it
serves as the key for the spec.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.charts.spec import Spec
from app.compare import accuracy_chart, classes_chart
from app.compare.accuracy_chart import CLICK, Plan
from app.compare.axes import known, places
from app.compare.filters import Shown
from app.compare.points import open_point
from app.services import analysis
from app.ui.plots import theme
from prospr_engine.report.charts.colours import Colours

ACCURACY = "compare-accuracy"


def show_accuracy(shown: Shown, axis: str, cells: bool, comparison_id: str) -> float:
    """Accuracy against ``axis``; returns where the accuracy axis starts. A click on a point opens
    its runs."""
    rows, plan, words = accuracy_data(shown.key, axis, cells, shown.rows)
    st.vega_lite_chart(
        rows,
        accuracy_spec(plan, theme()),
        key=ACCURACY,
        alt=words,
        on_select=lambda: _clicked(comparison_id),
        selection_mode=CLICK,
    )
    return plan.accuracy[0]


def _clicked(comparison_id: str) -> None:
    points = st.session_state[ACCURACY]["selection"].get(CLICK) or []
    if points:
        point = points[0]
        open_point(comparison_id, point["series"], point["sparsity"], point.get("run", ""))


@st.cache_data(max_entries=60, show_spinner=False)
def accuracy_data(
    key: str, axis: str, cells: bool, _frame: pd.DataFrame
) -> tuple[pd.DataFrame, Plan, str]:
    """The data of the chart, its plan and its alt text. ``key`` identifies ``_frame``."""
    rows = accuracy_table(_frame, axis, cells)
    plan = accuracy_chart.plan(_frame, rows, axis)
    return rows, plan, accuracy_chart.description(rows, axis, plan.removed)


def accuracy_table(
    frame: pd.DataFrame, axis: str = "sparsity", cells: bool = False
) -> pd.DataFrame:
    """The rows of the chart; ``cells``: also the single runs behind a mean. Runs without a value
    on ``axis`` are left out."""
    found = analysis.done(frame)
    found = found.assign(x=places(found, known()[axis])).dropna(subset=["x"])
    several = found.groupby(["series", "sparsity"])["run"].transform("count") > 1
    single = found[several] if cells else found.iloc[:0]
    return accuracy_chart.table(analysis.points(found), analysis.dense(found), single)


@st.cache_data(max_entries=60, show_spinner=False)
def accuracy_spec(plan: Plan, colours: Colours) -> Spec:
    """The chart of this plan."""
    return accuracy_chart.chart(plan, colours)


@st.cache_data(max_entries=60, show_spinner=False)
def classes_spec(plan: classes_chart.Plan, colours: Colours) -> Spec:
    """The chart of accuracy by class of this plan."""
    return classes_chart.chart(plan, colours)
