"""Limits on what a store accepts and on how long it keeps it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from prospr_engine.errors import ConfigError
from prospr_engine.guard import limits as table


@dataclass(frozen=True)
class Limits:
    """The rows of ``guard.limits`` that are the store's; see there for what they
    limit. The time of a run and limits per visitor or address do not apply to the command line.

    Raises ``ConfigError`` if a value is negative or not finite.
    """

    most_queued: int = table.MOST_QUEUED.value
    most_queued_per_visitor: int = table.MOST_QUEUED_PER_VISITOR.value
    most_queued_per_address: int = table.MOST_QUEUED_PER_ADDRESS.value
    most_cells: int = table.MOST_CELLS.value
    most_cells_queued: int = table.MOST_CELLS_QUEUED.value
    most_studies: int = table.MOST_STUDIES.value
    most_studies_per_visitor: int = table.MOST_STUDIES_PER_VISITOR.value
    most_studies_per_address: int = table.MOST_STUDIES_PER_ADDRESS.value
    keep_days: float = table.KEEP_DAYS.value
    keep_runs: int = table.KEEP_RUNS.value
    keep_gigabytes: float = table.KEEP_GIGABYTES.value
    shared_gigabytes: float = table.SHARED_GIGABYTES.value
    run_minutes: float = table.RUN_MINUTES.value
    upload_megabytes: float = table.UPLOAD_MEGABYTES.value
    uploads_per_visitor: int = table.UPLOADS_PER_VISITOR.value
    upload_megabytes_per_visitor: float = table.UPLOAD_MEGABYTES_PER_VISITOR.value
    uploads_per_address: int = table.UPLOADS_PER_ADDRESS.value
    upload_megabytes_per_address: float = table.UPLOAD_MEGABYTES_PER_ADDRESS.value

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{field.name} is {value}; give a number of at least 0.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """The defaults, overridden by the environment; raises ``ConfigError``."""
        given: dict[str, float] = {}
        for row in (row for row in table.TABLE if row.of_store):
            text = environment.get(row.variable, "").strip()
            if not text:
                continue
            kind = type(row.value)
            try:
                given[row.name] = kind(text)
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                raise ConfigError(f"{row.variable} is {text!r}; give {wanted}.") from None
        return cls(**given)  # type: ignore[arg-type]
