"""The runs behind a point of the chart or a row of the table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import pages
from app.charts.rows import records
from app.services import Run
from app.ui.findings import plain
from app.ui.format import accuracy, percent
from app.ui.states import ICONS

OPENED = "compare-opened"  # the comparison, series and sparsity whose runs are listed

Point = tuple[str, str, float]


def open_point(comparison_id: str, series: str, sparsity: float, run: str = "") -> None:
    """List the runs of a series at a sparsity, or go to ``run`` if the point is a single one. For
    callbacks: takes effect when the page is drawn."""
    st.session_state[OPENED] = (comparison_id, series, float(sparsity), run)


def show_point(comparison_id: str, rows: pd.DataFrame, runs: dict[str, Run]) -> None:
    """The runs behind the point clicked last, if they are shown."""
    opened, series, sparsity, run = st.session_state.get(OPENED, ("", "", 0.0, ""))
    if opened != comparison_id:
        return
    behind = rows[(rows["series"] == series) & (rows["sparsity"] == sparsity)]
    if run or len(behind) == 1:
        # Only once: a visitor who comes back sees the chart and can click again.
        st.session_state.pop(OPENED)
        st.switch_page(pages.RUN, query_params=pages.to_run(run or behind.iloc[0]["run"]))
    if behind.empty:
        return
    box = st.container(border=True, key="point", horizontal=True, vertical_alignment="center")
    with box:
        st.markdown(f"**{plain(series)}, {percent(sparsity)} removed**", width="content")
        for row in records(behind.sort_values("seed")):
            outcome = (
                accuracy(row["accuracy"])
                if row["state"] == "done"
                else f"{ICONS[runs[row['run']].state]} {row['state']}"
            )
            st.page_link(
                pages.RUN,
                label=f"Seed {row['seed']}: {outcome}",
                query_params=pages.to_run(row["run"]),
            )
        icon = ":material/close:"
        st.button("Close", icon=icon, type="tertiary", key="close-point", on_click=_close)


def _close() -> None:
    st.session_state.pop(OPENED, None)
