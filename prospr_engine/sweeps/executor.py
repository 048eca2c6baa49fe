"""Where runs are computed: in this process (``in_process``), in child processes (``jobs.local``),
or wherever someone writes another executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

UNEXPECTED = (
    "Something went wrong inside the software, not in your settings. The details are in the "
    "server's log."
)


@dataclass(frozen=True)
class Reported:
    """A run reported an event, as ``Event.to_dict`` gives it."""

    id: str
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """A run is over; ``error`` is the sentence why it failed, if it did."""

    id: str
    state: Literal["done", "stopped", "failed"]
    error: str | None = None


Message = Reported | Ended


class Executor(Protocol):
    """Computes runs. Used by one thread, in turns: ``poll``, ``cancel``, ``free`` and ``start``."""

    def free(self) -> int:
        """How many more runs may be started now."""
        ...

    def start(self, id: str, settings: Mapping[str, Any], out: Path) -> None:
        """Begin a run (``settings`` as ``RunConfig.to_dict`` gives them) that writes its files
        to the folder ``out``. Returns at once; ``poll`` says what goes wrong."""
        ...

    def cancel(self, id: str) -> None:
        """Ask a run to stop, and end it after a grace period if it does not. Returns at once; a
        run that is over or already stopping is left alone."""
        ...

    def poll(self, timeout: float = 0.0) -> list[Message]:
        """The messages since the last call, in order; waits up to ``timeout`` seconds for one.
        The last message of every run is its ``Ended``."""
        ...

    def close(self) -> None:
        """Cancel all runs and wait until they are over; ``poll`` has their last messages."""
        ...
