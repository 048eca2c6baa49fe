"""The sizes that the files of a finished run would have at other sparsities."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.services import RunRecord, runs, scores
from app.services.locks import HEAVY
from prospr_engine.errors import DataError
from prospr_engine.pipeline.size_curve import SizeModel, Sizes, break_even
from prospr_engine.pruning.ranking import Cut, Ranking
from prospr_engine.store.records import Run

__all__ = ["Sizes", "at", "break_even", "curve"]

NETWORK = "pruned.safetensors"
UNREADABLE = "The sizes of other files cannot be predicted, because files of this run are gone."

Key = tuple[str, float, int, tuple[tuple[str, Any], ...], tuple[tuple[str, int], ...]]
"""The network's file, sparsity, layer floor, settings of layers, and bytes of the files by
encoding: all that the sizes depend on besides the ranking."""


def curve(run: Run, result: RunRecord) -> tuple[Sizes, ...]:
    """The sizes of the files from none to nearly all of the weights removed. Raises
    ``EngineError`` if they cannot be predicted."""
    return _curve(scores.ranking(run), _key(run, result))


def at(run: Run, result: RunRecord, cut: Cut) -> Sizes:
    """The sizes of the files with the weights that ``cut`` keeps; raises as ``curve`` does."""
    return _at(scores.ranking(run), _key(run, result), cut.sparsity)


def _key(run: Run, result: RunRecord) -> Key:
    network = runs.files(run).get(NETWORK)
    if network is None:
        raise DataError(UNREADABLE)
    config = run.config
    written = tuple((name, export.bytes) for name, export in result.exports.items())
    # A file is named after the digest of its content, so this tells scores apart, too.
    layers = tuple(config.layers.items())
    return str(network.path), config.sparsity, config.layer_floor, layers, written


@st.cache_data(max_entries=20, show_spinner="Predicting file sizes")
def _curve(_order: Ranking, key: Key) -> tuple[Sizes, ...]:
    """``key`` identifies ``_order`` in the cache."""
    model = _model(_order, key)
    _, _, floor, layers, _ = key
    with HEAVY:
        return model.curve(floor, dict(layers))


@st.cache_data(max_entries=500, show_spinner=False)
def _at(_order: Ranking, key: Key, sparsity: float) -> Sizes:
    """``key`` identifies ``_order`` in the cache."""
    model = _model(_order, key)
    _, _, floor, layers, _ = key
    with HEAVY:
        return model.at(_order.cut(sparsity, floor, dict(layers)))


@st.cache_resource(max_entries=2, show_spinner=False)
def _model(_order: Ranking, key: Key) -> SizeModel:
    """``key`` identifies ``_order`` in the cache."""
    network, sparsity, floor, layers, written = key
    try:
        with HEAVY:
            own = _order.cut(sparsity, floor, dict(layers))
            return SizeModel.of(_order, network, own, dict(written))
    except DataError:
        raise DataError(UNREADABLE) from None  # its message may contain a path on the server
