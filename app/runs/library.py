"""The list of runs: filters, and the matching runs page by page."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Sequence

import streamlit as st

from app.runs.search import NEWEST, ORDERS, order, search
from app.services import EngineError, Limits, Run, Study
from app.services import runs as service
from app.services import studies as of_studies
from app.ui import figures, run_link, when
from app.ui import studies as words
from app.ui.findings import plain
from app.ui.format import accuracy, duration, percent, plural, signed_points, size
from app.ui.states import ICONS, WORDS, state
from app.ui.titles import of, title
from app.ui.watch import POLL, version

PAGE = 20  # runs; drawing 500 at once would take seconds
REST = 5.0  # if none is live: one may be started in another tab or on the command line
ALL = "All"
# Names of widgets, also in the address.
FIND, STATE, SORT, CELLS = "find", "state", "sort", "cells"

STYLE = """
<style>
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(5rem, 1fr));
  gap: 0.25rem 0.75rem; margin: 0; font-size: 0.875rem;
}
.figures div, .figures dd { margin: 0; padding: 0; }
.figures dt { font-weight: 400; opacity: 0.8; }
.figures dd { font-weight: 600; font-variant-numeric: tabular-nums; }
</style>
"""


def show_filters() -> None:
    """Search box, state and order, kept in the address."""
    left, right = st.columns([0.6, 0.4])
    with left:
        st.text_input(
            "Search",
            key=FIND,
            type="search",
            live="300ms",
            placeholder="Name, model, data, criterion or a setting",
            icon=":material/search:",
            bind="query-params",
        )
    with right.container(horizontal=True):
        st.selectbox(
            "State",
            [ALL, *WORDS.values()],
            key=STATE,
            bind="query-params",
        )
        st.selectbox(
            "Sort by",
            [NEWEST, *ORDERS],
            key=SORT,
            bind="query-params",
        )


def search_text() -> str:
    """The text of the search box, or of the address before the box is drawn."""
    return str(st.session_state.get(FIND, st.query_params.get(FIND)) or "")


def show_cells() -> bool:
    """Whether to list the runs of studies too; kept in the address."""
    return st.toggle(
        "Show the runs of sweeps and searches",
        key=CELLS,
        help="Each has its own page; the page of the sweep or search compares them.",
        bind="query-params",
    )


def matching_runs(runs: Sequence[Run]) -> list[Run]:
    """The ``runs`` that pass the filters, in the selected order."""
    wanted = st.session_state[STATE]
    matching = [run for run in runs if wanted in (ALL, WORDS[run.state])]
    return order(search(matching, st.session_state[FIND] or ""), st.session_state[SORT])


def clear_filters() -> None:
    """A callback: reset the filters."""
    st.session_state[FIND] = ""
    st.session_state[STATE] = ALL


def show_runs(runs: Sequence[Run]) -> None:
    """One page of ``runs``, and links to the others."""
    count = math.ceil(len(runs) / PAGE)
    slot = st.container()
    number = 1
    if count > 1:
        # A key per filter setting: other results start on the first page, and visitors who come
        # back find the page they left.
        filters = "-".join(str(st.session_state[name]) for name in (FIND, STATE, SORT))
        with st.container(horizontal_alignment="center"):
            number = st.pagination(count, key=f"page-{filters}", persist_state="session")
    with slot:
        st.html(STYLE)
        run_link.style()
        now = time.time()
        for run in runs[PAGE * (number - 1) : PAGE * number]:
            _row(run, now)


def selected(runs: Sequence[Run]) -> list[Run]:
    """The selected ``runs``, on all pages."""
    return [run for run in runs if st.session_state.get(pick(run))]


def pick(run: Run) -> str:
    """The key of the run's check box."""
    return f"pick-{run.id}"


def watch_all(
    runs: Sequence[Run], studies: Sequence[Study], visitor: str, cells: bool = False
) -> None:
    """Rerun the page as soon as the visitor's ``runs`` or ``studies`` change. ``cells``: the runs
    include those of studies."""
    versions, drawn = _versions(runs, studies), time.monotonic()

    def poll() -> None:
        # Not while the page itself is drawn, which has just read the same.
        if time.monotonic() - drawn > POLL / 2:
            _poll(visitor, versions, cells)

    live = any(run.live for run in runs) or any(study.live for study in studies)
    st.fragment(poll, run_every=POLL if live else REST)()


def retention(limits: Limits) -> str:
    """How long runs are kept."""
    days = f"{limits.keep_days:g} {plural(limits.keep_days, 'day')}"
    return (
        f"Runs are kept for {days} after they end. If all files together exceed "
        f"{limits.keep_gigabytes:g} GB, the oldest are deleted first. Anyone with a run's link "
        "can view it; only you can change yours."
    )


def _row(run: Run, now: float) -> None:
    with st.container(border=True):
        left, right = st.columns([0.55, 0.45], vertical_alignment="center")
        with left.container(horizontal=True, gap="small", wrap=False):
            st.checkbox(
                f"Select {plain(title(run))}",
                key=pick(run),
                label_visibility="collapsed",
                persist_state="page",
            )
            with st.container(gap=None):
                run_link.show_link(run)
                st.caption(
                    f"{ICONS[run.state]} {state(run)} · {when.ago(run.created, now)}"
                    + ("" if run.owner else " · :material/terminal: command line")
                    + (" · :material/grid_view: of a sweep or search" if run.study else ""),
                    help=_times(run),
                )
                st.caption(plain(of(run)))
                if run.error:
                    st.caption(plain(run.error))
        if run.summary:
            right.html(_figures(run))


def _figures(run: Run) -> str:
    """The figures of the run as an HTML list of names and values."""
    removed, pruned, dense = figures.sparsity(run), figures.pruned(run), figures.dense(run)
    change, bytes = figures.change(run), figures.model_bytes(run)
    values = {"Removed": removed is not None and percent(removed)}
    if pruned is not None and dense is not None and change is not None:
        values |= {
            "Accuracy": accuracy(pruned),
            "Dense": accuracy(dense),
            "Change": signed_points(change) if change else "none",
        }
    values["Model file"] = bytes is not None and size(bytes)
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in values.items()
        if value
    )
    return f'<dl class="figures">{cells}</dl>'


def _times(run: Run) -> str:
    """The exact times, for the tooltip."""
    parts = [f"Submitted on {when.exactly(run.created)}"]
    if run.started is not None:
        parts.append(f"started on {when.exactly(run.started)}")
    if run.ended is not None:
        took = f", after {duration(run.ended - run.started)}" if run.started is not None else ""
        parts.append(f"ended on {when.exactly(run.ended)}{took}")
    return plain("; ".join(parts) + ".")


def _poll(visitor: str, versions: Sequence[object], cells: bool = False) -> None:
    try:
        runs, studies = service.mine(visitor, studies=cells), of_studies.mine(visitor)
    except EngineError:
        return
    for run in runs:
        if run.live:
            service.find(run.id)  # makes sure that there is a worker
            break
    for study in studies:
        if study.live:
            of_studies.find(study.id)
            break
    if _versions(runs, studies) != list(versions):
        st.rerun()


def _versions(runs: Sequence[Run], studies: Sequence[Study]) -> list[object]:
    """Everything about them that changes in the lists."""
    return [
        *((s.id, s.name, words.state(s), words.progress(s)) for s in studies),
        *(version(run) for run in runs),
    ]
