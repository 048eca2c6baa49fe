"""A run that waits or works: what it is doing, how far it is, what is known so far.

A tab looks once a second, and twenty of them at once. So the part that is drawn with every look
holds no chart; now and then, when there is something new for them, the page is drawn as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from app import pages, session
from app.run import stages
from app.run.about import mine, show_about, show_study
from app.services import EngineError, EpochEnded, PruningRecord, Run, epoch_record, runs
from app.services.estimates import forecast
from app.ui import titles
from app.ui.findings import plain, show_error, show_findings
from app.ui.format import accuracy, counted, duration, percent, time_left
from app.ui.glossary import TERMS
from app.ui.plots import show_accuracy, show_layers
from app.ui.time_left import seconds_left

POLL, STOPPING = 1.2, 0.4  # seconds between two looks
CALM, SHARE = 2.0, 1 / 30
"""Charts of the training are drawn again after so many seconds at the earliest, and after this
share of the time since the run began: the longer a curve is, the less a point changes it."""
TOLD = "told"  # where the tab keeps what the run has told it
PROBLEM = "stop-problem"  # and why it could not be stopped


@dataclass
class Told:
    """What an attempt of a run has told so far, read bit by bit."""

    id: str
    attempt: int
    seq: int = 0
    facts: list[dict[str, Any]] = field(default_factory=list)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)

    def events(self) -> list[dict[str, Any]]:
        return [*self.facts, *self.progress.values()]

    @property
    def epochs(self) -> list[EpochEnded]:
        """The epochs that are over."""
        return [epoch_record(event) for event in self.of("EpochEnded")]

    @property
    def pruning(self) -> PruningRecord | None:
        """What pruning did, once it is known."""
        found = self.of("Pruned")
        return PruningRecord.from_dict(found[-1]) if found else None

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.facts if event["event"] == kind]


@dataclass(frozen=True)
class Drawn:
    """What the page as a whole shows, and since when."""

    state: str
    attempt: int
    stopping: bool
    pruned: int
    epochs: int
    time: float

    @classmethod
    def of(cls, run: Run, told: Told) -> Drawn:
        pruned, epochs = (len(told.of(kind)) for kind in ("Pruned", "EpochEnded"))
        return cls(run.state, run.attempt, run.stopping, pruned, epochs, time.time())

    def stale(self, now: Drawn, begun: float) -> bool:
        """Has to be drawn again, now that it would be ``now``, of a run that began then?"""
        if replace(self, epochs=now.epochs, time=now.time) != now:
            return True
        patience = max(CALM, SHARE * (now.time - begun)) if self.epochs else 0.0
        return self.epochs != now.epochs and now.time - self.time >= patience


def follow(run: Run) -> Told:
    """All that ``run`` has told; only what is new is read."""
    told: Told | None = st.session_state.get(TOLD)
    if told is None or (told.id, told.attempt) != (run.id, run.attempt):
        told = st.session_state[TOLD] = Told(run.id, run.attempt)
    for event in runs.events(run, told.seq):
        told.seq = max(told.seq, event["seq"])
        if event["event"] == "Progress":
            told.progress[event["stage"]] = event
        else:
            told.facts.append(event)
    return told


def show_live(run: Run) -> None:
    """Follow ``run`` until it is over; then the page shows what became of it."""
    st.title(plain(titles.title(run)))
    show_about(run)
    told = follow(run)
    st.fragment(_look, run_every=STOPPING if run.stopping else POLL)(run.id, Drawn.of(run, told))
    show_study(run)
    if run.state == "queued":
        with st.container(horizontal=True):
            st.page_link(
                pages.LEARN, label="What is pruning before training?", icon=":material/school:"
            )
            st.page_link(pages.RUNS, label="Earlier runs", icon=":material/list:")
    show_facts(told)


def show_facts(told: Told) -> None:
    """What the run has found so far."""
    if epochs := told.epochs:
        st.markdown("### Accuracy while training", help=TERMS["validation images"])
        show_accuracy(epochs, epochs[-1].epochs, key="accuracy")
    if pruning := told.pruning:
        st.markdown("### Weights kept", help=TERMS["mask"])
        st.markdown(_kept(pruning))
        show_findings(pruning)
        show_layers(pruning.layers, key="layers")


def _look(id: str, drawn: Drawn) -> None:
    """One look at the run: the part of the page that changes with every second."""
    try:
        run = runs.find(id)
        told = follow(run) if run is not None else None
    except EngineError as error:
        show_error(error)  # the next look may succeed
        return
    if run is None or told is None or not run.live:
        st.rerun()
    if drawn.stale(Drawn.of(run, told), run.started or 0.0):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(_headline(run), width="stretch")
        _stop(run)
    if run.state == "queued":
        st.markdown(
            "One run is computed at a time. You can close this page: the run keeps its place, and "
            "this address brings you back."
        )
        return
    stage, share, text = stages.progress(told.events(), run.settings.get("epochs", 0))
    st.markdown(stages.row(stage))
    st.progress(share, text=plain(text))
    st.caption(_times(run, told))
    if epochs := told.epochs:
        st.markdown(_latest(epochs))


def _stop(run: Run) -> None:
    if not mine(run):
        st.caption(
            "Only its owner can stop it."
            if run.owner
            else "It can be stopped from where it was started."
        )
        return
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        disabled=run.stopping,
        key="stop",
        on_click=_ask_to_stop,
        args=(run,),
    )
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))


def _ask_to_stop(run: Run) -> None:
    # A callback, for it comes before everything else: a look that finds something new has the
    # page drawn again before it gets to the button, and would lose the click.
    try:
        runs.stop(run, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _headline(run: Run) -> str:
    if run.stopping:
        return "Stopping"
    if run.state == "running":
        return "Running" if run.attempt == 1 else "Running, from the start again"
    if run.attempt > 1 and not run.ahead:
        return "Starting again"
    if not run.ahead:
        return "Starting"
    yours = "yours" if mine(run) else "this one"
    return f"Waiting: {counted(run.ahead, 'run is', 'runs are')} ahead of {yours}"


def _times(run: Run, told: Told) -> str:
    now = time.time()
    words = [f"{duration(max(0.0, now - (run.started or now)))} so far"]
    if run.stopping:
        return words[0]
    left = seconds_left(told.events(), now)
    if left is None:
        left = seconds_left(told.events(), now, _expected(run.id, run))
    if left is not None:
        words.append(time_left(left))
    words.append("you can close this page, the run continues")
    return " · ".join(words)


@st.cache_data(max_entries=100, show_spinner=False)
def _expected(id: str, _run: Run) -> float | None:
    """Seconds that the run was expected to take, if that can be told: once, for all who watch."""
    try:
        known = forecast(_run.config)
    except EngineError:
        return None
    # What a processor would take says nothing about a GPU.
    return None if known is None or known.by_processor else known.told.seconds


def _latest(epochs: Sequence[EpochEnded]) -> str:
    """Both accuracies after the last epoch that both networks have behind them, if there is one:
    they take turns."""
    pruned = [epoch for epoch in epochs if epoch.network == "pruned"]
    number = pruned[-1].epoch if pruned else epochs[-1].epoch
    told = [epoch for epoch in epochs if epoch.epoch == number]
    networks = ", ".join(f"**{e.network}** {accuracy(e.validation_accuracy)}" for e in told)
    return f"Accuracy after epoch {number:,} of {told[0].epochs:,}: {networks}."


def _kept(pruning: PruningRecord) -> str:
    removed = percent(pruning.sparsity.achieved)
    return f"**{pruning.kept:,}** of {pruning.total:,} weights are kept; {removed} are removed."
