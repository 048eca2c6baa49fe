"""The runs of a sweep or a search in one folder: done once, known from then on."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine.config import NO_CONTROL, RunConfig
from prospr_engine.errors import DiskError, EngineError, Stopped
from prospr_engine.events import CellStarted, Event, OnEvent, StageStarted, ignore
from prospr_engine.identity import paths
from prospr_engine.io.tokens import display_name
from prospr_engine.metrics import summary
from prospr_engine.pipeline.record import RESULT
from prospr_engine.saliency import METHODS, STEPS
from prospr_engine.sweeps.table import row

if TYPE_CHECKING:
    from prospr_engine.data.images import ImageData
    from prospr_engine.pipeline.cache import Shared

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """A run that is over: its row of the table, the ``summary`` of its result (None if it failed),
    and whether it was ``known`` before."""

    row: dict[str, Any]
    summary: dict[str, Any] | None
    known: bool = False


class Cells:
    """Runs in ``folder``: ``cells`` holds a folder for each, ``shared`` what they share."""

    def __init__(
        self,
        folder: Path,
        on_event: OnEvent = ignore,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.folder = folder
        self._on_event = on_event
        self._should_stop = should_stop
        self._listener_failed = False

    def do(self, cell: RunConfig, number: int, cells: int) -> Done:
        """What the ``number``-th of ``cells`` found.

        What is known is not computed again unless the data or the file of weights have changed.
        A run that cannot be done is a row with the state "failed", and so is a fault of the engine,
        whose traceback is in the log. Raises ``EngineError`` where no other run would do better:
        an unknown network or device, data that cannot be read, a full disk; ``Stopped`` if that
        was asked for; and whatever a listener raises.
        """
        if self._should_stop():
            raise Stopped("Stopped, as asked. Start it again to go on from here.")
        result = self._result(cell)
        if result and self._still_true(cell, result):
            return self._done(cell, result, known=True)
        self._require(cell)
        self.tell(CellStarted(number, cells, cell.to_dict()))
        return self._compute(cell)

    def row(self, cell: RunConfig) -> dict[str, Any]:
        """The row as far as it is known: "done" or "waiting"."""
        result = self._result(cell)
        return self._done(cell, result).row if result else row(cell, None, "waiting")

    def images(self, cell: RunConfig) -> ImageData:
        """Those of the run as they are now; they are kept for the next runs."""
        data = self._shared.images(cell)
        if data is None:
            from prospr_engine.data.load import load

            self.tell(StageStarted("data", f"Reading {display_name(cell.data)}"))
            data = load(cell.data, cell.loading, cell.seed, self.tell)
            self._shared.keep_images(cell, data)
        return data

    def place(self, cell: RunConfig) -> Path:
        """The folder with the files of the run, named so that people find it."""
        ahead = METHODS[cell.method].option(STEPS)
        steps = cell.scoring.options.get(ahead.name) if ahead else None
        parts = [
            cell.method,
            *([f"steps{steps}"] if steps is not None else []),
            *([cell.control] if cell.control != NO_CONTROL else []),
            f"{cell.sparsity:g}",
            f"seed{cell.seed}",
            cell.fingerprint,
        ]
        return self.folder / "cells" / "-".join(parts)

    def tell(self, event: Event) -> None:
        """Pass the event on."""
        try:
            self._on_event(event)
        except BaseException:
            self._listener_failed = True  # not the run's fault
            raise

    def _compute(self, cell: RunConfig) -> Done:
        from prospr_engine.pipeline.run import run

        place = self.place(cell)
        try:
            result = run(cell, self.tell, self._should_stop, place, True, self._shared)
            return self._done(cell, result.to_dict())
        except (Stopped, DiskError):
            raise
        except Exception as error:
            if self._listener_failed:
                raise
            if not isinstance(error, EngineError):
                log.exception("A run broke off: %s", cell)
            failed = row(cell, None, "failed", _sentence(error))
            return Done(failed | {"out": str(place)}, None)

    def _require(self, cell: RunConfig) -> None:
        """Raise what would befall every run alike, rather than let one after the other fail."""
        from prospr_engine.pipeline.setup import check

        check(cell)
        self.images(cell)

    def _still_true(self, cell: RunConfig, result: dict[str, Any]) -> bool:
        """Are the files that the settings name by path still those that the result came from?"""
        return all(
            self._content(cell, name, path) == _recorded(result, name)
            for name, path in paths(cell).items()
        )

    def _content(self, cell: RunConfig, name: str, path: str) -> str:
        if name == "data":
            return self.images(cell).digest
        from prospr_engine.pipeline.setup import content_of

        return content_of(path)

    def _result(self, cell: RunConfig) -> dict[str, Any] | None:
        """The cell's ``result.json``; None if there is none of just these settings."""
        try:
            result: dict[str, Any] = json.loads((self.place(cell) / RESULT).read_text("utf-8"))
            summary(result)
            return result if result["fingerprint"] == cell.fingerprint else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @functools.cached_property
    def _shared(self) -> Shared:
        # Brings torch, which is not needed to tell what is known.
        from prospr_engine.pipeline.cache import Shared

        return Shared(self.folder / "shared")

    def _done(self, cell: RunConfig, result: dict[str, Any], known: bool = False) -> Done:
        found = summary(result)
        return Done(row(cell, found) | {"out": str(self.place(cell))}, found, known)


def _recorded(result: dict[str, Any], name: str) -> str | None:
    """The content of a file setting as the result has it; None if it has none."""
    content: str | None = result["data"]["digest"] if name == "data" else result.get(name)
    return content


def _sentence(error: Exception) -> str:
    if isinstance(error, EngineError):
        return str(error)
    cause = f"{type(error).__name__}: {error}".strip(": ")
    return f"The run broke off unexpectedly ({cause}). The log holds the details."
