"""What two masks of one network have in common, weight by weight."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app.services import runs
from prospr_engine.errors import DataError
from prospr_engine.store.run import Run

MASKS = "masks.safetensors"


@dataclass(frozen=True)
class LayerOverlap:
    """Of ``total`` weights, how many the first and the second mask keep, and how many ``both``."""

    name: str
    total: int
    first: int
    second: int
    both: int


def overlap(first: Run, second: Run) -> tuple[LayerOverlap, ...] | None:
    """Layer by layer, in the network's order; ``None`` if the masks are not of one network.

    Raises ``DataError`` if a file is gone or cannot be read.
    """
    return _overlap(_path(first), _path(second))


def _path(run: Run) -> str:
    artifact = runs.files(run).get(MASKS)
    if artifact is None:
        raise DataError(runs.GONE)
    return str(artifact.path)


# A file's name is the digest of its content: it never changes.
@st.cache_data(max_entries=50, show_spinner="Comparing the masks")
def _overlap(first: str, second: str) -> tuple[LayerOverlap, ...] | None:
    # One layer of either at a time: masks of large networks need not lie in memory at once.
    with _opened(first) as one, _opened(second) as other:
        names = _names(one)
        if set(names) != set(other.keys()) or any(
            one.get_slice(name).get_shape() != other.get_slice(name).get_shape() for name in names
        ):
            return None
        return tuple(_layer(name, one.get_tensor(name), other.get_tensor(name)) for name in names)


def _layer(name: str, first: np.ndarray, second: np.ndarray) -> LayerOverlap:
    kept = (int(np.count_nonzero(mask)) for mask in (first, second, first & second))
    return LayerOverlap(name, first.size, *kept)


def _opened(path: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise DataError(f"The masks cannot be read ({error}). Start the run again.") from None


def _names(file: Any) -> list[str]:
    """The layers in the network's order, which only the header remembers."""
    names = list(file.keys())
    try:
        header = json.loads(file.metadata()["prospr"])["names"]
    except (KeyError, TypeError, ValueError):
        return names
    return header if sorted(header) == sorted(names) else names
