"""The runs of a sweep or a search in one folder: done once, known from then on."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine.config import NO_CONTROL, WEIGHTS, RunConfig
from prospr_engine.events import OnEvent, StageStarted, ignore
from prospr_engine.identity import paths, registered
from prospr_engine.io.tokens import display_name
from prospr_engine.metrics import summary
from prospr_engine.pipeline.record import RESULT
from prospr_engine.saliency import METHODS, STEPS
from prospr_engine.sweeps.executor import Ended
from prospr_engine.sweeps.table import row
from prospr_engine.sweeps.workspace import Workspace

if TYPE_CHECKING:
    from prospr_engine.data.images import ImageData
    from prospr_engine.pipeline.cache import Shared


@dataclass(frozen=True)
class Done:
    """A run that is over: its row of the table, the ``summary`` of its result (None if it failed),
    and whether it was ``known`` before."""

    row: dict[str, Any]
    summary: dict[str, Any] | None
    known: bool = False


class Cells:
    """Runs in ``folder``: ``cells`` holds a folder for each, ``shared`` what they share.

    ``on_event`` receives the progress of reading the images.
    """

    def __init__(self, folder: Path, on_event: OnEvent = ignore):
        self.folder = folder
        self.workspace = Workspace(folder / "cells", folder / "shared")
        self._on_event = on_event

    def known(self, cell: RunConfig) -> Done | None:
        """What an earlier start found, unless the data or the file of weights have changed, or the
        code behind a registered name may have."""
        result = self._result(cell)
        if result and not registered(cell) and self._still_true(cell, result):
            return self._done(cell, result, known=True)
        return None

    def require(self, cell: RunConfig) -> None:
        """Raise what would make every run fail, rather than let them fail one by one: an
        unknown network or device, data that cannot be read."""
        from prospr_engine.pipeline.setup import check

        check(cell)
        self.images(cell)

    def ended(self, cell: RunConfig, end: Ended) -> Done:
        """What a run that was computed just now left in its folder; a row with the state "failed"
        if it failed."""
        result = self._result(cell) if end.state == "done" else None
        if result:
            return self._done(cell, result)
        failed = row(cell, None, "failed", end.error or "The run left no result.")
        return Done(failed | {"out": str(self.place(cell))}, None)

    def row(self, cell: RunConfig) -> dict[str, Any]:
        """The row as far as it is known: "done" or "waiting"."""
        result = self._result(cell)
        return self._done(cell, result).row if result else row(cell, None, "waiting")

    def images(self, cell: RunConfig) -> ImageData:
        """Those of the run as they are now; they are kept for the next runs."""
        data = self.shared.images(cell)
        if data is None:
            from prospr_engine.data.load import load

            self._on_event(StageStarted("data", f"Reading {display_name(cell.data)}"))
            data = load(cell.data, cell.loading, cell.seed, self._on_event)
            self.shared.keep_images(cell, data)
        return data

    def place(self, cell: RunConfig) -> Path:
        """The folder with the files of the run, named so that people find it."""
        ahead = METHODS[cell.method].option(STEPS)
        steps = cell.scoring.options.get(ahead.name) if ahead else None
        parts = [
            cell.method,
            *([f"steps{steps}"] if steps is not None else []),
            *([cell.control] if cell.control != NO_CONTROL else []),
            *([cell.kind] if cell.kind != WEIGHTS else []),
            f"{cell.sparsity:g}",
            f"seed{cell.seed}",
            cell.fingerprint,
        ]
        return self.workspace.run("-".join(parts))

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
    def shared(self) -> Shared:
        """What runs of this process share, images included."""
        # Imports torch, which is not needed to list what is known.
        from prospr_engine.pipeline.cache import Shared

        return Shared(self.folder / "shared")

    def _done(self, cell: RunConfig, result: dict[str, Any], known: bool = False) -> Done:
        found = summary(result)
        return Done(row(cell, found) | {"out": str(self.place(cell))}, found, known)


def _recorded(result: dict[str, Any], name: str) -> str | None:
    """The content of a file setting as the result has it; None if it has none."""
    content: str | None = result["data"]["digest"] if name == "data" else result.get(name)
    return content
