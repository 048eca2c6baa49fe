"""The scores of a finished run: what any other sparsity would keep, and what that would do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import streamlit as st

from app.services import runs
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.ranking import Cut, Histogram, Ranking
from prospr_engine.store.run import Artifact, Run

__all__ = ["Cut", "Histogram", "Ranking", "examine", "histogram", "layers", "ranking"]

SCORES = "scores.safetensors"
MOST_BYTES = 400_000_000
"""Of scores that are ranked for a visitor: 100 million weights, which take twice as much memory
while they are on show."""

UNREADABLE = (
    "The scores of this run cannot be read any more, so only the sparsity that it was trained at "
    "can be shown. The same settings give the same scores: start the run again."
)

# Memory, and the patience of the others: one network at a time.
_one_at_a_time = threading.Lock()


def ranking(run: Run) -> Ranking:
    """The weights of ``run`` in the order of their scores.

    Raises ``DataError`` if the file is gone or cannot be read, ``ResourceError`` if it is too
    large to be explored here.
    """
    file = _file(run)
    if file.bytes > MOST_BYTES:
        raise ResourceError(
            f"With {file.bytes // 4:,} weights this network is too large to explore in the "
            "browser. To see another sparsity, start a run with it."
        )
    return _ranking(str(file.path))


def histogram(run: Run, layer: str | None) -> Histogram:
    """How the scores of ``layer``, or of all layers, are spread; raises as ``ranking`` does."""
    ranking(run)
    return _histogram(str(_file(run).path), layer)


def layers(ranking: Ranking, cut: Cut) -> list[dict[str, Any]]:
    """What ``cut`` keeps, in the form of ``result.json``. ``effective`` is None: nobody has
    examined the connections."""
    return [
        {
            "name": layer.name,
            "total": layer.total,
            "kept": kept,
            "effective": None,
            "channels": layer.shape[0],
        }
        for layer, kept in zip(ranking.layers, cut.kept_per_layer, strict=True)
    ]


def examine(run: Run, result: Mapping[str, Any], sparsity: float) -> dict[str, Any]:
    """What masks at another sparsity would do to the network of ``run``: sparsity, layers and
    findings as ``result.json`` holds them.

    Takes a second, and more the first time, for the engine is loaded. Raises ``EngineError``.
    """
    ranking(run)
    if "torch" not in sys.modules:
        with st.spinner("Loading the engine"):
            import torch  # noqa: F401
    data = result["data"]
    path, floor = str(_file(run).path), run.config.layer_floor
    return _examine(path, run.config.model, tuple(data["shape"]), len(data["classes"]), sparsity,
                    floor)  # fmt: skip


def _file(run: Run) -> Artifact:
    file = runs.files(run).get(SCORES)
    if file is None:
        raise DataError(runs.GONE)
    return file


# The name of a stored file is the digest of its content: what it holds never changes.
@st.cache_resource(max_entries=4, show_spinner="Sorting the scores")
def _ranking(path: str) -> Ranking:
    try:
        return Ranking.load(path)
    except DataError:
        # Its sentence names a file of the server, which is nothing to a visitor.
        raise DataError(UNREADABLE) from None


@st.cache_data(max_entries=200, show_spinner=False)
def _histogram(path: str, layer: str | None) -> Histogram:
    return _ranking(path).histogram(layer)


@st.cache_data(max_entries=200, show_spinner="Examining the network")
def _examine(
    path: str, model: str, shape: tuple[int, ...], classes: int, sparsity: float, floor: int
) -> dict[str, Any]:
    import torch

    from prospr_engine.health import examine
    from prospr_engine.models.build import build

    order = _ranking(path)
    cut = order.cut(sparsity, floor)
    masks = {name: torch.from_numpy(mask) for name, mask in order.masks(cut).items()}
    with _one_at_a_time:
        # Only the connections count, so new weights do.
        network = build(model, (shape[0], shape[1], shape[2]), classes)
        health = examine(network, masks, torch.zeros(1, *shape))
    return {
        "sparsity": {
            "requested": sparsity,
            "achieved": health.sparsity,
            "effective": health.effective_sparsity,
        },
        "layers": [asdict(layer) for layer in health.layers],
        "findings": [asdict(finding) for finding in health.findings],
    }
