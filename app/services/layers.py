"""The layers of a network that is not built yet, and whether settings of layers fit it.

Imports torch on first use, so that a form without such settings needs none.
"""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from prospr_engine.config import WEIGHTS, RunConfig
from prospr_engine.overrides import (
    check_layers,
    layer_name,
    matches,
    names_layer,
    resolve,
)
from prospr_engine.pipeline.estimate import Images
from prospr_engine.pruning.budget import budget

__all__ = ["check", "check_layers", "layer_name", "matches", "names_layer", "resolve", "sizes"]


def sizes(model: str, images: Images) -> dict[str, int]:
    """The number of weights of each layer of ``model`` for these images that can be pruned, by the
    name of the weight. Raises ``EngineError`` if the network does not fit."""
    return _sizes(model, images.channels, images.size, images.classes)


def check(config: RunConfig, images: Images, sparsities: Iterable[float]) -> None:
    """Raise ``ConfigError`` if the settings of layers do not fit the network or, as far as weights
    are removed, one of these ``sparsities``: which channels depend on others is known later."""
    if config.layers:
        found = sizes(config.model, images)
        resolve(config.layers, list(found))
        for sparsity in sparsities if config.kind == WEIGHTS else ():
            budget(found, sparsity, config.layer_floor, config.layers)


@st.cache_data(max_entries=200, show_spinner="Reading the layers of the network")
def _sizes(model: str, channels: int, size: int, classes: int) -> dict[str, int]:
    from prospr_engine.models.outline import outline
    from prospr_engine.network.prunable import prunable_weights, sizes_of

    return sizes_of(prunable_weights(outline(model, (channels, size, size), classes)))
