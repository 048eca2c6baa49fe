"""What a budget search has found so far."""

from __future__ import annotations

from dataclasses import dataclass

from app.services import ConfigError, SearchConfig
from app.services.comparison import Comparison
from prospr_engine.store.study import trail
from prospr_engine.sweeps.report import outcome, tell_probe
from prospr_engine.sweeps.search_config import Probe

__all__ = ["Searched", "searched"]


@dataclass(frozen=True)
class Searched:
    """``sentences`` say what was found, the answer first; ``runs`` are those of the network that
    was found. ``told`` has a line for each probe of the ``trail``. The goal is ``limit``: a
    fraction of the accuracy if ``about_accuracy``, else bytes."""

    sentences: tuple[str, ...]
    runs: tuple[str, ...]
    trail: tuple[Probe, ...]
    told: tuple[str, ...]
    limit: float
    about_accuracy: bool


def searched(compared: Comparison) -> Searched | None:
    """Of a comparison that is a search; None if it is none, or of another version."""
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
    return Searched(
        sentences=found.sentences,
        runs=found.runs,
        trail=tuple(probes),
        told=tuple(tell_probe(config, probe) for probe in probes),
        limit=config.limit,
        about_accuracy=config.about_accuracy,
    )
