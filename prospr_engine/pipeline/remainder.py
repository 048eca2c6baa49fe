"""What a run leaves of its network, estimated before it starts: weights, multiply-adds and bytes.

Plain arithmetic, without torch, as if every layer lost the same share.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, FileSize, StoredTensor
from prospr_engine.export.encodings.dense import NUMBER, ZIPPED_NUMBER
from prospr_engine.models.measures import Measure
from prospr_engine.pruning.budget import kept_count

GRAPH = 2000
"""Bytes of a file per layer for its names, its nodes in the graph and its running statistics."""
GRAPH_ZIPPED = (1500, 100)
"""Zipped bytes of the graph, and of each layer in it."""


def remaining(config: RunConfig, measure: Measure) -> tuple[Measure, float]:
    """The measure of the pruned network, and the share of its weights that are kept in it."""
    if config.kind == CHANNELS:
        return narrowed(measure, share_left(config)), 1.0
    return measure, kept_count(measure.weights, config.sparsity) / measure.weights


def share_left(config: RunConfig) -> float:
    """The share of the weights and multiply-adds of the pruned network that training computes."""
    if config.kind != CHANNELS:
        return 1.0
    left = 1 - config.sparsity
    return left**2 if config.channel_budget == CHANNELS else left


def narrowed(measure: Measure, share: float) -> Measure:
    """The measure of the network with this ``share`` of its weights in narrower layers."""
    weights = max(1, round(measure.weights * share))
    others = round((measure.parameters - measure.weights) * math.sqrt(share))
    return dataclasses.replace(
        measure,
        weights=weights,
        parameters=weights + others,
        macs=round(measure.macs * share),
        other=round(measure.other * share),
    )


def file_sizes(
    measure: Measure, density: float, encodings: Sequence[str] = (PRIMARY,)
) -> dict[str, FileSize]:
    """The ONNX files of a run in the ``encodings`` that are known, when ``density`` of the weights
    are kept."""
    tensors, rest = tensors_of(measure, density)
    return {
        name: ENCODINGS[name].load_sizer()(tensors, rest) for name in encodings if name in ENCODINGS
    }


def tensors_of(measure: Measure, density: float) -> tuple[list[StoredTensor], FileSize]:
    """What the sizers of encodings predict a file from: the weights, as if all layers were equal,
    and the rest of the file."""
    layers, other = measure.layers, measure.parameters - measure.weights
    weights = measure.weights / layers
    rest = FileSize(
        bytes=NUMBER * other + GRAPH * layers,
        zipped=round(ZIPPED_NUMBER * other + GRAPH_ZIPPED[0] + GRAPH_ZIPPED[1] * layers),
    )
    return [StoredTensor(weights, density * weights)] * layers, rest


def zipped_size(measure: Measure, density: float) -> int:
    """Bytes of the zipped dense-encoded ONNX file, when ``density`` of the weights are kept."""
    return file_sizes(measure, density)[PRIMARY].zipped
