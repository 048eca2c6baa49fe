"""When two runs must have the same result, so that one of them is enough."""

from __future__ import annotations

from prospr_engine.config import WEIGHTS, RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.io.tokens import is_token
from prospr_engine.version import VERSION


def sameness(config: RunConfig, version: str = VERSION) -> str | None:
    """Equal for settings that must give equal results on one machine with the same ``version`` of
    this software; ``None`` where that cannot be known, because the settings name files that may
    change."""
    known = config.data in list(DATASETS) or is_token(config.data)
    weights = config.weights in WEIGHTS.choices or is_token(config.weights)
    if not (known and weights):
        return None
    return f"{config.fingerprint} {version}"
