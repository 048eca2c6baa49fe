"""The events of a run so far, as records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.services import EpochEnded, PruningRecord, epoch_record


@dataclass(frozen=True)
class Stage:
    """A stage that started at ``time`` (seconds since 1970), and its name on screen."""

    name: str
    text: str
    time: float


@dataclass(frozen=True)
class Progress:
    """A stage had done ``done`` of ``total`` ``unit`` at ``time``; ``text`` says what it was
    doing."""

    done: int
    total: int
    unit: str
    text: str
    time: float

    @property
    def share(self) -> float:
        """The fraction of the stage that is done."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class RunEvents:
    """The stages started so far, the latest progress of each, the epochs that have ended, and the
    effect of pruning if known. ``seq`` is the number of the last event."""

    stages: tuple[Stage, ...] = ()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    epochs: tuple[EpochEnded, ...] = ()
    pruning: PruningRecord | None = None
    seq: int = 0

    def extended(self, events: Iterable[Mapping[str, Any]]) -> RunEvents:
        """Together with later ``events`` as the store has them."""
        found = self
        for event in events:
            found = found._with(event)
        return found

    def _with(self, event: Mapping[str, Any]) -> RunEvents:
        kind = event["event"]
        known = replace(self, seq=max(self.seq, event.get("seq", 0)))
        if kind == "StageStarted":
            stage = Stage(event["stage"], event["text"], event["time"])
            return replace(known, stages=(*self.stages, stage))
        if kind == "Progress":
            step = Progress(*(event[name] for name in ("done", "total", "unit", "text", "time")))
            return replace(known, progress={**self.progress, event["stage"]: step})
        if kind == "EpochEnded":
            return replace(known, epochs=(*self.epochs, epoch_record(event)))
        if kind == "Pruned":
            return replace(known, pruning=PruningRecord.from_dict(event))
        return known
