"""Predictions of the two networks of a finished run, for test images and new ones.

Test images are stored with their predictions and need no torch. The first new image imports it
and loads both networks; two pairs of networks stay in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.services import runs
from app.services.locks import HEAVY, OPENING
from prospr_engine.data.user_image import (
    Frame,
    frame_of,
    from_drawing,
    from_file,
    looks_swapped,
    swapped,
)
from prospr_engine.errors import DataError, EngineError, ResourceError
from prospr_engine.guard import limits
from prospr_engine.pipeline.gallery import FILE, NETWORKS, OUTCOMES, Gallery
from prospr_engine.store.records import Artifact, Run

if TYPE_CHECKING:
    from prospr_engine.pipeline.predict import Pair

__all__ = [
    "NETWORKS",
    "OUTCOMES",
    "Frame",
    "Gallery",
    "answer",
    "drawn",
    "frame",
    "gallery",
    "looks_swapped",
    "swapped",
    "uploaded",
]

LARGEST = limits.TRIED_NETWORKS.value  # two pairs must fit into the web server
UNREADABLE = (
    "The networks of this run cannot be read. The same settings give the same networks: start the "
    "run again."
)


def gallery(run: Run) -> Gallery:
    """The test images that the run kept. Raises ``DataError`` if they are gone."""
    return _gallery(str(_file(run, FILE).path))[0]


def frame(run: Run) -> Frame:
    """Position and size of strokes in the images of the run's data. Raises ``DataError``."""
    return _gallery(str(_file(run, FILE).path))[1]


def drawn(run: Run, url: str) -> np.ndarray | None:
    """A drawing (a PNG as a data URL) as network input, uint8 (C, H, W); None if it is empty.
    Raises ``DataError`` if it is not a drawing."""
    return from_drawing(url, _shape(run), frame(run))


def uploaded(run: Run, content: bytes) -> np.ndarray:
    """An image file as network input, uint8 (C, H, W). Raises ``DataError`` if it cannot be
    read."""
    shape, ranges = _shape(run), gallery(run).ranges
    with OPENING:
        return from_file(content, shape, ranges)


def answer(run: Run, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The class probabilities of each network ("dense", "pruned"). Raises ``EngineError``."""
    files = [_file(run, f"{network}.safetensors") for network in NETWORKS]
    if sum(file.bytes for file in files) > LARGEST:
        raise ResourceError(
            "These networks are too large to run on this shared server. Download the ONNX file and "
            "try it on your own machine; the test images work here."
        )
    return _pair(*(str(file.path) for file in files)).answer(pixels)


def _file(run: Run, name: str) -> Artifact:
    artifact = runs.files(run).get(name)
    if artifact is None:
        raise DataError(runs.GONE)
    return artifact


def _shape(run: Run) -> tuple[int, int, int]:
    channels, height, width = gallery(run).images.shape[1:]
    return channels, height, width


# A file is named after the digest of its content, so it never changes.
@st.cache_resource(max_entries=8, show_spinner=False)
def _gallery(path: str) -> tuple[Gallery, Frame]:
    try:
        read = Gallery.load(path)
    except DataError:  # its message contains a path on the server
        raise DataError(runs.GONE) from None
    return read, frame_of(read.images)


@st.cache_resource(max_entries=2, show_spinner="Loading the two networks")
def _pair(dense: str, pruned: str) -> Pair:
    import torch

    from prospr_engine.pipeline.predict import load_pair

    # One image needs no more, and the worker needs the other cores.
    torch.set_num_threads(1)
    try:
        with HEAVY:
            return load_pair({"dense": dense, "pruned": pruned})
    except EngineError:
        raise DataError(UNREADABLE) from None
