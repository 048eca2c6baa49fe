"""What a run reports while it works: small, frozen, made of plain values, so that any listener
(a progress bar, a page, a database) can keep them.

``on_event`` callbacks receive these objects. An exception that a listener raises stops the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON-ready values, with its class name under ``"event"``."""
        return {"event": type(self).__name__, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class StageStarted(Event):
    """A new part of the run begins: data, model, dense (the dense network is trained first, for a
    criterion that scores it then), score, prune, train, test or export."""

    stage: str
    text: str


@dataclass(frozen=True)
class Progress(Event):
    """How far a countable piece of work is (``done`` of ``total`` ``unit``)."""

    stage: str
    done: int
    total: int
    unit: str
    text: str = ""


@dataclass(frozen=True)
class Pruned(Event):
    """The masks are made. The fields hold what ``result.json`` holds under the same names."""

    sparsity: dict[str, float]
    layers: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    trust: dict[str, Any]
    structure: dict[str, Any] | None = None


@dataclass(frozen=True)
class EpochEnded(Event):
    """One pass over the training data by one of the networks (``"dense"`` or ``"pruned"``).

    Losses are mean cross-entropies in nats, accuracies fractions between 0 and 1.
    """

    network: str
    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Finished(Event):
    """The run is over; ``result`` is what ``result.json`` holds."""

    result: dict[str, Any]


@dataclass(frozen=True)
class CellStarted(Event):
    """A run of a sweep begins, the ``number``-th of ``cells``; ``config`` are its settings, as
    ``RunConfig.to_dict`` gives them."""

    number: int
    cells: int
    config: dict[str, Any]


@dataclass(frozen=True)
class CellEnded(Event):
    """A run of a sweep is over: ``row`` is that of the table, with the state "done" or "failed".
    ``known``: an earlier start of the sweep has done it."""

    number: int
    cells: int
    row: dict[str, Any]
    known: bool = False


OnEvent = Callable[[Event], None]


def from_dict(values: Mapping[str, Any]) -> Event | None:
    """The event of which ``to_dict`` made ``values``; None if this version does not know it.
    The result of ``Finished`` may be left out."""
    kinds = {kind.__name__: kind for kind in Event.__subclasses__()}
    kind = kinds.get(values["event"])
    if kind is None:
        return None
    known = {"result": {}, **values}
    return kind(**{field.name: known[field.name] for field in dataclasses.fields(kind)})


def ignore(event: Event) -> None:
    """A listener that does nothing."""
