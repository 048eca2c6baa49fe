"""The overlap of masks of one network, weight by weight."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import streamlit as st

from app.services import runs
from prospr_engine.errors import DataError
from prospr_engine.store.records import Run

MASKS = "masks.safetensors"


@dataclass(frozen=True)
class LayerOverlap:
    """Of ``total`` weights, how many the first and the second mask keep, and how many ``both``."""

    name: str
    total: int
    first: int
    second: int
    both: int


@dataclass(frozen=True)
class MaskOverlap:
    """The overlap of the masks of two series, in one ``layer`` or ("") in the whole network.

    ``jaccard``: weights that both keep, as a share of those that either keeps (Jaccard, 1901),
    mean over ``seeds`` pairs of runs. ``chance``: the same for random masks with as many weights
    in each layer. Both are None where neither keeps any.
    """

    first: str
    second: str
    layer: str
    jaccard: float | None
    chance: float | None
    seeds: int


Masks = tuple[tuple[str, tuple[tuple[int, str], ...]], ...]
"""By series, the seed and the mask file of each run."""


def overlap(first: Run, second: Run) -> tuple[LayerOverlap, ...] | None:
    """The overlap of each layer, in the network's order; None if the networks differ.

    Raises ``DataError`` if a file is gone or cannot be read.
    """
    return _overlap(_path(first), _path(second))


def mask_overlaps(lines: Mapping[str, Sequence[Run]]) -> tuple[MaskOverlap, ...]:
    """The overlap of each two series, whole and layer by layer in the network's order.

    Runs are paired by seed: it decides the initial weights, and with other initial weights a
    position means another weight. Series of different networks, or without a common seed, are
    left out.

    Raises ``DataError`` if a file is gone or cannot be read.
    """
    return _mask_overlaps(
        tuple(
            (name, tuple((run.config.seed, _path(run)) for run in several))
            for name, several in lines.items()
        )
    )


def _path(run: Run) -> str:
    artifact = runs.files(run).get(MASKS)
    if artifact is None:
        raise DataError(runs.GONE)
    return str(artifact.path)


# A file is named after the digest of its content, so it never changes.
@st.cache_data(max_entries=50, show_spinner="Comparing the masks")
def _overlap(first: str, second: str) -> tuple[LayerOverlap, ...] | None:
    # One layer at a time: masks of large networks must not fill the memory.
    with _open(first) as one, _open(second) as other:
        names = _names(one)
        if set(names) != set(other.keys()) or any(
            one.get_slice(name).get_shape() != other.get_slice(name).get_shape() for name in names
        ):
            return None
        return tuple(_layer(name, one.get_tensor(name), other.get_tensor(name)) for name in names)


@st.cache_data(max_entries=30, show_spinner="Comparing the masks")
def _mask_overlaps(lines: Masks) -> tuple[MaskOverlap, ...]:
    found: dict[tuple[str, str], dict[str, list[Shared]]] = {}
    for seed in dict.fromkeys(seed for _, files in lines for seed, _ in files):
        # One seed at a time, and one bit per weight: 50 large masks must not fill the memory.
        packed = {
            name: _packed(path) for name, files in lines for other, path in files if other == seed
        }
        for one, other in itertools.combinations(packed, 2):
            for layer, shared in _shared(packed[one], packed[other]):
                found.setdefault((one, other), {}).setdefault(layer, []).append(shared)
    names = [name for name, _ in lines]
    return tuple(
        _mean(one, other, layer, several)
        for one, other in itertools.combinations(names, 2)
        for layer, several in found.get((one, other), {}).items()
    )


@dataclass(frozen=True)
class Packed:
    """The mask of a layer, one bit per weight."""

    shape: tuple[int, ...]
    bits: np.ndarray
    kept: int

    @property
    def total(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Shared:
    """How many weights ``both`` keep, how many ``either``, and how many both would by chance."""

    both: int
    either: int
    chance: float


def _packed(path: str) -> dict[str, Packed]:
    with _open(path) as file:
        masks = ((name, file.get_tensor(name)) for name in _names(file))
        return {
            name: Packed(mask.shape, np.packbits(mask), int(np.count_nonzero(mask)))
            for name, mask in masks
        }


def _shared(one: Mapping[str, Packed], other: Mapping[str, Packed]) -> Iterator[tuple[str, Shared]]:
    """The whole network ("") and each layer; nothing if the networks differ."""
    shapes = [{name: layer.shape for name, layer in mask.items()} for mask in (one, other)]
    if shapes[0] != shapes[1]:
        return
    layers = {}
    for name, first in one.items():
        second = other[name]
        both = int(np.bitwise_count(first.bits & second.bits).sum())
        by_chance = first.kept * second.kept / first.total
        layers[name] = Shared(both, first.kept + second.kept - both, by_chance)
    whole = (
        sum(getattr(layer, n) for layer in layers.values()) for n in ("both", "either", "chance")
    )
    yield "", Shared(*whole)
    yield from layers.items()


def _mean(first: str, second: str, layer: str, seeds: Sequence[Shared]) -> MaskOverlap:
    known = [shared for shared in seeds if shared.either]
    shares = [shared.both / shared.either for shared in known]
    # The expected overlap of random masks with as many weights.
    by_chance = [s.chance / (s.both + s.either - s.chance) for s in known]
    return MaskOverlap(
        first,
        second,
        layer,
        fmean(shares) if shares else None,
        fmean(by_chance) if by_chance else None,
        len(known),
    )


def _layer(name: str, first: np.ndarray, second: np.ndarray) -> LayerOverlap:
    kept = (int(np.count_nonzero(mask)) for mask in (first, second, first & second))
    return LayerOverlap(name, first.size, *kept)


def _open(path: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise DataError(f"The masks cannot be read ({error}). Start the run again.") from None


def _names(file: Any) -> list[str]:
    """The layers in the network's order, which only the header records."""
    names = list(file.keys())
    try:
        header = json.loads(file.metadata()["prospr"])["names"]
    except (KeyError, TypeError, ValueError):
        return names
    return header if sorted(header) == sorted(names) else names
