"""Runs in this process, one at a time: what ``pe.sweep`` and ``pe.search`` use by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine.config import RunConfig
from prospr_engine.errors import DiskError, EngineError, Stopped
from prospr_engine.events import Event
from prospr_engine.sweeps.cells import Cells
from prospr_engine.sweeps.executor import Ended, Message, Reported
from prospr_engine.sweeps.runner import Source

if TYPE_CHECKING:
    from prospr_engine.pipeline.cache import Shared

log = logging.getLogger(__name__)


class InProcessExecutor:
    """Computes a run while ``poll`` is called, and passes its events to ``report`` at once.

    ``poll`` raises what no other run could do without (a full disk), ``Stopped`` if
    ``should_stop`` says so, and whatever ``report`` raises. Runs share images, scores and dense
    networks through ``shared``.
    """

    def __init__(
        self,
        shared: Callable[[], Shared],
        report: Callable[[Message], None],
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self._shared, self._report, self._should_stop = shared, report, should_stop
        self._job: tuple[str, Mapping[str, Any], Path] | None = None
        self._cancelled = False
        self._listener_failed = False

    def free(self) -> int:
        """How many more runs may be started now."""
        return 0 if self._job else 1

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        """Take a run; the next ``poll`` computes it."""
        self._job, self._cancelled = (id, settings, out), False

    def cancel(self, id: str) -> None:
        """Let the run stop at its next event."""
        self._cancelled = self._job is not None and self._job[0] == id

    def poll(self, timeout: float = 0.0) -> list[Message]:
        """Compute the run that was started, if one was; how it ended."""
        if self._job is None:
            return []
        try:
            return [self._compute(*self._job)]
        finally:
            self._job = None

    def close(self) -> None:
        """Forget a run that was started and not computed."""
        self._job = None

    def _compute(self, id: str, settings: Mapping[str, Any], out: Path) -> Ended:
        from prospr_engine.pipeline.run import run

        def report(event: Event) -> None:
            try:
                self._report(Reported(id, event.to_dict()))
            except BaseException:
                self._listener_failed = True  # not the run's fault
                raise

        try:
            config = RunConfig.from_dict(settings)
            stop = lambda: self._cancelled or self._should_stop()  # noqa: E731
            run(config, report, stop, out, True, self._shared())
        except Stopped:
            if self._should_stop() or self._listener_failed:
                raise
            return Ended(id, "stopped")
        except DiskError:
            raise
        except Exception as error:
            if self._listener_failed:
                raise
            if not isinstance(error, EngineError):
                log.exception("A run broke off: %s", settings)
            return Ended(id, "failed", _sentence(error))
        return Ended(id, "done")


def in_process(cells: Cells, source: Source, should_stop: Callable[[], bool]) -> InProcessExecutor:
    """The executor of this process for the runs of ``cells``, reporting to ``source``."""
    return InProcessExecutor(lambda: cells.shared, source.receive, should_stop)


def _sentence(error: Exception) -> str:
    if isinstance(error, EngineError):
        return str(error)
    cause = f"{type(error).__name__}: {error}".strip(": ")
    return f"The run broke off unexpectedly ({cause}). The log has the details."
