"""A run that waits or works: what it is doing, how far it is, what is known so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import services
from app.components.about import show_about
from app.components.findings import plain, show_findings
from app.components.plots import show_accuracy, show_layers
from app.services import Job, RunConfig

POLL, STOPPING = 1.0, 0.3  # seconds between two looks
STAGES = {
    # stage: (its word, the share of the bar it gets: roughly its share of the time)
    "data": ("Data", 0.06),
    "model": ("Network", 0.02),
    "score": ("Score", 0.16),
    "prune": ("Prune", 0.04),
    "train": ("Train", 0.54),
    "test": ("Test", 0.04),
    "export": ("Export", 0.14),
}


def show_live(job: Job, form: RunConfig | None) -> None:
    """Follow ``job`` until it is over, then draw the whole page once more."""
    poll = STOPPING if job.stopping else POLL
    st.fragment(_follow, run_every=poll)(job, form, job.stopping)


def _follow(job: Job, form: RunConfig | None, stopping: bool) -> None:
    if not job.live or job.stopping != stopping:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(_headline(job), width="stretch")
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            disabled=job.stopping,
            on_click=job.stop,
            key="stop",
        )
    show_about(job, form)
    events = job.events()
    if job.state == "waiting":
        st.caption(
            "One run is computed at a time. You may leave: this page's address brings you back."
        )
    else:
        _progress(events)
    show_facts(job, events)


def show_facts(job: Job, events: Sequence[dict[str, Any]]) -> None:
    """What the run has found so far."""
    epochs = [event for event in events if event["event"] == "EpochEnded"]
    if epochs:
        st.markdown("### Accuracy while training")
        show_accuracy(epochs, job.config.epochs, key="accuracy")
    pruned = next((event for event in events if event["event"] == "Pruned"), None)
    if pruned:
        st.markdown("### What was kept of every layer")
        show_findings(pruned)
        show_layers(pruned["layers"], key="layers")


def _headline(job: Job) -> str:
    if job.stopping:
        return "Stopping"
    if job.state == "waiting":
        ahead = services.line().ahead(job)
        return f"Waiting: {'1 run is' if ahead == 1 else f'{ahead} runs are'} ahead of yours"
    return "Running"


def _progress(events: Sequence[dict[str, Any]]) -> None:
    started = [event for event in events if event["event"] == "StageStarted"]
    if not started:
        st.progress(0.0, text="Starting the engine")
        return
    stage = started[-1]
    share, text = 0.0, stage["text"]
    for event in events:
        if event["event"] == "Progress" and event["stage"] == stage["stage"]:
            share = event["done"] / event["total"] if event["total"] else 0.0
            text = f"{stage['text']}: {_how_far(event)}"
    st.markdown(_steps(stage["stage"]))
    st.progress(_overall(stage["stage"], share), text=plain(text))


def _overall(stage: str, share: float) -> float:
    """How much of the whole is done when ``share`` of ``stage`` is."""
    done = 0.0
    for name, (_, part) in STAGES.items():
        if name == stage:
            return min(1.0, done + share * part)
        done += part
    return 0.0


def _how_far(event: dict[str, Any]) -> str:
    count = f"{event['done']:,} of {event['total']:,} {event['unit']}"
    if not event["text"]:
        return count
    return f"{event['text']} ({count})" if event["stage"] == "score" else event["text"]


def _steps(current: str) -> str:
    """The stages in a row, the present one in bold."""
    names = list(STAGES)
    here = names.index(current) if current in names else -1
    words = []
    for place, (name, (text, _)) in enumerate(STAGES.items()):
        if place < here:
            words.append(f":green[:material/check_circle:] {text}")
        elif name == current:
            words.append(f":blue[:material/pending:] **{text}**")
        else:
            words.append(f":gray[:material/circle: {text}]")
    return " &nbsp; ".join(words)
