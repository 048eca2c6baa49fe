"""The scores of a finished run: what any other sparsity would keep, and what that would do."""

from __future__ import annotations

import dataclasses
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from app.services import LayerRecord, PruningRecord, RunRecord, runs
from app.services.turns import HEAVY
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.guard import limits
from prospr_engine.pipeline.record import FindingRecord, SparsityRecord, TrustRecord
from prospr_engine.pruning.ranking import Cut, Histogram, Ranking
from prospr_engine.store.records import Artifact, Run

__all__ = ["Cut", "Histogram", "Ranking", "examine", "histogram", "layers", "ranking"]

SCORES = "scores.safetensors"
NETWORK = "pruned.safetensors"
MOST_BYTES = limits.EXPLORED_SCORES.value
"""Of scores that are ranked for a visitor: 30 million weights, or half as many where the scores
are in double precision. They take twice as much memory while they are on show, and several times
as much while they are sorted."""

UNREADABLE = (
    "The scores of this run cannot be read any more, so only the sparsity that it was trained at "
    "can be shown. The same settings give the same scores: start the run again."
)

PAUSE, LOOK = 0.2, 0.05
"""Seconds before an examination, for a slider that is still on its way, and between two looks
whether it is over."""

# One network at a time, for the memory, and not in the thread that draws the page: nothing could
# be drawn meanwhile, though the slider may have moved.
_examiner = ThreadPoolExecutor(1, "examiner")


def ranking(run: Run) -> Ranking:
    """The weights of ``run`` in the order of their scores.

    Raises ``DataError`` if the file is gone or cannot be read, ``ResourceError`` if it is too
    large to be explored here.
    """
    file = _file(run)
    if file.bytes > MOST_BYTES:
        total = (run.summary or {}).get("total")
        weights = f"With {total:,} weights this network is" if total else "This network is"
        raise ResourceError(
            f"{weights} too large to explore in the browser. To see another sparsity, start a run "
            "with it."
        )
    return _ranking(str(file.path))


def histogram(run: Run, layer: str | None) -> Histogram:
    """How the scores of ``layer``, or of all layers, are spread; raises as ``ranking`` does."""
    order = ranking(run)
    return _histogram(order, str(_file(run).path), layer)


def layers(ranking: Ranking, cut: Cut) -> tuple[LayerRecord, ...]:
    """What ``cut`` keeps. ``effective`` is None: nobody has examined the connections."""
    return tuple(
        LayerRecord(layer.name, layer.total, kept, effective=None, channels=layer.shape[0])
        for layer, kept in zip(ranking.layers, cut.kept_per_layer, strict=True)
    )


def examine(run: Run, result: RunRecord, sparsity: float) -> PruningRecord:
    """What masks at another sparsity would do to the network of ``run``. The ranking is that of
    its ``result``, and so is the trust in it.

    Takes a second, and more the first time, for the engine is loaded; a visitor who moves on
    meanwhile does not wait for it. Raises ``EngineError``.
    """
    order, network = ranking(run), runs.files(run).get(NETWORK)
    if network is None:
        raise DataError(runs.GONE)
    settings = (str(network.path), result.data.shape, sparsity, run.config.layer_floor)
    path = str(_file(run).path)
    with st.spinner("Examining the network" if "torch" in sys.modules else "Loading the engine"):
        _give_way(PAUSE)
        examination = _examiner.submit(_examine, order, path, *settings)
        try:
            while not examination.done():
                _give_way(LOOK)
        finally:
            examination.cancel()  # unless it has begun
    return dataclasses.replace(examination.result(), trust=result.pruning.trust)


def _give_way(seconds: float) -> None:
    """Wait; and let Streamlit end this run of the page here if the visitor has moved on."""
    time.sleep(seconds)
    st.session_state.get("anything")  # Streamlit looks first whether anybody waits for it


def _file(run: Run) -> Artifact:
    file = runs.files(run).get(SCORES)
    if file is None:
        raise DataError(runs.GONE)
    return file


# The name of a stored file is the digest of its content: what it holds never changes.
@st.cache_resource(max_entries=2, show_spinner="Sorting the scores")
def _ranking(path: str) -> Ranking:
    try:
        with HEAVY:
            return Ranking.load(path)
    except DataError:
        # Its sentence names a file of the server, which is nothing to a visitor.
        raise DataError(UNREADABLE) from None


@st.cache_data(max_entries=200, show_spinner=False)
def _histogram(_order: Ranking, path: str, layer: str | None) -> Histogram:
    """``path`` tells one ``_order`` from another."""
    with HEAVY:
        return _order.histogram(layer)


@st.cache_data(max_entries=200, show_spinner=False)
def _examine(
    _order: Ranking,
    path: str,
    network: str,
    shape: tuple[int, int, int],
    sparsity: float,
    floor: int,
) -> PruningRecord:
    """In the examiner's thread. ``path`` tells one ``_order`` from another."""
    import torch

    from prospr_engine.pipeline.checkpoint import untrained
    from prospr_engine.pruning.health import examine

    with HEAVY:
        cut = _order.cut(sparsity, floor)
        masks = {name: torch.from_numpy(mask) for name, mask in _order.masks(cut).items()}
        # Only the connections count, so new weights do.
        try:
            architecture = untrained(network)
        except DataError:
            raise DataError(UNREADABLE) from None  # its sentence names a file of the server
        health = examine(architecture, masks, torch.zeros(1, *shape))
    return PruningRecord(
        SparsityRecord(sparsity, health.sparsity, health.effective_sparsity),
        tuple(LayerRecord(**dataclasses.asdict(layer)) for layer in health.layers),
        tuple(FindingRecord(**dataclasses.asdict(finding)) for finding in health.findings),
        TrustRecord(trusted=True, verdict=""),  # the caller knows
    )
