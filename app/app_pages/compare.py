"""A study, or any runs, compared: accuracy against sparsity, and what lies behind it.

Its address is the link to exactly what is on show.
"""

from __future__ import annotations

import streamlit as st

from app.components.compare import (
    asked,
    chosen,
    repair_address,
    show_head,
    show_nothing,
    show_start,
)
from app.components.compare_filters import axis, show_filters, show_none_left, single_runs
from app.components.compare_plots import show_accuracy
from app.components.compare_points import show_point
from app.components.compare_progress import show_progress, show_unfinished
from app.components.compare_table import show_table
from app.components.findings import show_error
from app.services import EngineError
from app.services.comparison import Comparison, frame


def show(compared: Comparison, whose: str) -> None:
    """All of a comparison."""
    table = frame(compared)
    show_head(compared, table)
    show_progress(compared)
    if (table["state"] == "done").any():
        shown = show_filters(table, compared.key)
        if shown.rows.empty:
            show_none_left()
        else:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                against = axis()
                cells = single_runs(shown.rows)
            show_accuracy(shown, against, cells, whose)
            show_point(whose, shown.rows, compared.by_id)
            st.markdown("### In figures")
            show_table(shown, whose)
    show_unfinished(compared, table)


repair_address()
given = asked()
try:
    compared = chosen(given) if given else None
    if compared:
        show(compared, next(iter(given.values())))
    elif given:
        show_nothing()
    else:
        show_start()
except EngineError as error:
    st.title("Compare")
    show_error(error)
