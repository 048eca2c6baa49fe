"""The layers of a network that is not built yet, and whether sparsities and settings of layers fit
it.

Imports torch on first use, so that a form without such settings needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app.services.locks import HEAVY, MEASURING
from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.errors import EngineError, ModelError
from prospr_engine.models.apart import Measured, measure_apart
from prospr_engine.models.collections import collection_of
from prospr_engine.overrides import (
    check_layers,
    layer_name,
    matches,
    names_layer,
    resolve,
)
from prospr_engine.pipeline.images import Images
from prospr_engine.pruning.budget import budget

if TYPE_CHECKING:
    from prospr_engine.structured.shrink import Structure

__all__ = [
    "check",
    "check_layers",
    "layer_name",
    "matches",
    "measured",
    "names_layer",
    "resolve",
    "sizes",
    "unmet",
]

TRACING = 10.0
"""Seconds that reading the channels of a network may take; a run may take longer."""


def sizes(model: str, images: Images) -> dict[str, int]:
    """The number of weights of each layer of ``model`` for these images that can be pruned, by the
    name of the weight. Raises ``EngineError`` if the network does not fit."""
    return _sizes(model, images.channels, images.size, images.classes)


def check(config: RunConfig, images: Images, sparsities: Sequence[float]) -> None:
    """Raise ``ConfigError`` if the settings of layers do not fit the network, or one of these
    ``sparsities`` cannot be met; ``ModelError`` if it has no channels to remove."""
    if config.layers:
        resolve(config.layers, list(sizes(config.model, images)))
    if not sparsities:
        return
    if config.kind == CHANNELS:
        structure = _structure(config.model, images.channels, images.size, images.classes)
        if structure is None:
            return
        own = config.channel_budget, config.channel_multiple, config.layers
        for sparsity in sparsities:
            structure.check(sparsity, *own)
    elif config.layers:
        found = sizes(config.model, images)
        for sparsity in sparsities:
            budget(found, sparsity, config.layer_floor, config.layers)


def unmet(config: RunConfig, images: Images, sparsities: Sequence[float]) -> str:
    """The sentence that ``check`` would raise; "" for none."""
    try:
        check(config, images, sparsities)
    except EngineError as error:
        return str(error)
    return ""


@st.cache_data(max_entries=200, show_spinner="Measuring the network")
def measured(model: str, channels: int, size: int, classes: int) -> Measured:
    """A network of a collection, measured in another process: torch, its library and a large
    network would stay in this one. Raises ``EngineError``."""
    with MEASURING:
        return measure_apart(model, channels, size, classes)


@st.cache_data(max_entries=200, show_spinner="Reading the layers of the network")
def _sizes(model: str, channels: int, size: int, classes: int) -> dict[str, int]:
    if collection_of(model):
        return measured(model, channels, size, classes).sizes
    from prospr_engine.models.outline import outline
    from prospr_engine.network.prunable import prunable_weights, sizes_of

    return sizes_of(prunable_weights(outline(model, (channels, size, size), classes)))


@st.cache_resource(max_entries=50, show_spinner="Reading the channels of the network")
def _structure(model: str, channels: int, size: int, classes: int) -> Structure | None:
    """The channels that can be removed; None if finding them takes the network's numbers or too
    long, so that only the run will tell."""
    import torch

    from prospr_engine.models.outline import outline, shape_for
    from prospr_engine.network.tied import untie
    from prospr_engine.structured.shrink import Structure

    shape = shape_for(model, (channels, size, size))
    network = untie(outline(model, shape, classes))
    try:
        with HEAVY:
            return Structure.of(network, torch.zeros(1, *shape), TRACING)
    except ModelError:
        return None
