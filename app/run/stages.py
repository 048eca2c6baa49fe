"""The stages of a run, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.services import METHODS
from app.services.run_events import Progress, RunEvents

Stages = Mapping[str, tuple[str, float]]
"""By stage its label, and its share of the progress bar: roughly its share of the time."""

STAGES: Stages = {
    "data": ("Data", 0.06),
    "model": ("Network", 0.02),
    "score": ("Score", 0.16),
    "prune": ("Prune", 0.04),
    "train": ("Train", 0.54),
    "test": ("Test", 0.04),
    "export": ("Export", 0.14),
}
AFTER_TRAINING: Stages = {
    "data": ("Data", 0.06),
    "model": ("Network", 0.02),
    "dense": ("Train", 0.34),
    "score": ("Score", 0.02),
    "prune": ("Prune", 0.04),
    "train": ("Train again", 0.34),
    "test": ("Test", 0.04),
    "export": ("Export", 0.14),
}


def of_method(method: str) -> Stages:
    """The stages of a run with this criterion, in their order."""
    spec = METHODS.get(method)
    return AFTER_TRAINING if spec and spec.after_training else STAGES


def row(current: str, known: Stages = STAGES) -> str:
    """The stages side by side, the ``current`` one in bold. No line breaks after an icon."""
    names = list(known)
    here = names.index(current) if current in names else -1
    words = []
    for place, (name, (text, _)) in enumerate(known.items()):
        if place < here:
            words.append(f":green[:material/check_circle:]&nbsp;{text}")
        elif name == current:
            words.append(f":blue[:material/pending:]&nbsp;**{text}**")
        else:
            words.append(f":gray[:material/circle:&nbsp;{text}]")
    return " &ensp; ".join(words)


@dataclass(frozen=True)
class Position:
    """How far a run is: its ``stage`` ("" before the first), the ``share`` of the whole run that is
    done, and a ``text`` for what it is doing."""

    stage: str
    share: float
    text: str


def position(events: RunEvents, epochs: int, known: Stages = STAGES) -> Position:
    """How far the run is; its training has ``epochs`` epochs."""
    if not events.stages:
        return Position("", 0.0, "Starting the engine")
    stage = events.stages[-1]
    latest = events.progress.get(stage.name)
    if latest is None:
        return Position(stage.name, _overall(known, stage.name, 0.0), stage.text)
    text = f"{stage.text}: {_details(stage.name, latest, epochs)}"
    return Position(stage.name, _overall(known, stage.name, latest.share), text)


def _overall(known: Stages, stage: str, share: float) -> float:
    """The fraction of the whole run that is done when ``share`` of ``stage`` is."""
    done = 0.0
    for name, (_, part) in known.items():
        if name == stage:
            return min(1.0, done + share * part)
        done += part
    return 0.0


def _details(stage: str, latest: Progress, epochs: int) -> str:
    count = f"{latest.done:,} of {latest.total:,} {latest.unit}"
    if stage in ("dense", "train"):
        # Both networks take turns, epoch by epoch.
        return f"epoch {min(int(latest.share * epochs) + 1, epochs):,} of {epochs:,}"
    if not latest.text:
        return count
    return f"{latest.text} ({count})" if stage == "score" else latest.text
