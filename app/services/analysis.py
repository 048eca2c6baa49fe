"""The engine's statistics, for pages and charts. Nothing in the app computes its own."""

from __future__ import annotations

from prospr_engine.sweeps.analysis import (
    Level,
    Noise,
    Sparsest,
    common,
    dense,
    done,
    guess,
    guessing,
    image_noise,
    level,
    means,
    originals,
    points,
    sparsest,
    spread,
    spread_by_sparsity,
)
from prospr_engine.sweeps.controlled import Controlled, controlled
from prospr_engine.sweeps.result_analysis import (
    Lines,
    ahead,
    by_seed,
    classes,
    curves,
    layers,
    mean_between,
)
from prospr_engine.sweeps.tested import (
    AgainstGuessing,
    Difference,
    Measurement,
    against_guessing,
    by_pruning,
    difference,
)

__all__ = [
    "AgainstGuessing",
    "Controlled",
    "Difference",
    "Level",
    "Lines",
    "Measurement",
    "Noise",
    "Sparsest",
    "against_guessing",
    "ahead",
    "by_pruning",
    "by_seed",
    "classes",
    "common",
    "controlled",
    "curves",
    "dense",
    "difference",
    "done",
    "guess",
    "guessing",
    "image_noise",
    "layers",
    "level",
    "mean_between",
    "means",
    "originals",
    "points",
    "sparsest",
    "spread",
    "spread_by_sparsity",
]
