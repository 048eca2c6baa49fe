"""What the store knows of a run, of its files and of what visitors uploaded: plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from prospr_engine.config import RunConfig
from prospr_engine.guard import limits

State = Literal["queued", "running", "done", "failed", "stopped"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "stopped")
NAME_LENGTH = limits.NAME_CHARACTERS.value
ENDS: tuple[State, ...] = ("done", "failed", "stopped")


@dataclass(frozen=True)
class Run:
    """One run as it stood when it was looked up. Times are seconds since 1970.

    ``id`` cannot be guessed; who knows it may look at the run, but only its ``owner`` may
    change it. The command line's runs have the owner ``""``. ``ahead`` counts the runs that
    come before a queued one. ``summary`` holds the main figures of a finished run (see
    ``pipeline.record``), ``bytes`` the size of its files. ``study`` is the id of the study of
    which it is a cell, if it is one.
    """

    id: str
    name: str
    owner: str
    settings: Mapping[str, Any]
    state: State
    stopping: bool
    attempt: int
    ahead: int
    created: float
    started: float | None
    ended: float | None
    error: str | None
    summary: Mapping[str, Any] | None
    bytes: int
    study: str | None = None

    @cached_property
    def config(self) -> RunConfig:
        """The settings; raises ``ConfigError`` if another version wrote them."""
        return RunConfig.from_dict(self.settings)

    @property
    def live(self) -> bool:
        """Queued or running."""
        return self.state not in ENDS


@dataclass(frozen=True)
class Artifact:
    """A file of a run; ``digest`` is the SHA-256 of its content."""

    name: str
    digest: str
    bytes: int
    path: Path


@dataclass(frozen=True)
class Upload:
    """A file that a visitor brought. ``token`` names it in settings (see ``uploads``)."""

    token: str
    name: str
    kind: str
    owner: str
    digest: str
    bytes: int
    created: float
    path: Path


def clean_name(name: str) -> str:
    """What somebody wants to call a run, as one line of printable text that is not too long."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:NAME_LENGTH]
