"""A study, or any runs, compared: accuracy against sparsity, and what lies behind it.

Its address is the link to exactly what is on show.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.compare.answer import show_answer, show_limits, show_warnings
from app.compare.details import show_details
from app.compare.filters import axis, show_filters, show_none_left, single_runs
from app.compare.head import (
    asked,
    chosen,
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
from app.compare.take import show_take
from app.services import EngineError
from app.services.analysis import done
from app.services.comparison import Comparison, frame
from app.ui.findings import show_error


def show(compared: Comparison, given: Mapping[str, str]) -> None:
    """All of a comparison, which is the one that is ``given`` in the address."""
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
        against = axis()
        cells = single_runs(shown.rows)
    if done(shown.rows).empty:
        show_none_left()
        return
    if not is_search(compared):  # whose answer is another one, and told
        with answer:
            show_answer(shown, compared.classes)
    show_warnings(shown)
    whose = next(iter(given.values()))
    start = show_accuracy(shown, against, cells, whose)
    show_point(whose, shown.rows, compared.by_id)
    show_limits(shown, start)
    show_take(compared, shown, against, cells, given)
    st.markdown("### In figures")
    show_table(shown, whose)
    show_details(shown, compared.by_id)


repair_address()
given = asked()
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
