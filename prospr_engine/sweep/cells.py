"""The runs of a sweep or a search in one folder: done once, known from then on."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine.config import WEIGHTS, RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError, EngineError, Stopped
from prospr_engine.events import CellStarted, Event, OnEvent, StageStarted, ignore
from prospr_engine.files import check_room, digest_of
from prospr_engine.summary import RESULT, summary
from prospr_engine.sweep.row import row
from prospr_engine.uploads import display_name, is_token, locate

if TYPE_CHECKING:
    from prospr_engine.reuse import Shared

log = logging.getLogger(__name__)

LITTLE = 10_000_000
"""With fewer bytes free on the disk no run can end well."""


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

    def do(self, cell: RunConfig, number: int, cells: int) -> tuple[dict[str, Any], bool]:
        """The row of the ``number``-th of ``cells``, and whether it was known already.

        What is known is not computed again unless the data or the file of weights have changed.
        A run that cannot be done is a row with the state "failed", and so is a fault of the engine,
        whose traceback is in the log. Raises ``EngineError`` where no other run would do better:
        an unknown network or device, data that cannot be read, a full disk; ``Stopped`` if that
        was asked for; and whatever a listener raises.
        """
        if self._should_stop():
            raise Stopped("Stopped, as asked. Start it again to go on from here.")
        if self._still_true(cell):
            return self.row(cell), True
        self._require(cell)
        self.tell(CellStarted(number, cells, cell.to_dict()))
        return self._compute(cell), False

    def row(self, cell: RunConfig) -> dict[str, Any]:
        """The row as far as it is known: "done" or "waiting"."""
        known = self.summary(cell)
        return self._row(cell, "done") if known else row(cell, None, "waiting")

    def summary(self, cell: RunConfig) -> dict[str, Any] | None:
        """That of the cell's result; None if there is none of just these settings."""
        result = self._result(cell)
        return summary(result) if result else None

    def place(self, cell: RunConfig) -> Path:
        """The folder with the files of the run, named so that people find it."""
        steps = cell.scoring.options.get("steps")
        parts = [
            cell.method,
            *([f"steps{steps}"] if steps is not None else []),
            *([cell.control] if cell.control != "none" else []),
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

    def _compute(self, cell: RunConfig) -> dict[str, Any]:
        from prospr_engine import pipeline

        place = self.place(cell)
        try:
            pipeline.run(cell, self.tell, self._should_stop, place, True, self._shared)
            return self._row(cell, "done")
        except Stopped:
            raise
        except Exception as error:
            if self._listener_failed:
                raise
            if not isinstance(error, EngineError):
                log.exception("A run broke off: %s", cell)
            check_room(self.folder, LITTLE)
            return self._row(cell, "failed", _sentence(error))

    def _require(self, cell: RunConfig) -> None:
        """Raise what would befall every run alike, rather than let one after the other fail."""
        from prospr_engine.prepare import check

        check(cell)
        self._digest(cell)

    def _still_true(self, cell: RunConfig) -> bool:
        """Is there a result, and are data and weights still those it was made of?"""
        result = self._result(cell)
        if not result or result["weights"] != _weights(cell):
            return False
        fixed = cell.data in DATASETS or is_token(cell.data)
        return fixed or bool(result["data"]["digest"] == self._digest(cell))

    def _result(self, cell: RunConfig) -> dict[str, Any] | None:
        try:
            result: dict[str, Any] = json.loads((self.place(cell) / RESULT).read_text("utf-8"))
            summary(result)
            return result if result["fingerprint"] == cell.fingerprint else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _digest(self, cell: RunConfig) -> str:
        """That of the images as they are now, which are kept for the runs."""
        data = self._shared.images(cell)
        if data is None:
            from prospr_engine.data.load import load

            self.tell(StageStarted("data", f"Reading {display_name(cell.data)}"))
            data = load(cell.data, cell.loading, cell.seed, self.tell)
            self._shared.keep_images(cell, data)
        return data.digest

    @functools.cached_property
    def _shared(self) -> Shared:
        # Brings torch, which is not needed to tell what is known.
        from prospr_engine.reuse import Shared

        return Shared(self.folder / "shared")

    def _row(self, cell: RunConfig, state: str, error: str = "") -> dict[str, Any]:
        found = self.summary(cell) if state == "done" else None
        return row(cell, found, state, error) | {"out": str(self.place(cell))}


def _weights(cell: RunConfig) -> str:
    """What the network starts from now, as in ``Prepared``: a file may have changed."""
    if cell.weights in WEIGHTS.choices:
        return cell.weights
    try:
        return f"sha256:{digest_of(locate(cell.weights))}"
    except OSError as error:
        raise ConfigError(f"{cell.weights} cannot be read: {error.strerror}.") from None


def _sentence(error: Exception) -> str:
    if isinstance(error, EngineError):
        return str(error)
    cause = f"{type(error).__name__}: {error}".strip(": ")
    return f"The run broke off unexpectedly ({cause}). The log holds the details."
