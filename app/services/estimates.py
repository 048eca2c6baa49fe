"""What a run will take, corrected by what earlier runs on this machine took.

No torch, unless the network or the size of the images is in no table: then the network is built
once without its numbers, and remembered.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import streamlit as st

from app.services import runs, uploads
from prospr_engine.config import RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.describe import Facts
from prospr_engine.errors import EngineError
from prospr_engine.estimate import Estimate, Images, catalogue, estimate, seconds
from prospr_engine.models.measures import Measure, known, measure
from prospr_engine.store.run import Run
from prospr_engine.uploads import is_token

__all__ = ["Estimate", "Facts", "Forecast", "Images", "describe", "forecast", "images_of"]

MOST, MOST_READ = 20, 200
"""Earlier runs that count (machines change), and those that are looked at to find them."""
LONG = 60.0
"""Seconds from which a run of one network tells something of another: in shorter ones, starting
and exporting outweigh the arithmetic."""
GRAPHICS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""What Linux shows of a GPU; torch would know better, but it is not asked here."""


@dataclass(frozen=True)
class Timed:
    """A finished run: the images it saw after limits and splits, and the seconds it took."""

    config: RunConfig
    images: Images
    seconds: float


Paces = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Forecast:
    """``told`` rests on ``earlier`` runs, ``alike`` if they were of the same network and images.
    ``by_processor``: no run has been timed, and though a GPU seems to be there, the time is a
    processor's."""

    told: Estimate
    images: Images
    earlier: int
    alike: bool
    by_processor: bool


def forecast(config: RunConfig) -> Forecast | None:
    """What a run of ``config`` will take; None if the images do not tell their size before they
    are read. Raises ``EngineError`` if the data cannot be read, or the network does not fit."""
    images = images_of(config.data, config.loading.image_size)
    if images is None:
        return None
    size = measure_of(config.model, images)
    told = estimate(config, images, size, threads=threads())
    done = [run for run in runs.recent() if run.state == "done"][:MOST_READ]
    same, other = _paces(_timed(tuple(run.id for run in done), done), config, images, size)
    paces = (same or other)[:MOST]
    if paces:
        told = replace(told, seconds=told.seconds * median(paces))
    return Forecast(
        told,
        images,
        earlier=len(paces),
        alike=bool(same),
        by_processor=not paces and config.device != "cpu" and has_graphics(),
    )


def threads() -> int:
    """How many the worker computes with: all but one, which is the server's."""
    return max(1, (os.cpu_count() or 2) - 1)


def has_graphics() -> bool:
    """Does this machine seem to have a GPU?"""
    return any(Path(device).exists() for device in GRAPHICS)


def describe(data: str) -> Facts:
    """What an uploaded zip or a folder holds, told without reading pixels. Raises
    ``EngineError``."""
    return uploads.facts(data) if is_token(data) else _describe(data)


@st.cache_data(max_entries=50, ttl=60, show_spinner="Looking into the data")
def _describe(path: str) -> Facts:
    from prospr_engine.data.describe import describe

    return describe(path)


def images_of(data: str, image_size: int | None) -> Images | None:
    """The images of a data set, upload or path, brought to ``image_size``; None if they have
    several sizes. Raises ``EngineError`` if they cannot be read."""
    if data in DATASETS:
        return catalogue(data, image_size)
    facts = describe(data)
    size = image_size or facts.image_size
    if not size or not facts.channels:
        return None
    return Images(
        channels=facts.channels,
        size=size,
        classes=facts.class_count,
        train=facts.train,
        test=facts.test,
        validation=facts.validation,
        files=True,
    )


def measure_of(model: str, images: Images) -> Measure:
    """The size of the network for those images. Raises ``EngineError`` if it does not fit."""
    return known(model, *_shape(images)) or _measured(model, *_shape(images))


@st.cache_data(max_entries=200, show_spinner="Measuring the network")
def _measured(model: str, channels: int, size: int, classes: int) -> Measure:
    return measure(model, channels, size, classes)


def _paces(timed: Sequence[Timed], config: RunConfig, images: Images, size: Measure) -> Paces:
    """By which factor earlier runs took longer than predicted, the newest first: those of the
    same network and images, and the others."""
    same: list[float] = []
    other: list[float] = []
    for run in timed:
        if run.config.device != config.device:
            continue
        alike = run.config.model == config.model and _shape(run.images) == _shape(images)
        measured = size if alike else known(run.config.model, *_shape(run.images))
        if measured is not None and (alike or run.seconds >= LONG):
            predicted = seconds(run.config, run.images, measured, threads=threads())
            (same if alike else other).append(run.seconds / predicted)
    return same, other


# Reading settings costs a third of a millisecond each, and a slider asks at every step.
@st.cache_resource(max_entries=4, show_spinner=False)
def _timed(newest: tuple[str, ...], _records: Sequence[Run]) -> list[Timed]:
    """The finished runs of ``_records``, of which those ``newest`` are the latest."""
    timed = []
    for run in _records:
        with contextlib.suppress(EngineError, KeyError, TypeError, ValueError):
            # Another version may have written others than these.
            timed.append(Timed(run.config, _seen(run.settings, run.summary or {}), _seconds(run)))
    return timed


def _seconds(run: Run) -> float:
    return float((run.summary or {})["seconds"])


def _seen(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> Images:
    """The images of a finished run, after limits and splits."""
    channels, _, width = summary["shape"]
    return Images(
        channels=channels,
        size=width,
        classes=summary["classes"],
        train=summary["train_images"],
        test=summary["test_images"],
        validation=summary["validation_images"],
        files=settings["data"] not in DATASETS,
    )


def _shape(images: Images) -> tuple[int, int, int]:
    return images.channels, images.size, images.classes
