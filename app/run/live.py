"""A queued or running run: its stage, its progress, and its findings so far.

Every open tab polls about once a second. So the part that is redrawn at each poll has no charts;
the whole page is redrawn only when there is something new to show.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from app import pages, session
from app.run import stages
from app.run.about import mine, show_about, show_study
from app.services import EngineError, EpochEnded, PruningRecord, Run, runs
from app.services.estimates import forecast
from app.services.run_events import RunEvents
from app.ui import titles
from app.ui.findings import plain, show_error, show_findings
from app.ui.format import accuracy, counted, duration, percent, time_left
from app.ui.glossary import TERMS
from app.ui.plots import show_accuracy, show_kept
from app.ui.time_left import seconds_left

POLL, STOPPING = 1.2, 0.4  # seconds between two polls
CALM, SHARE = 2.0, 1 / 30
"""Curves are redrawn at most every ``CALM`` seconds, and at most once per ``SHARE`` of the time
since the run started: the longer a curve is, the less a new point changes it."""
EVENTS = "run-events"  # in the session: the events of the run followed here
PROBLEM = "stop-problem"  # in the session: why it could not be stopped


@dataclass(frozen=True)
class Drawn:
    """What the whole page shows, and when it was drawn."""

    state: str
    attempt: int
    stopping: bool
    pruned: bool
    epochs: int
    time: float

    @classmethod
    def of(cls, run: Run, events: RunEvents) -> Drawn:
        pruned, epochs = events.pruning is not None, len(events.epochs)
        return cls(run.state, run.attempt, run.stopping, pruned, epochs, time.time())

    def stale(self, now: Drawn, started: float) -> bool:
        """Whether to redraw, if the page would be ``now``. The run started at ``started``."""
        if replace(self, epochs=now.epochs, time=now.time) != now:
            return True
        patience = max(CALM, SHARE * (now.time - started)) if self.epochs else 0.0
        return self.epochs != now.epochs and now.time - self.time >= patience


def follow(run: Run) -> RunEvents:
    """All events of the run's current attempt; only new ones are read."""
    attempt, known = st.session_state.get(EVENTS, (None, RunEvents()))
    if attempt != (run.id, run.attempt):
        known = RunEvents()
    known = known.extended(runs.events(run, known.seq))
    st.session_state[EVENTS] = ((run.id, run.attempt), known)
    return known


def show_live(run: Run) -> None:
    """Follow ``run`` until it ends; then the page shows its result."""
    st.title(plain(titles.title(run)))
    show_about(run)
    events = follow(run)
    st.fragment(_poll, run_every=STOPPING if run.stopping else POLL)(run.id, Drawn.of(run, events))
    show_study(run)
    if run.state == "queued":
        with st.container(horizontal=True):
            st.page_link(
                pages.LEARN, label="What is pruning before training?", icon=":material/school:"
            )
            st.page_link(pages.RUNS, label="Earlier runs", icon=":material/list:")
    show_findings_so_far(events)


def show_findings_so_far(events: RunEvents) -> None:
    """What the run has found so far."""
    if epochs := events.epochs:
        st.markdown("### Accuracy while training", help=TERMS["validation images"])
        show_accuracy(epochs, epochs[-1].epochs, key="accuracy")
    if pruning := events.pruning:
        cut = pruning.structure is not None
        heading, term = ("Channels kept", "channel") if cut else ("Weights kept", "mask")
        st.markdown(f"### {heading}", help=TERMS[term])
        st.markdown(_kept(pruning))
        show_findings(pruning)
        show_kept(pruning, key="layers")


def _poll(id: str, drawn: Drawn) -> None:
    """The part of the page that changes every second."""
    try:
        run = runs.find(id)
        events = follow(run) if run is not None else None
    except EngineError as error:
        show_error(error)  # the next poll may succeed
        return
    if run is None or events is None or not run.live:
        st.rerun()
    if drawn.stale(Drawn.of(run, events), run.started or 0.0):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(_headline(run), width="stretch")
        _stop(run)
    if run.state == "queued":
        st.markdown(
            "Runs are computed one at a time. You can close this page: the run keeps its place, "
            "and this address brings you back."
        )
        return
    known = stages.of_method(run.settings.get("method", ""))
    position = stages.position(events, run.settings.get("epochs", 0), known)
    st.markdown(stages.row(position.stage, known))
    st.progress(position.share, text=plain(position.text))
    st.caption(_times(run, events))
    if epochs := events.epochs:
        st.markdown(_latest(epochs))


def _stop(run: Run) -> None:
    if not mine(run):
        st.caption(
            "Only its owner can stop it." if run.owner else "It can be stopped on the command line."
        )
        return
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        disabled=run.stopping,
        key="stop",
        on_click=_request_stop,
        args=(run,),
    )
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))


def _request_stop(run: Run) -> None:
    # A callback, because it runs first: a poll that finds something new reruns the page before it
    # reaches the button, and the click would be lost.
    try:
        runs.stop(run, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _headline(run: Run) -> str:
    if run.stopping:
        return "Stopping"
    if run.state == "running":
        return "Running" if run.attempt == 1 else "Running again from the start"
    if run.attempt > 1 and not run.ahead:
        return "Starting again"
    if not run.ahead:
        return "Starting"
    yours = "yours" if mine(run) else "this one"
    return f"Waiting: {counted(run.ahead, 'run is', 'runs are')} ahead of {yours}"


def _times(run: Run, events: RunEvents) -> str:
    now = time.time()
    words = [f"{duration(max(0.0, now - (run.started or now)))} so far"]
    if run.stopping:
        return words[0]
    left = seconds_left(events, now)
    if left is None:
        left = seconds_left(events, now, _expected(run.id, run))
    if left is not None:
        words.append(time_left(left))
    words.append("you can close this page; the run continues")
    return " · ".join(words)


@st.cache_data(max_entries=100, show_spinner=False)
def _expected(id: str, _run: Run) -> float | None:
    """Estimated seconds of the whole run, None if unknown. Computed once for all who watch it."""
    try:
        known = forecast(_run.config)
    except EngineError:
        return None
    # An estimate for a CPU says nothing about a GPU.
    return None if known is None or known.assumes_cpu else known.estimate.seconds


def _latest(epochs: Sequence[EpochEnded]) -> str:
    """Both accuracies after the last epoch that both networks have finished: they take turns."""
    pruned = [epoch for epoch in epochs if epoch.network == "pruned"]
    number = pruned[-1].epoch if pruned else epochs[-1].epoch
    latest = [epoch for epoch in epochs if epoch.epoch == number]
    networks = ", ".join(f"**{e.network}** {accuracy(e.validation_accuracy)}" for e in latest)
    return f"Accuracy after epoch {number:,} of {latest[0].epochs:,}: {networks}."


def _kept(pruning: PruningRecord) -> str:
    removed = percent(pruning.sparsity.achieved)
    return f"**{pruning.kept:,}** of {pruning.total:,} weights are kept; {removed} are removed."
