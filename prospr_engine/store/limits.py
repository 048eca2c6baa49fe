"""How much a store takes in and how long it keeps it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from prospr_engine.errors import ConfigError

PREFIX = "PROSPR_"


@dataclass(frozen=True)
class Limits:
    """Each can be set in the environment: ``most_queued`` as ``PROSPR_MOST_QUEUED``.

    Raises ``ConfigError`` when a value is below zero or not finite.
    """

    most_queued: int = 50
    """Runs that wait, of all visitors, without those of studies."""
    most_queued_per_visitor: int = 3
    """Runs that wait or work, of one visitor (the command line has no such limit). Those of
    studies do not count."""
    most_cells: int = 400
    """Runs of one study."""
    most_studies_per_visitor: int = 1
    """Studies that wait or work, of one visitor (the command line has no such limit)."""
    keep_days: float = 30.0
    """Days for which a run that is over, or an upload since its last use, is kept."""
    keep_runs: int = 5000
    """Runs that are over, of all visitors; the oldest go first."""
    keep_gigabytes: float = 20.0
    """Disk space of all files; the oldest runs go first."""
    shared_gigabytes: float = 4.0
    """Disk space of what runs leave for others; what was not used for longest goes first."""
    run_minutes: float = 0.0
    """Longest time one run may take; 0 is no limit."""
    upload_megabytes: float = 200.0
    """Largest file that a visitor may upload."""
    uploads_per_visitor: int = 10
    """Files that one visitor may keep on the server."""
    upload_megabytes_per_visitor: float = 600.0
    """Size of all of them together."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{field.name} is {value}; give a number from 0 up.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """The defaults, and over them what the environment says; raises ``ConfigError``."""
        given: dict[str, float] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            text = environment.get(name, "").strip()
            if not text:
                continue
            kind: type[int] | type[float] = int if isinstance(field.default, int) else float
            try:
                given[field.name] = kind(text)
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                raise ConfigError(f"{name} is {text!r}; give {wanted}.") from None
        return cls(**given)  # type: ignore[arg-type]
