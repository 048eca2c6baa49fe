"""The stages of a run, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.run_events import Progress, RunEvents

STAGES = {
    # stage: (its label, its share of the progress bar: roughly its share of the time)
    "data": ("Data", 0.06),
    "model": ("Network", 0.02),
    "score": ("Score", 0.16),
    "prune": ("Prune", 0.04),
    "train": ("Train", 0.54),
    "test": ("Test", 0.04),
    "export": ("Export", 0.14),
}


def row(current: str) -> str:
    """The stages side by side, the ``current`` one in bold. No line breaks after an icon."""
    names = list(STAGES)
    here = names.index(current) if current in names else -1
    words = []
    for place, (name, (text, _)) in enumerate(STAGES.items()):
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


def position(events: RunEvents, epochs: int) -> Position:
    """How far the run is; its training has ``epochs`` epochs."""
    if not events.stages:
        return Position("", 0.0, "Starting the engine")
    stage = events.stages[-1]
    latest = events.progress.get(stage.name)
    if latest is None:
        return Position(stage.name, _overall(stage.name, 0.0), stage.text)
    text = f"{stage.text}: {_details(stage.name, latest, epochs)}"
    return Position(stage.name, _overall(stage.name, latest.share), text)


def _overall(stage: str, share: float) -> float:
    """The fraction of the whole run that is done when ``share`` of ``stage`` is."""
    done = 0.0
    for name, (_, part) in STAGES.items():
        if name == stage:
            return min(1.0, done + share * part)
        done += part
    return 0.0


def _details(stage: str, latest: Progress, epochs: int) -> str:
    count = f"{latest.done:,} of {latest.total:,} {latest.unit}"
    if stage == "train":
        # Both networks take turns, epoch by epoch.
        return f"epoch {min(int(latest.share * epochs) + 1, epochs):,} of {epochs:,}"
    if not latest.text:
        return count
    return f"{latest.text} ({count})" if stage == "score" else latest.text
