"""The stages of a run, how far it is, and what to call that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def row(current: str) -> str:
    """The stages side by side, the present one in bold. No line breaks behind an icon."""
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


def progress(events: Sequence[Mapping[str, Any]], epochs: int) -> tuple[str, float, str]:
    """The stage that ``events`` have come to ("" before the first), the share of the whole that
    is done, and what is being done. ``epochs`` are those of the whole training."""
    started = [event for event in events if event["event"] == "StageStarted"]
    if not started:
        return "", 0.0, "Starting the engine"
    stage, text, share = started[-1]["stage"], started[-1]["text"], 0.0
    for event in events:
        if event["event"] == "Progress" and event["stage"] == stage:
            share = event["done"] / event["total"] if event["total"] else 0.0
            text = f"{started[-1]['text']}: {_how_far(event, share, epochs)}"
    return stage, _overall(stage, share), text


def _overall(stage: str, share: float) -> float:
    """How much of the whole is done when ``share`` of ``stage`` is."""
    done = 0.0
    for name, (_, part) in STAGES.items():
        if name == stage:
            return min(1.0, done + share * part)
        done += part
    return 0.0


def _how_far(event: Mapping[str, Any], share: float, epochs: int) -> str:
    count = f"{event['done']:,} of {event['total']:,} {event['unit']}"
    if event["stage"] == "train":
        # Both networks take turns, epoch by epoch.
        return f"epoch {min(int(share * epochs) + 1, epochs):,} of {epochs:,}"
    if not event["text"]:
        return count
    return f"{event['text']} ({count})" if event["stage"] == "score" else event["text"]
