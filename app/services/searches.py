"""What a budget search has found so far."""

from __future__ import annotations

from dataclasses import dataclass

from app.services import ConfigError, Goal, SearchConfig
from app.services.comparison import Comparison
from prospr_engine.store.study import trail
from prospr_engine.sweeps.report import counted_in, outcome, probe_line
from prospr_engine.sweeps.search_config import Probe

__all__ = ["SearchResult", "search_result"]


@dataclass(frozen=True)
class SearchResult:
    """``sentences`` say what was found, the answer first; ``runs`` are the ids of the network
    found. ``lines`` describe the probes of the ``trail``. ``limit`` is that of the ``goal``;
    sparsities are shares of what is ``counted``, such as weights."""

    sentences: tuple[str, ...]
    runs: tuple[str, ...]
    trail: tuple[Probe, ...]
    lines: tuple[str, ...]
    limit: float
    goal: Goal
    counted: str


def search_result(compared: Comparison) -> SearchResult | None:
    """What the search has found so far; None if ``compared`` is not a search or its settings cannot
    be read."""
    study = compared.study
    if study is None or study.kind != "search":
        return None
    try:
        config = study.config
    except ConfigError:
        return None
    assert isinstance(config, SearchConfig)
    probes = trail(config, compared.runs)
    found = outcome(config, probes)
    return SearchResult(
        sentences=found.sentences,
        runs=found.runs,
        trail=tuple(probes),
        lines=tuple(probe_line(config, probe) for probe in probes),
        limit=config.limit,
        goal=config.goal,
        counted=counted_in(config.run),
    )
