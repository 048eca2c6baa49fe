"""The store's records of runs, of their files and of uploads, as plain data."""

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
    """One run as of the query. Times are seconds since 1970.

    ``id`` cannot be guessed; anyone who knows it may view the run, but only its ``owner`` may
    change it. The command line's runs have the owner ``""``. ``ahead`` is the number of runs
    ahead of a queued one. ``summary`` has the main figures of a finished run (see ``metrics``),
    ``bytes`` is the size of its files. ``study`` is the id of its study, if it has one.
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
        """The settings; raises ``ConfigError`` if an incompatible version wrote them."""
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
    """A file from a visitor. ``token`` refers to it in settings (see ``io.tokens``)."""

    token: str
    name: str
    kind: str
    owner: str
    digest: str
    bytes: int
    created: float
    path: Path


def clean_name(name: str) -> str:
    """``name`` as one line of printable text of limited length."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:NAME_LENGTH]
