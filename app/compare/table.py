"""All figures of a comparison: a row of the table for every series and sparsity."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from app.compare.filters import Shown
from app.compare.points import open_point
from app.services import metrics
from app.services.analysis import means
from app.ui.format import SCALES

TABLE, BUTTON = "compare-table", "compare-open"
OPEN = "Open"
TARGET = "Removed (target)"
BY = ["series", "sparsity"]
UNITS = {"share": " %%", "bytes": " kB", "seconds": " s", "ms": " ms"}
DIGITS = 3  # after the point, where the row of the figure sets none


def show_table(shown: Shown, comparison_id: str) -> None:
    """The table; its second column, which no figures push out of sight, opens the runs."""
    data = _table(shown.key, shown.rows)
    st.dataframe(
        data,
        hide_index=True,
        column_config=_columns(data, shown, comparison_id),
        key=TABLE,
        placeholder="\N{EN DASH}",
        alt="Figures of every series at every sparsity",
    )
    st.caption(
        "\N{PLUS-MINUS SIGN}: half the 95\N{NO-BREAK SPACE}% interval of the mean over seeds. "
        "Change: compared to the dense network of the same seed."
    )


@st.cache_data(max_entries=30, show_spinner=False)
def _table(key: str, _rows: pd.DataFrame) -> pd.DataFrame:
    groups = _rows.groupby(BY, sort=False)
    found = means(_rows).set_index(BY)
    aggregates = (("state", _states), ("seed", _seeds), ("order", "first"))
    states, seeds, order = (groups[name].agg(how) for name, how in aggregates)
    figures: dict[str, pd.Series] = {}
    for metric, column in _shown():
        scale, mean = SCALES[metric.unit][0], found[f"{metric.name}_mean"]
        if metric.partial and mean.isna().all():
            continue
        figures[column.heading] = mean.round() if metric.unit == "count" else scale * mean
        if column.spread:
            figures[_spread(column)] = scale * (found[f"{metric.name}_high"] - mean)
    table = pd.DataFrame(
        {
            "Runs": seeds.map(_actions),
            TARGET: 100 * found.index.get_level_values("sparsity"),
            **figures,
            "Seeds": seeds,
            "State": states,
            "target": found.index.get_level_values("sparsity"),
            "order": order,
        },
        index=found.index,
    )
    table.insert(0, "Series", found.index.get_level_values("series"))
    ordered = table.sort_values(["order", "target"], kind="stable")
    return ordered.drop(columns="order").reset_index(drop=True)


def _shown() -> list[tuple[metrics.Metric, metrics.Column]]:
    """The figures of the table, the leading ones first."""
    found = [(metric, metric.compare) for metric in metrics.columns() if metric.compare]
    return sorted(found, key=lambda pair: not pair[1].leading)


def _spread(column: metrics.Column) -> str:
    return f"\N{PLUS-MINUS SIGN} {column.heading}"


def _format(metric: metrics.Metric, column: metrics.Column) -> str:
    """How Streamlit writes the numbers of the column."""
    if metric.unit == "count":
        return "localized"
    sign = "+" if metric.unit == "difference" else ""
    suffix = UNITS.get(metric.unit, "")
    return f"%{sign}.{_digits(metric, column)}f{suffix}"


def _digits(metric: metrics.Metric, column: metrics.Column) -> int:
    if column.digits is not None:
        return column.digits
    return 0 if metric.unit == "count" else DIGITS


def _states(states: pd.Series) -> str:
    """``5 done``, ``4 done, 1 failed``"""
    counts = Counter(states)
    ranked = sorted(counts.items(), key=lambda item: item[0] != "done")
    return ", ".join(f"{number} {state}" for state, number in ranked)


def _seeds(seeds: pd.Series) -> str:
    return ", ".join(str(seed) for seed in sorted(seeds))


def _actions(seeds: str) -> list[str]:
    """The labels of a row's buttons."""
    several = seeds.split(", ")
    return [OPEN] if len(several) == 1 else [f"Seed {seed}" for seed in several]


def _opened(data: pd.DataFrame, rows: pd.DataFrame, comparison_id: str) -> None:
    click = st.session_state[BUTTON]
    line = data.iloc[click["row"]]
    behind = rows[(rows["series"] == line["Series"]) & (rows["sparsity"] == line["target"])]
    if click["label"] != OPEN:
        behind = behind[behind["seed"].astype(str) == click["label"].removeprefix("Seed ")]
    open_point(comparison_id, line["Series"], line["target"], behind.iloc[0]["run"])


def _columns(data: pd.DataFrame, shown: Shown, comparison_id: str) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    figures: dict[str, Any] = {}
    for metric, column in _shown():
        figures[column.heading] = number(format=_format(metric, column), help=column.help or None)
        if column.spread:
            unit = "Points" if metric.unit == "share" else "Half the interval"
            figures[_spread(column)] = number(
                "\N{PLUS-MINUS SIGN}",
                format=f"%.{_digits(metric, column)}f",
                help=f"{unit}; unknown for a single seed.",
            )
    return {
        "Series": st.column_config.TextColumn("Series", pinned=True),
        "Runs": st.column_config.ButtonColumn(
            on_click=_opened, args=(data, shown.rows, comparison_id), key=BUTTON, type="tertiary"
        ),
        TARGET: number(
            format="%.4g %%", help="Share to remove: of the weights, where nothing else is said."
        ),
        **figures,
        "target": None,
    }
