"""The list of runs: what to look for, the runs that match, page by page."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Sequence

import streamlit as st

from app import pages
from app.runs.search import NEWEST, ORDERS, order, search
from app.services import EngineError, Limits, Run, Study
from app.services import runs as service
from app.services import studies as of_studies
from app.ui import figures, run_link, when
from app.ui import studies as words
from app.ui.findings import plain
from app.ui.format import accuracy, percent, plural, signed_points, size
from app.ui.format import duration as lasting
from app.ui.states import ICONS, WORDS, state
from app.ui.titles import of, title
from app.ui.watch import POLL, pace

PAGE = 20  # runs; with all at once, 500 of them would take seconds to draw
REST = 5.0  # and where none is live: one may be started in another tab, or on the command line
ALL = "All"
# The names of these widgets stand in the address.
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


def repair_address() -> None:
    """On the way back from a run, what was looked for comes back too."""
    # Streamlit writes the parameters of a link into the address of the page it stands on before
    # it goes; on the way back they stand there in the place of this page's own.
    strangers = [p for p in (pages.ID, pages.STUDY, pages.RUNS_OF) if p in st.query_params]
    if strangers:
        for parameter in strangers:
            del st.query_params[parameter]
        st.rerun()


def show_filters() -> None:
    """What to look for, kept in the address."""
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


def looked_for() -> str:
    """What stands in the box, or is about to by the address, before it is drawn."""
    return str(st.session_state.get(FIND, st.query_params.get(FIND)) or "")


def show_cells() -> bool:
    """Shall the runs of studies stand among the others? Kept in the address."""
    return st.toggle(
        "Show the runs of sweeps and searches",
        key=CELLS,
        help="Each is a run of its own, with a page of its own. Their results are compared on the "
        "page of the sweep.",
        bind="query-params",
    )


def found(runs: Sequence[Run]) -> list[Run]:
    """Those of ``runs`` that are looked for, in the order asked for."""
    wanted = st.session_state[STATE]
    right = [run for run in runs if wanted in (ALL, WORDS[run.state])]
    return order(search(right, st.session_state[FIND] or ""), st.session_state[SORT])


def show_all() -> None:
    """Look for nothing in particular any more."""
    st.session_state[FIND] = ""
    st.session_state[STATE] = ALL


def show_runs(runs: Sequence[Run]) -> None:
    """One page of ``runs``, and the way to the others."""
    count = math.ceil(len(runs) / PAGE)
    slot = st.container()
    number = 1
    if count > 1:
        # A key of its own for all that is looked for: other runs begin on the first page, and
        # whoever comes back finds the page that they left.
        looked_for = "-".join(str(st.session_state[name]) for name in (FIND, STATE, SORT))
        with st.container(horizontal_alignment="center"):
            number = st.pagination(count, key=f"page-{looked_for}", persist_state="session")
    with slot:
        st.html(STYLE)
        run_link.style()
        now = time.time()
        for run in runs[PAGE * (number - 1) : PAGE * number]:
            _row(run, now)


def picked(runs: Sequence[Run]) -> list[Run]:
    """Those of ``runs`` that are ticked, on whichever page."""
    return [run for run in runs if st.session_state.get(pick(run))]


def pick(run: Run) -> str:
    """The key of the box to tick."""
    return f"pick-{run.id}"


def watch_all(
    runs: Sequence[Run], studies: Sequence[Study], visitor: str, cells: bool = False
) -> None:
    """Draw the page anew as soon as the ``runs`` or ``studies`` of the ``visitor`` are other ones,
    or one of them has changed; with ``cells`` the runs are those of studies, too."""
    paces, drawn = _paces(runs, studies), time.monotonic()

    def look() -> None:
        # Not as a part of the page, which has just asked the same.
        if time.monotonic() - drawn > POLL / 2:
            _look_at_all(visitor, paces, cells)

    live = any(run.live for run in runs) or any(study.live for study in studies)
    st.fragment(look, run_every=POLL if live else REST)()


def kept(limits: Limits) -> str:
    """How long runs are kept."""
    days = f"{limits.keep_days:g} {plural(limits.keep_days, 'day')}"
    return (
        f"Runs are kept for {days} after they end; if all files together exceed "
        f"{limits.keep_gigabytes:g} GB, the oldest go first. Anyone with a run's link can view "
        "it; only you can change yours."
    )


def _row(run: Run, now: float) -> None:
    with st.container(border=True):
        left, right = st.columns([0.55, 0.45], vertical_alignment="center")
        with left.container(horizontal=True, gap="small", wrap=False):
            st.checkbox(
                f"Choose {plain(title(run))}",
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
    """What is known of the run as a list of names and values, one next to the other."""
    removed, pruned, dense = figures.sparsity(run), figures.pruned(run), figures.dense(run)
    change, bytes = figures.change(run), figures.model_bytes(run)
    told = {"Removed": removed is not None and percent(removed)}
    if pruned is not None and dense is not None and change is not None:
        told |= {
            "Accuracy": accuracy(pruned),
            "Dense": accuracy(dense),
            "Change": signed_points(change) if change else "none",
        }
    told["Model file"] = bytes is not None and size(bytes)
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in told.items()
        if value
    )
    return f'<dl class="figures">{cells}</dl>'


def _times(run: Run) -> str:
    """The exact times, for the tooltip."""
    told = [f"Submitted on {when.exactly(run.created)}"]
    if run.started is not None:
        told.append(f"began on {when.exactly(run.started)}")
    if run.ended is not None:
        lasted = f", after {lasting(run.ended - run.started)}" if run.started is not None else ""
        told.append(f"ended on {when.exactly(run.ended)}{lasted}")
    return plain("; ".join(told) + ".")


def _look_at_all(visitor: str, paces: Sequence[object], cells: bool = False) -> None:
    try:
        runs, studies = service.mine(visitor, studies=cells), of_studies.mine(visitor)
    except EngineError:
        return
    for run in runs:
        if run.live:
            service.find(run.id)  # sees that somebody works on it
            break
    for study in studies:
        if study.live:
            of_studies.find(study.id)
            break
    if _paces(runs, studies) != list(paces):
        st.rerun()


def _paces(runs: Sequence[Run], studies: Sequence[Study]) -> list[object]:
    """What of them changes in the lists."""
    return [
        *((s.id, s.name, words.state(s), words.progress(s)) for s in studies),
        *(pace(run) for run in runs),
    ]
