"""Progress of the runs, polled while they are live, and the runs that failed or were stopped.

A tab polls every two seconds. What it redraws then holds no chart; when runs have ended, the whole
page is redrawn and the charts get their points.
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

POLL, STOPPING, RESTING = 2.0, 0.6, 5.0  # seconds between two polls
CALM, SHARE = 2.0, 1 / 60
"""The page is redrawn after so many seconds at the earliest, and after this share of the time since
the runs started: the more runs there are, the less one more changes."""
PROBLEM = "compare-problem"
MOST = 8  # kinds of failures that are listed

OVER = ("done", "failed", "stopped")

Counts = Mapping[Any, int]  # runs by state


@dataclass(frozen=True)
class Drawn:
    """The states of the runs when the whole page was drawn, and when that was."""

    counts: Counts
    stopping: bool
    time: float

    def stale(self, counts: Counts, stopping: bool, started: float) -> bool:
        """Whether to redraw the page, given the current states of runs that started then."""
        now = time.time()
        live, ended = (sum(counts.get(s, 0) for s in ("queued", "running")), _ended(counts))
        if not live or stopping != self.stopping or ended < _ended(self.counts):
            return True
        return ended > _ended(self.counts) and now - self.time >= max(CALM, SHARE * (now - started))


def show_progress(compared: Comparison) -> None:
    """Follow live runs; unfinished ones may be resumed in another tab."""
    study = compared.study
    counts = Counter(run.state for run in compared.runs)
    if not compared.live:
        if study and counts["done"] < counts.total():
            st.fragment(_poll_resting, run_every=RESTING)(study)
        return
    stopping = bool(study and study.stopped)
    drawn = Drawn(counts, stopping, time.time())
    started = min((run.started for run in compared.runs if run.started), default=time.time())
    pace = runs.pace(compared.runs)
    ids = [run.id for run in compared.runs if run.live]
    st.fragment(_poll, run_every=STOPPING if stopping else POLL)(study, ids, drawn, started, pace)


def show_unfinished(compared: Comparison, table: pd.DataFrame) -> None:
    """The runs that failed, each reason once, and a button to run them again."""
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))
    failed = table[table["state"] == "failed"]
    stopped = 0 if compared.live else int((table["state"] == "stopped").sum())
    if failed.empty and not stopped:
        return
    if len(failed):
        headline = f"{counted(len(failed), 'run')} failed; the others are not affected."
        with st.container(border=True, key="failed"):
            st.markdown(f":red[:material/error:] **{headline}**")
            st.markdown("\n".join(_reasons(failed)))
    if stopped:
        one = stopped == 1
        st.caption(
            f"{counted(stopped, 'run')} {plural(stopped, 'was', 'were')} stopped and "
            f"{'has' if one else 'have'} no result."
        )
    _show_resume(compared, len(failed), stopped)


def _poll(study: Study | None, ids: Sequence[str], drawn: Drawn, started: float,
          pace: float | None) -> None:  # fmt: skip
    """Draw the progress."""
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
        show_error(error)  # the next poll may succeed
        return
    if drawn.stale(counts, stopping, started):
        st.rerun()
    searching = bool(study and study.kind == "search")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_headline(counts, stopping, searching), width="stretch", anchor=False)
        if study:
            _stop(study, stopping)
    total = sum(counts.values())
    if not searching:
        st.progress(_ended(counts) / total, text=_progress(counts, total))
    st.caption(_times(counts, stopping, pace, started, searching))


def _poll_resting(study: Study) -> None:
    """Redraw the page if the study was resumed or changed."""
    try:
        found = studies.find(study.id)
    except EngineError:
        return  # the next poll may succeed
    if found is None or found.live or found.counts != study.counts:
        st.rerun()


def _count(ids: Sequence[str], before: Counts) -> Counts:
    """The states of all runs; only those with ``ids`` can have changed."""
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


def _progress(counts: Counts, total: int) -> str:
    text = f"{counts.get('done', 0):,} of {counted(total, 'run')} done"
    return text + (f", {counts['failed']:,} failed" if counts.get("failed") else "")


def _times(counts: Counts, stopping: bool, pace: float | None, started: float,
           searching: bool) -> str:  # fmt: skip
    if stopping:
        return "The current run is being finished; the others will not start."
    parts = []
    left = sum(counts.get(name, 0) for name in ("queued", "running"))
    if searching:
        parts.append(f"{counted(_ended(counts), 'run')} done so far")
    elif pace is not None:
        parts.append(time_left(pace * left))
    parts.append("results appear below as they come in")
    parts.append("you can close this page")
    text = " · ".join(parts)
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


def _show_resume(compared: Comparison, failed: int, stopped: int) -> None:
    study = compared.study
    if study is None or not access.owns(study, session.visitor()):
        return
    if compared.live:
        st.caption("You can retry them when the others are done.")
        return
    label = "Retry failed runs" if failed and not stopped else "Resume"
    st.button(
        label,
        icon=":material/replay:",
        key="resume-study",
        on_click=_try,
        args=(studies.resume, study),
        help="Finished runs are kept; failed runs start again." if failed else None,
    )


def _try(change: object, study: Study) -> None:
    # A callback: it runs before the page is drawn.
    assert callable(change)
    try:
        change(study, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _reasons(failed: pd.DataFrame) -> list[str]:
    """A line per error message, with the runs that failed with it."""
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
        reason = plain(str(error) or "Unknown reason.")
        more = f" and {len(cells) - MOST:,} more" if len(cells) > MOST else ""
        lines.append(f"- {plain('; '.join(cells[:MOST]))}{more}: {reason}")
    if groups[MOST:]:
        lines.append(f"- and {len(groups) - MOST:,} other reasons")
    return lines


def _ended(counts: Counts) -> int:
    return sum(counts.get(name, 0) for name in OVER)
