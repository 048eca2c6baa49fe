"""The sparsities that settings of layers leave a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from prospr_engine.config import WEIGHTS
from prospr_engine.errors import ConfigError
from prospr_engine.pipeline.images import images_of
from prospr_engine.pruning.budget import sparsity_range
from prospr_engine.sweeps.search_config import SearchConfig


def reachable(config: SearchConfig) -> SearchConfig:
    """``config`` without the sparsities that the settings of its layers rule out, if it has any:
    runs there would fail, and a search takes a failure for a try that missed the goal. Raises
    ``EngineError`` if none are left, or if data or network cannot be read."""
    run = config.run
    if not concerns(config):
        return config
    images = images_of(run.data, run.loading.image_size)
    if images is None:
        return config  # the images differ in size, so the network is not known yet
    from prospr_engine.models.outline import outline, shape_for
    from prospr_engine.network.prunable import prunable_weights, sizes_of

    shape = shape_for(run.model, (images.channels, images.size, images.size))
    return within(config, sizes_of(prunable_weights(outline(run.model, shape, images.classes))))


def concerns(config: SearchConfig) -> bool:
    """Whether settings of layers can rule out sparsities."""
    return bool(config.run.layers) and config.run.kind == WEIGHTS


def within(config: SearchConfig, sizes: Mapping[str, int]) -> SearchConfig:
    """The same for a network whose layers have these ``sizes``."""
    low, high = sparsity_range(sizes, config.run.layer_floor, config.run.layers)
    lowest, highest = max(config.lowest, low), min(config.highest, high)
    if lowest >= highest:
        raise ConfigError(
            f"With these settings of layers the sparsity is {low:g} to {high:g}, and the search is "
            f"from {config.lowest:g} to {config.highest:g}; change one of the two."
        )
    return dataclasses.replace(config, lowest=lowest, highest=highest)
