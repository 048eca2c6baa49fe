"""The size of a finished run's ONNX files at any sparsity, in every encoding, without writing
them: from the masks that its scores give, and from the files that it wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prospr_engine.errors import ConfigError, DataError
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, FileSize, StoredTensor
from prospr_engine.export.encodings.gaps import coded_counts
from prospr_engine.io.tensors import float_shapes
from prospr_engine.overrides import Override
from prospr_engine.pruning.ranking import Cut, Ranking

NUMBER = 4  # bytes of a float32
RUNNING = "running_mean"
"""The tensor by which a batch norm is known."""
SPARSITIES = (
    *(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.965, 0.98),
    *(0.985, 0.99, 0.995, 0.998, 0.999),
)
"""Where a curve is computed: closer where most weights are gone."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of the file in each encoding when ``sparsity`` of the weights are removed."""

    sparsity: float
    bytes: Mapping[str, int]


@dataclass(frozen=True)
class SizeModel:
    """What the sizes of a run's files depend on besides its masks: the ``others`` among its
    tensors, the ``rest`` of the dense file, and by encoding the bytes by which the file that the
    run wrote exceeds its prediction (``excess``)."""

    ranking: Ranking
    others: tuple[StoredTensor, ...]
    rest: FileSize
    excess: Mapping[str, int]

    @classmethod
    def of(
        cls, ranking: Ranking, network: str | Path, own: Cut, written: Mapping[str, int]
    ) -> SizeModel:
        """From the saved ``network`` of a run, its ``own`` cut, and the bytes of the files it has
        ``written``, by encoding. Raises ``DataError`` if these do not belong together."""
        shapes = float_shapes(network)
        pruned = {layer.name for layer in ranking.layers}
        others = tuple(
            StoredTensor(values, values, weight=False, normalises=_beside(name, RUNNING) in shapes)
            for name, shape in shapes.items()
            if name not in pruned and (values := math.prod(shape))
        )
        stored = ranking.total + sum(int(tensor.values) for tensor in others)
        rest = written.get(PRIMARY, 0) - NUMBER * stored
        if rest <= 0 or not pruned <= shapes.keys():
            raise DataError(
                "The size of other files of this network cannot be predicted: not all of its "
                "weights are in the file."
            )
        model = cls(ranking, others, FileSize(rest, rest), {})
        found = model.at(own).bytes
        excess = {name: bytes - found[name] for name, bytes in written.items() if name in found}
        return cls(ranking, others, model.rest, excess)

    def at(self, cut: Cut) -> Sizes:
        """The sizes of the files with the weights that ``cut`` keeps."""
        tensors = [*self._weights(cut), *self.others]
        found = {
            name: spec.load_sizer()(tensors, self.rest).bytes + self.excess.get(name, 0)
            for name, spec in ENCODINGS.items()
        }
        return Sizes(cut.sparsity, found)

    def curve(
        self, layer_floor: int = 0, layers: Mapping[str, Override] | None = None
    ) -> tuple[Sizes, ...]:
        """The sizes at ``SPARSITIES``, except where floors and settings of layers leave no room."""
        found = []
        for sparsity in SPARSITIES:
            try:
                found.append(self.at(self.ranking.cut(sparsity, layer_floor, layers)))
            except ConfigError:
                continue
        return tuple(found)

    def _weights(self, cut: Cut) -> list[StoredTensor]:
        tensors = []
        for layer in self.ranking.layers:
            places = np.flatnonzero(self.ranking.mask(layer.name, cut))
            out = layer.shape[0] if layer.shape else 0
            tensors.append(StoredTensor(layer.total, len(places), out, coded_counts(places)))
        return tensors


def _beside(name: str, other: str) -> str:
    """The tensor ``other`` of the module that ``name`` belongs to."""
    return f"{name.rpartition('.')[0]}.{other}"


def break_even(curve: Sequence[Sizes], encoding: str) -> float | None:
    """The sparsity from which on the file is smaller than the dense one, between two points of the
    curve on a straight line; None if it never is."""
    excess = [sizes.bytes[encoding] - sizes.bytes[PRIMARY] for sizes in curve]
    last = max((place for place, more in enumerate(excess) if more >= 0), default=-1)
    if last + 1 == len(curve):
        return None
    if last < 0:
        return curve[0].sparsity if curve else None
    low, high = curve[last].sparsity, curve[last + 1].sparsity
    return low + (high - low) * excess[last] / (excess[last] - excess[last + 1])
