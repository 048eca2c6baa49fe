"""The order that a finished run's scores put its weights in: any sparsity, at once, without torch.

Sorting happens once. A weight's place in the whole network's order (the highest score is 0, equal
scores stand in the order of layers and positions) decides it at every sparsity: masks equal those
of ``masks.top_masks`` bit for bit, as a test checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prospr_engine.errors import ConfigError, DataError, ScoringError
from prospr_engine.format import listed
from prospr_engine.io.tensors import read_tensors
from prospr_engine.overrides import (
    MOST_NAMED,
    Override,
    check_layers,
    layer_name,
    resolve,
    setting_words,
)
from prospr_engine.pruning.budget import Budget, budget

FEW = 0.001
"""The share of scores at each end that a histogram may clip into its outer bins."""


@dataclass(frozen=True)
class Layer:
    """A ranked weight tensor: the parameter's ``name``, its ``shape`` and number of weights."""

    name: str
    shape: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Cut:
    """Where a sparsity cuts a ranking.

    ``threshold`` is the lowest score that is kept for its value and not for a layer floor or a
    setting in ``layers``: everything above it in the other layers is kept. ``kept`` counts weights
    in all, ``kept_per_layer`` in network order. A layer keeps the weights whose place comes before
    its ``places`` entry: the same in all layers, except where a layer floor reaches further, or
    where ``layers`` has a setting of the layer's own.
    """

    sparsity: float
    layer_floor: int
    threshold: float
    kept: int
    kept_per_layer: tuple[int, ...]
    places: tuple[int, ...]
    layers: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True)
class Histogram:
    """``counts`` of scores between neighbouring ``edges`` (one more than counts, in units of the
    score). ``log``: edges are spaced by the logarithm; ``zeros``, which have none, are counted
    apart. The lowest ones, a share of ``FEW``, are all in the first bin, and where there are
    signs, as many of the highest in the last."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    zeros: int
    log: bool


class Ranking:
    """Weights ranked by ``scores`` (arrays by parameter name, in the network's order).

    ``target`` is the sparsity and layer floor that the scores hold for, None if for all;
    ``target_layers`` the settings of layers of their own, by name. Takes 4 bytes per weight besides
    the scores. Raises ``ScoringError`` if a score is not finite, ``DataError`` if there are none.
    """

    def __init__(
        self,
        scores: Mapping[str, NDArray[Any]],
        target: tuple[float, int] | None = None,
        target_layers: Mapping[str, Override] | None = None,
    ):
        self.target = target
        self.target_layers = dict(target_layers or {})
        self._scores = dict(scores)
        self.layers = tuple(
            Layer(name, tuple(score.shape), int(score.size)) for name, score in scores.items()
        )
        self.total = sum(layer.total for layer in self.layers)
        if not self.total:
            raise DataError("There are no scores in the file; start the run again.")
        flat = np.concatenate([score.ravel() for score in self._scores.values()])
        if not np.isfinite(flat).all():
            raise ScoringError(
                "Some scores are not finite numbers, so the weights cannot be ranked by them; "
                "score again with a smaller learning rate or fewer steps."
            )
        order = np.argsort(-flat, kind="stable")
        self._place_type = np.int32 if flat.size < 2**31 else np.int64
        places = np.empty(flat.size, self._place_type)
        places[order] = np.arange(flat.size, dtype=places.dtype)
        ends = np.cumsum([layer.total for layer in self.layers])[:-1]
        self._places = dict(zip(self._scores, np.split(places, ends), strict=True))
        self._aside: tuple[Any, Any] = (None, None)

    @classmethod
    def load(cls, path: str | Path) -> Ranking:
        """Read what ``Scores.save`` wrote; raises ``DataError`` if the file is no such thing."""
        scores, metadata = read_tensors(path, "np", leave_out=("channels/", "rest/"))
        if "diagnostics" not in metadata or any(s.dtype.kind != "f" for s in scores.values()):
            raise DataError(f"{path} holds no scores; give a file that Scores.save wrote.")
        return cls(scores, read_target(metadata), read_target_layers(metadata))

    def cut(
        self,
        sparsity: float,
        layer_floor: int = 0,
        layers: Mapping[str, Override] | None = None,
    ) -> Cut:
        """Keep exactly ``ceil(N · (1 − sparsity))`` weights, those with the highest scores, and
        at least ``layer_floor`` of every layer (all, if it has fewer); of ``layers`` with a setting
        of their own (see ``overrides``) what that says.

        Raises ``ConfigError`` for a sparsity outside [0, 1), floors and settings that do not fit,
        or scores made for another ``target``.
        """
        settings = resolve(layers or {}, list(self._scores))
        check_target(self.target, self.target_layers, sparsity, layer_floor, settings)
        sizes = {layer.name: layer.total for layer in self.layers}
        kept_of = budget(sizes, sparsity, layer_floor, settings)
        floors, free = self._set_aside(kept_of)
        count = kept_of.shared - sum(kept_of.floors)
        # How far the rest reaches: as many places before it as are free there.
        reach = count if free is None or not count else int(np.searchsorted(free, count)) + 1
        places = tuple(
            max(reach, floor) if own is None else floor
            for own, floor in zip(kept_of.own, floors, strict=True)
        )
        kept = [
            int(np.count_nonzero(mine < place))
            for mine, place in zip(self._places.values(), places, strict=True)
        ]
        return Cut(
            sparsity=sparsity,
            layer_floor=layer_floor,
            # Where floors leave no choice at all, the highest score of the network.
            threshold=self._score_at(max(reach, 1) - 1),
            kept=sum(kept),
            kept_per_layer=tuple(kept),
            places=places,
            layers=settings,
        )

    def threshold(self, cut: Cut, name: str = "") -> float:
        """The lowest score kept in the layer ``name``, if it has a setting of its own; else that of
        the layers that compete (see ``Cut``)."""
        if name not in cut.layers:
            return cut.threshold
        return float(self._scores[name][self.mask(name, cut)].min())

    def mask(self, name: str, cut: Cut) -> NDArray[np.bool_]:
        """True where ``cut`` keeps a weight of the layer, in the weight's shape."""
        place = dict(zip(self._places, cut.places, strict=True))[name]
        return (self._places[name] < place).reshape(self._scores[name].shape)

    def masks(self, cut: Cut) -> dict[str, NDArray[np.bool_]]:
        """The masks of all layers by name, in the network's order."""
        return {layer.name: self.mask(layer.name, cut) for layer in self.layers}

    def scores(self, name: str) -> NDArray[Any]:
        """The scores of a layer, in the weight's shape."""
        return self._scores[name]

    def histogram(self, name: str | None = None, bins: int = 60) -> Histogram:
        """How the scores of a layer, or (None) of the whole network, are spread."""
        values = (
            self._scores[name].ravel()
            if name
            else np.concatenate([score.ravel() for score in self._scores.values()])
        )
        lowest, highest = float(values.min()), float(values.max())
        log = lowest >= 0 and highest > 0
        zeros = 0
        if log:
            positive = values[values > 0]
            zeros, values = values.size - positive.size, positive
            few = int(FEW * values.size)
            lowest = float(np.partition(values, few)[few])
            if lowest == highest:
                lowest, highest = highest / 10, highest * 10
            edges = np.geomspace(lowest, highest, bins + 1)
        else:
            few = int(FEW * values.size)
            ordered = np.partition(values, [few, values.size - 1 - few])
            low, high = float(ordered[few]), float(ordered[-1 - few])
            if low < high:
                lowest, highest = low, high
            if lowest == highest:
                margin = abs(lowest) or 1.0
                lowest, highest = lowest - margin, highest + margin
            edges = np.linspace(lowest, highest, bins + 1)
        return Histogram(edges, _counted(values, edges, log), zeros, log)

    def _set_aside(self, kept_of: Budget) -> tuple[tuple[int, ...], NDArray[Any] | None]:
        """Per layer the place up to which its floor or its own number reaches; and for each place
        how many of those up to it, with it, are free, None if all are. Taken are the places of
        floors, and all of a layer with a number of its own. Kept until the next budget with other
        floors or numbers, because a slider only changes the sparsity."""
        key = kept_of.own, kept_of.floors
        known, found = self._aside
        if known == key:
            return found
        reaches = []
        free = np.ones(self.total, bool)
        for mine, own, floor in zip(
            self._places.values(), kept_of.own, kept_of.floors, strict=True
        ):
            number = floor if own is None else own
            best = np.partition(mine, number - 1)[:number] if number else mine[:0]
            reaches.append(int(best.max()) + 1 if number else 0)
            free[best if own is None else mine] = False
        counts = None if free.all() else np.cumsum(free, dtype=self._place_type)
        found = tuple(reaches), counts
        self._aside = key, found
        return found

    def _score_at(self, place: int) -> float:
        for name, places in self._places.items():
            found = np.flatnonzero(places == place)
            if found.size:
                return float(self._scores[name].ravel()[found[0]])
        raise IndexError(f"place {place} of {self.total}")


def check_target(
    target: tuple[float, int] | None,
    target_layers: Mapping[str, Override],
    sparsity: float,
    layer_floor: int,
    layers: Mapping[str, Override],
) -> None:
    """Raise ``ConfigError`` if scores made for ``target`` and ``target_layers`` do not hold for
    this sparsity, floor and settings of layers (by the names of weights)."""
    if target is None or (
        math.isclose(target[0], sparsity)
        and target[1] == layer_floor
        and dict(target_layers) == dict(layers)
    ):
        return
    made_for = _target_text(*target, target_layers)
    again = "that sparsity and floor"
    if dict(target_layers) != dict(layers):
        again = "these settings"
    raise ConfigError(
        f"These scores come from pruning step by step towards a sparsity of {made_for}, and hold "
        f"for no other; for {_target_text(sparsity, layer_floor, layers)}, score again with "
        f"{again}."
    )


def _target_text(sparsity: float, layer_floor: int, layers: Mapping[str, Override]) -> str:
    text = f"{sparsity:g}" + (f" with at least {layer_floor:,} per layer" if layer_floor else "")
    own = [f"{layer_name(name)} {setting_words(value)}" for name, value in layers.items()]
    return f"{text} ({listed(own, MOST_NAMED)})" if own else text


def read_target(metadata: Mapping[str, Any]) -> tuple[float, int] | None:
    """The target in the metadata of a file of scores."""
    target = metadata.get("target")
    return None if target is None else (float(target[0]), int(target[1]))


def read_target_layers(metadata: Mapping[str, Any]) -> dict[str, Override]:
    """The settings of layers in the target; earlier versions had none."""
    return check_layers(metadata.get("target_layers", {}))


def _counted(values: NDArray[Any], edges: NDArray[np.float64], log: bool) -> NDArray[np.int64]:
    """Like ``numpy.histogram``, but whatever lies outside is in the first or the last bin."""
    low, high = (np.log(edges[[0, -1]]) if log else edges[[0, -1]]).tolist()
    spread = np.log(values, dtype=np.float64) if log else values.astype(np.float64)
    bins = len(edges) - 1
    place = ((spread - low) * (bins / (high - low))).astype(np.int64)
    return np.bincount(place.clip(0, bins - 1), minlength=bins)
