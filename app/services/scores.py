"""The scores of a finished run: which weights another sparsity would keep, and to what effect."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from app.services import LayerRecord, PruningRecord, RunRecord, runs
from app.services.locks import HEAVY
from app.services.summary import summary_of
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.guard import limits
from prospr_engine.overrides import Override
from prospr_engine.pipeline.pruning_record import FindingRecord, SparsityRecord, TrustRecord
from prospr_engine.pruning.ranking import Cut, Histogram, Ranking
from prospr_engine.store.records import Artifact, Run

__all__ = ["Cut", "Histogram", "Ranking", "examine", "histogram", "layers", "ranking"]

SCORES = "scores.safetensors"
NETWORK = "pruned.safetensors"
MOST_BYTES = limits.EXPLORED_SCORES.value
"""Largest file of scores that is ranked here: 30 million weights, or half as many in double
precision. A ranking takes twice that much memory, and several times as much during sorting."""

UNREADABLE = (
    "The scores of this run can no longer be read, so only the sparsity it was trained at can be "
    "shown. The same settings give the same scores: start the run again."
)

PAUSE, POLL = 0.2, 0.05
"""Seconds to wait before an examination, in case the slider is still moving, and between two checks
whether it is done."""

# One network at a time, to limit memory, and outside the page's thread, which would be blocked even
# if the slider moved meanwhile.
_examiner = ThreadPoolExecutor(1, "examiner")


def ranking(run: Run) -> Ranking:
    """The weights of ``run``, ranked by score.

    Raises ``DataError`` if the file is gone or cannot be read, ``ResourceError`` if it is too
    large to be explored here.
    """
    file = _file(run)
    if file.bytes > MOST_BYTES:
        total = summary_of(run).total
        weights = f"With {total:,} weights this network is" if total else "This network is"
        raise ResourceError(
            f"{weights} too large to explore in the browser. To see another sparsity, start a run "
            "with it."
        )
    return _ranking(str(file.path))


def histogram(run: Run, layer: str | None) -> Histogram:
    """The distribution of the scores of ``layer``, or of all layers; raises as ``ranking`` does."""
    order = ranking(run)
    return _histogram(order, str(_file(run).path), layer)


def layers(ranking: Ranking, cut: Cut) -> tuple[LayerRecord, ...]:
    """The weights that ``cut`` keeps. ``effective`` is None: connections are not examined."""
    return tuple(
        LayerRecord(
            layer.name,
            layer.total,
            kept,
            effective=None,
            channels=layer.shape[0],
            setting=cut.layers.get(layer.name),
        )
        for layer, kept in zip(ranking.layers, cut.kept_per_layer, strict=True)
    )


def examine(run: Run, result: RunRecord, sparsity: float) -> PruningRecord:
    """The effect of masks at another sparsity on the network of ``run``. The ranking, and the
    trust in it, are those of its ``result``.

    Takes about a second, longer the first time because the engine is loaded. A visitor who moves
    on in the meantime does not wait for it. Raises ``EngineError``.
    """
    order, network = ranking(run), runs.files(run).get(NETWORK)
    if network is None:
        raise DataError(runs.GONE)
    config = run.config
    settings = (str(network.path), result.data.shape, sparsity, config.layer_floor, config.layers)
    path = str(_file(run).path)
    with st.spinner("Examining the network" if "torch" in sys.modules else "Loading the engine"):
        _give_way(PAUSE)
        examination = _examiner.submit(_examine, order, path, *settings)
        try:
            while not examination.done():
                _give_way(POLL)
        finally:
            examination.cancel()  # has no effect if it has started
    return dataclasses.replace(examination.result(), trust=result.pruning.trust)


def _give_way(seconds: float) -> None:
    """Sleep, then let Streamlit abort this script run here if the visitor has moved on."""
    time.sleep(seconds)
    st.session_state.get("anything")  # any access lets Streamlit abort


def _file(run: Run) -> Artifact:
    file = runs.files(run).get(SCORES)
    if file is None:
        raise DataError(runs.GONE)
    return file


# A file is named after the digest of its content, so it never changes.
@st.cache_resource(max_entries=2, show_spinner="Sorting the scores")
def _ranking(path: str) -> Ranking:
    try:
        with HEAVY:
            return Ranking.load(path)
    except DataError:
        # Its message contains a path on the server.
        raise DataError(UNREADABLE) from None


@st.cache_data(max_entries=200, show_spinner=False)
def _histogram(_order: Ranking, path: str, layer: str | None) -> Histogram:
    """``path`` identifies ``_order`` in the cache."""
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
    own: Mapping[str, Override],
) -> PruningRecord:
    """Runs in the examiner's thread. ``path`` identifies ``_order`` in the cache."""
    import torch

    from prospr_engine.pipeline.checkpoint import untrained
    from prospr_engine.pruning.health import examine

    with HEAVY:
        cut = _order.cut(sparsity, floor, own)
        masks = {name: torch.from_numpy(mask) for name, mask in _order.masks(cut).items()}
        # Only the connections matter, so untrained weights will do.
        try:
            architecture = untrained(network)
        except DataError:
            raise DataError(UNREADABLE) from None  # its message contains a path on the server
        health = examine(architecture, masks, torch.zeros(1, *shape))
    return PruningRecord(
        SparsityRecord(sparsity, health.sparsity, health.effective_sparsity),
        tuple(
            LayerRecord(**dataclasses.asdict(layer), setting=cut.layers.get(layer.name))
            for layer in health.layers
        ),
        tuple(FindingRecord(**dataclasses.asdict(finding)) for finding in health.findings),
        TrustRecord(trusted=True, verdict=""),  # the caller fills this in
    )
