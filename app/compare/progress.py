"""How far the runs are: followed while they are live, and what became of those that did not end
well.

A tab looks every two seconds. The part that is drawn with every look holds no chart; when runs
have ended, the page is drawn as a whole, and the charts get their points.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from app import access, session
from app.charts.rows import records
from app.services import EngineError, Study, runs, studies
from app.services.comparison import Comparison
from app.ui.findings import plain, show_error
from app.ui.format import counted, percent, plural, time_left

POLL, STOPPING, RESTING = 2.0, 0.6, 5.0  # seconds between two looks
CALM, SHARE = 2.0, 1 / 60
"""The page is drawn again after so many seconds at the earliest, and after this share of the time
since the runs began: the more there are, the less one more changes."""
PROBLEM = "compare-problem"
MOST = 8  # kinds of failures that are listed

OVER = ("done", "failed", "stopped")

Counts = Mapping[Any, int]  # runs by state


@dataclass(frozen=True)
class Drawn:
    """What the page as a whole shows of the states of the runs, and since when."""

    counts: Counts
    stopping: bool
    time: float

    def stale(self, counts: Counts, stopping: bool, begun: float) -> bool:
        """Has to be drawn again, now that things stand so, of runs that began then?"""
        now = time.time()
        live, ended = (sum(counts.get(s, 0) for s in ("queued", "running")), _ended(counts))
        if not live or stopping != self.stopping or ended < _ended(self.counts):
            return True
        return ended > _ended(self.counts) and now - self.time >= max(CALM, SHARE * (now - begun))


def show_progress(compared: Comparison) -> None:
    """Follow what is live; what is not done may go on at somebody's wish in another tab."""
    study = compared.study
    counts = Counter(run.state for run in compared.runs)
    if not compared.live:
        if study and counts["done"] < counts.total():
            st.fragment(_rest, run_every=RESTING)(study)
        return
    stopping = bool(study and study.stopped)
    drawn = Drawn(counts, stopping, time.time())
    begun = min((run.started for run in compared.runs if run.started), default=time.time())
    pace = runs.pace(compared.runs)
    ids = [run.id for run in compared.runs if run.live]
    st.fragment(_look, run_every=STOPPING if stopping else POLL)(study, ids, drawn, begun, pace)


def show_unfinished(compared: Comparison, table: pd.DataFrame) -> None:
    """The runs that failed, each reason once, and how to try them again."""
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))
    failed = table[table["state"] == "failed"]
    stopped = 0 if compared.live else int((table["state"] == "stopped").sum())
    if failed.empty and not stopped:
        return
    if len(failed):
        told = f"{counted(len(failed), 'run')} failed; the others stand as they are."
        with st.container(border=True, key="failed"):
            st.markdown(f":red[:material/error:] **{told}**")
            st.markdown("\n".join(_reasons(failed)))
    if stopped:
        one = stopped == 1
        st.caption(
            f"{counted(stopped, 'run')} {plural(stopped, 'was', 'were')} stopped and "
            f"{'has' if one else 'have'} no result."
        )
    _again(compared, len(failed), stopped)


def _look(study: Study | None, ids: Sequence[str], drawn: Drawn, begun: float,
          pace: float | None) -> None:  # fmt: skip
    """One look at what goes on."""
    try:
        found = studies.find(study.id) if study else None
        if study and found is None:
            st.rerun()
        if found:
            counts: Counts = found.counts
            stopping = found.stopped
        else:
            counts, stopping = _count(ids, drawn.counts), False
    except EngineError as error:
        show_error(error)  # the next look may succeed
        return
    if drawn.stale(counts, stopping, begun):
        st.rerun()
    searching = bool(study and study.kind == "search")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_headline(counts, stopping, searching), width="stretch", anchor=False)
        if study:
            _stop(study, stopping)
    total = sum(counts.values())
    if not searching:
        st.progress(_ended(counts) / total, text=_told(counts, total))
    st.caption(_times(counts, stopping, pace, begun, searching))


def _rest(study: Study) -> None:
    """One look at what rested when the page was drawn."""
    try:
        found = studies.find(study.id)
    except EngineError:
        return  # the next look may succeed, and what the page shows was true
    if found is None or found.live or found.counts != study.counts:
        st.rerun()


def _count(ids: Sequence[str], before: Counts) -> Counts:
    """The states of all runs, of which only those with ``ids`` can have changed."""
    now = [run for id in ids if (run := runs.find(id))]
    counts = Counter({name: number for name, number in before.items() if name in OVER})
    counts.update(run.state for run in now)
    return counts


def _headline(counts: Counts, stopping: bool, searching: bool) -> str:
    if stopping:
        return "Stopping"
    if not counts.get("running") and not _ended(counts):
        return "Waiting for its turn"
    return "Searching" if searching else "Running"


def _told(counts: Counts, total: int) -> str:
    told = f"{counts.get('done', 0):,} of {counted(total, 'run')} done"
    return told + (f", {counts['failed']:,} failed" if counts.get("failed") else "")


def _times(counts: Counts, stopping: bool, pace: float | None, begun: float,
           searching: bool) -> str:  # fmt: skip
    if stopping:
        return "The run that is at work comes to its end; the others do not begin."
    told = []
    left = sum(counts.get(name, 0) for name in ("queued", "running"))
    if searching:
        told.append(f"{counted(_ended(counts), 'run')} done so far")
    elif pace is not None:
        told.append(time_left(pace * left))
    told.append("what is done shows below as it comes")
    told.append("you may close this page")
    text = " · ".join(told)
    return text[:1].upper() + text[1:]


def _stop(study: Study, stopping: bool) -> None:
    if not access.owns(study, session.visitor()):
        if study.owner:
            st.caption("Only its owner can stop it.", width="content")
        return
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        disabled=stopping,
        key="stop-study",
        on_click=_try,
        args=(studies.stop, study),
    )
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))


def _again(compared: Comparison, failed: int, stopped: int) -> None:
    study = compared.study
    if study is None or not access.owns(study, session.visitor()):
        return
    if compared.live:
        st.caption("They can be tried again when the others are done.")
        return
    label = "Try the failed ones again" if failed and not stopped else "Go on where it stopped"
    st.button(
        label,
        icon=":material/replay:",
        key="resume-study",
        on_click=_try,
        args=(studies.resume, study),
        help="What is done stays; failed runs are tried again." if failed else None,
    )


def _try(change: object, study: Study) -> None:
    # A callback, for it comes before everything else: see ``live``.
    assert callable(change)
    try:
        change(study, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _reasons(failed: pd.DataFrame) -> list[str]:
    """A line for every sentence that tells why runs failed, with those that it is true of."""
    lines = []
    groups = list(failed.groupby("error", sort=False))
    for error, rows in groups[:MOST]:
        by_cell: dict[tuple[str, float], list[str]] = {}
        for row in records(rows):
            by_cell.setdefault((row["series"], row["sparsity"]), []).append(str(row["seed"]))
        cells = [
            f"{series} at {percent(sparsity)} ({plural(len(seeds), 'seed')} {', '.join(seeds)})"
            for (series, sparsity), seeds in by_cell.items()
        ]
        reason = plain(str(error) or "Nothing is known of the reason.")
        more = f" and {len(cells) - MOST:,} more" if len(cells) > MOST else ""
        lines.append(f"- {plain('; '.join(cells[:MOST]))}{more}: {reason}")
    if groups[MOST:]:
        lines.append(f"- and {len(groups) - MOST:,} other reasons")
    return lines


def _ended(counts: Counts) -> int:
    return sum(counts.get(name, 0) for name in OVER)
