"""All figures of a comparison: a line of the table for every line and sparsity of the chart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from app.compare.filters import Shown
from app.compare.points import open_point
from app.services.comparison import summarise

TABLE, BUTTON = "compare-table", "compare-open"
OPEN = "Open"
BY = ["series", "sparsity"]


def show_table(shown: Shown, whose: str) -> None:
    """The table; the last column opens the runs."""
    data = _table(shown.key, shown.rows)
    st.dataframe(
        data,
        hide_index=True,
        column_config=_columns(data, shown, whose),
        key=TABLE,
        placeholder="\N{EN DASH}",
        alt="Figures of every series at every sparsity",
    )
    st.caption(
        "\N{PLUS-MINUS SIGN}: half of the 95\N{NO-BREAK SPACE}% interval of the mean over seeds. "
        "Change: against the dense network of the same seed."
    )


@st.cache_data(max_entries=30, show_spinner=False)
def _table(key: str, _rows: pd.DataFrame) -> pd.DataFrame:
    groups = _rows.groupby(BY, sort=False)
    found = summarise(_rows, BY).set_index(BY)
    aggregates = (("state", _states), ("seed", _seeds), ("order", "first"))
    states, seeds, order = (groups[name].agg(how) for name, how in aggregates)
    table = pd.DataFrame(
        {
            "Asked for": 100 * found.index.get_level_values("sparsity"),
            "Removed": 100 * found["achieved_sparsity_mean"],
            "Accuracy": 100 * found["accuracy_mean"],
            "\N{PLUS-MINUS SIGN}": 100 * (found["accuracy_high"] - found["accuracy_mean"]),
            "Change": 100 * found["change_mean"],
            "Kept": found["kept_weights_mean"].round(),
            "Zipped": found["zipped_bytes_mean"] / 1e3,
            "Effective": 100 * found["effective_sparsity_mean"],
            "Seeds": seeds,
            "State": states,
            "Runs": seeds.map(_actions),
            "asked": found.index.get_level_values("sparsity"),
            "order": order,
        },
        index=found.index,
    )
    table.insert(0, "Series", found.index.get_level_values("series"))
    ordered = table.sort_values(["order", "asked"], kind="stable")
    return ordered.drop(columns="order").reset_index(drop=True)


def _states(states: pd.Series) -> str:
    """``5 done``, ``4 done, 1 failed``"""
    counts = Counter(states)
    ranked = sorted(counts.items(), key=lambda item: item[0] != "done")
    return ", ".join(f"{number} {state}" for state, number in ranked)


def _seeds(seeds: pd.Series) -> str:
    return ", ".join(str(seed) for seed in sorted(seeds))


def _actions(seeds: str) -> list[str]:
    """What the button of a row offers."""
    several = seeds.split(", ")
    return [OPEN] if len(several) == 1 else [f"Seed {seed}" for seed in several]


def _opened(data: pd.DataFrame, rows: pd.DataFrame, whose: str) -> None:
    click = st.session_state[BUTTON]
    line = data.iloc[click["row"]]
    behind = rows[(rows["series"] == line["Series"]) & (rows["sparsity"] == line["asked"])]
    if click["label"] != OPEN:
        behind = behind[behind["seed"].astype(str) == click["label"].removeprefix("Seed ")]
    open_point(whose, line["Series"], line["asked"], behind.iloc[0]["run"])


def _columns(data: pd.DataFrame, shown: Shown, whose: str) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "Series": st.column_config.TextColumn("Series", pinned=True),
        "Asked for": number(format="%.4g %%", help="Share of the weights to be removed."),
        "Removed": number(format="%.2f %%", help="Share of the weights that was removed."),
        "Accuracy": number(format="%.1f %%", help="On the test images, mean over the seeds."),
        "\N{PLUS-MINUS SIGN}": number(format="%.1f", help="Points; unknown for a single seed."),
        "Change": number(format="%+.1f", help="Points against the dense network."),
        "Kept": number("Weights kept", format="localized"),
        "Zipped": number("Zipped file", format="%.1f kB"),
        "Effective": number(
            "Effective sparsity",
            format="%.2f %%",
            help="Counts the weights as removed that are cut off from the input or the output.",
        ),
        "Runs": st.column_config.ButtonColumn(
            on_click=_opened, args=(data, shown.rows, whose), key=BUTTON, type="tertiary"
        ),
        "asked": None,
    }
