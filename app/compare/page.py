"""Compare: a study or a set of runs, accuracy against sparsity, and the details.

The address is a link to exactly this view.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.compare.answer import show_answer, show_caveats, show_warnings
from app.compare.details import show_details
from app.compare.download import show_downloads
from app.compare.filters import axis, show_filters, show_none_left, single_runs
from app.compare.head import (
    chosen,
    from_address,
    repair_address,
    show_head,
    show_nothing,
    show_start,
    show_ways_on,
)
from app.compare.pair import ids_of, show_first_choice, show_two
from app.compare.plots import show_accuracy
from app.compare.points import show_point
from app.compare.progress import show_progress, show_unfinished
from app.compare.search import is_search, show_search
from app.compare.table import show_table
from app.services import EngineError
from app.services.analysis import done
from app.services.comparison import Comparison, frame
from app.ui.findings import show_error


def show(compared: Comparison, given: Mapping[str, str]) -> None:
    """The whole comparison; ``given`` are its query parameters."""
    table = frame(compared)
    show_head(compared, table)
    show_progress(compared)
    show_unfinished(compared, table)
    show_search(compared)
    if done(table).empty:
        return
    answer = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare-choices"):
        shown = show_filters(table, compared.key)
        against = axis(table)
        cells = single_runs(shown.rows)
    if done(shown.rows).empty:
        show_none_left()
        return
    if not is_search(compared):  # a search has an answer of its own
        with answer:
            show_answer(shown, compared.classes)
    show_warnings(shown)
    comparison_id = next(iter(given.values()))
    start = show_accuracy(shown, against, cells, comparison_id)
    show_point(comparison_id, shown.rows, compared.by_id)
    show_caveats(shown, start)
    show_downloads(compared, shown, against, cells, given)
    st.markdown("### Results")
    show_table(shown, comparison_id)
    show_details(shown, compared.by_id)


repair_address()
given = from_address()
try:
    compared = chosen(given) if given else None
    two = ids_of(given)
    if compared and two:
        show_two(compared, two, given)
    elif compared:
        show(compared, given)
    elif given:
        show_nothing()
    else:
        show_start()
        show_first_choice()
        show_ways_on()
except EngineError as error:
    st.title("Compare")
    show_error(error)
