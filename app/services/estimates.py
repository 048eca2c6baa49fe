"""What a run will take, corrected by how long earlier runs on this machine took.

Needs no torch unless the network, or its size for these images, is not in the tables: then the
network is built once without its weights, and the result is cached.
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

from app.services import layers, runs, store, uploads
from prospr_engine.config import WEIGHTS, RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.inspect import Facts
from prospr_engine.data.memory import room
from prospr_engine.data.preview import Preview, preview_data
from prospr_engine.errors import EngineError
from prospr_engine.identity import dense_group
from prospr_engine.io.tokens import is_token
from prospr_engine.models.collections import collection_of
from prospr_engine.models.measures import Measure, known, measure
from prospr_engine.pipeline.estimate import (
    START,
    Estimate,
    cell_seconds,
    estimate,
    parts,
    scores_of,
)
from prospr_engine.pipeline.images import Images, catalogue, images_in, split
from prospr_engine.pipeline.rates import learning_rate
from prospr_engine.pipeline.remainder import file_sizes
from prospr_engine.store.records import Run
from prospr_engine.store.studies import check_size
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

__all__ = [
    "Estimate",
    "Facts",
    "Forecast",
    "Images",
    "Plan",
    "describe",
    "forecast",
    "images_of",
    "plan",
]

NUMBER = 4  # bytes of a float32
RECORD = 50_000
"""Approximate bytes of a run's settings and result."""
MOST, MOST_READ = 20, 200
"""Most earlier runs that are used (machines change), and most that are searched for them."""
LONG = 60.0
"""Seconds that a run must have taken to say anything about another network: in shorter runs,
startup and export outweigh the arithmetic."""
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Device files of GPUs on Linux. Torch would know better, but is not imported here."""


@dataclass(frozen=True)
class Timed:
    """A finished run: its images after limits and splits, the seconds it took, and the seconds
    ``spent`` on each part where known (0 for parts that were cached)."""

    config: RunConfig
    images: Images
    seconds: float
    spent: Mapping[str, float]


Paces = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Forecast:
    """``estimate`` is based on ``earlier`` runs, of the same network and images if
    ``same_network``. ``assumes_cpu``: the time is for a CPU, because no run has been timed on the
    GPU that this machine seems to have."""

    estimate: Estimate
    images: Images
    earlier: int
    same_network: bool
    assumes_cpu: bool
    fine_tuning: float | None = None
    """The learning rate of given weights; None if it is set, or if the weights are new."""
    too_long: float | None = None
    """The minutes that one run may take on this server, if it may well take longer."""


@dataclass(frozen=True)
class Plan:
    """What a study will take: the number of ``runs`` and of ``dense`` networks to train, and the
    ``bytes`` of files. ``each`` is the estimate of its first run. ``at_most``: a search may take
    less. ``failing``: why some of the runs will fail, "" if none is known to. The other fields are
    as in ``Forecast``; ``too_long`` is about its first run."""

    seconds: float
    runs: int
    dense: int
    bytes: int
    each: Estimate
    at_most: bool
    earlier: int
    same_network: bool
    assumes_cpu: bool
    failing: str = ""
    too_long: float | None = None


def forecast(config: RunConfig) -> Forecast | None:
    """What a run of ``config`` will take; None if the size of the images is not known before
    they are read. Raises ``EngineError`` if the data cannot be read, or the network or the settings
    of its layers do not fit."""
    images = images_of(config.data, config.loading.image_size)
    if images is None:
        return None
    size = measure_of(config.model, images)
    layers.check(config, images, [config.sparsity])
    found = estimate(config, images, size, threads=threads())
    paces, same = _earlier(config, images, size)
    if paces:
        found = replace(found, seconds=found.seconds * median(paces))
    reduced = config.given and config.training.lr is None and config.epochs > 0
    rate = learning_rate(config, split(images, config.loading)[0]) if reduced else None
    assumes_cpu = not paces and _may_use_gpu(config)
    too_long = _too_long(found.seconds, assumes_cpu)
    return Forecast(found, images, len(paces), same, assumes_cpu, rate, too_long)


def plan(config: SweepConfig | SearchConfig) -> Plan | None:
    """What a study of ``config`` will take; None and errors as in ``forecast``, and
    ``ResourceError`` if it has more runs than the store takes."""
    check_size(config, store.current().limits)
    run = config.run
    images = images_of(run.data, run.loading.image_size)
    if images is None:
        return None
    size = measure_of(run.model, images)
    at_most = isinstance(config, SearchConfig)
    cells = _most_cells(config) if isinstance(config, SearchConfig) else config.cells()
    failing = ""
    for kind, first in {cell.kind: cell for cell in reversed(cells)}.items():
        wanted = sorted({cell.sparsity for cell in cells if cell.kind == kind and not at_most})
        # Channels have a limit of their own, which need not concern all runs.
        layers.check(first, images, wanted if kind == WEIGHTS else [])
        failing = failing or layers.unmet(first, images, wanted)
    seconds = START + sum(cell_seconds(cells, images, size, threads=threads()))
    paces, same = _earlier(run, images, size)
    dense = {dense_group(cell) for cell in cells}
    ranked = {(cell.control, scores_of(cell)) for cell in cells}
    network, masks = NUMBER * size.parameters, size.weights  # a mask takes one byte per weight
    files = sum(each.bytes for each in file_sizes(size, 1.0, run.encodings).values())
    each = estimate(cells[0], images, size, threads=threads())
    pace, assumes_cpu = median(paces) if paces else 1.0, not paces and _may_use_gpu(run)
    return Plan(
        seconds=seconds * pace,
        runs=len(cells),
        dense=len(dense),
        bytes=len(cells) * (files + masks + RECORD)
        + len(dense) * network
        + len(ranked) * NUMBER * size.weights,
        each=each,
        at_most=at_most,
        earlier=len(paces),
        same_network=same,
        assumes_cpu=assumes_cpu,
        failing=failing,
        too_long=_too_long(each.seconds * pace, assumes_cpu),
    )


def _too_long(seconds: float, assumes_cpu: bool) -> float | None:
    """The minutes that a run may take here, if these ``seconds`` are more. Of a GPU that was never
    timed nothing is known."""
    minutes = store.current().limits.run_minutes
    return minutes if minutes and seconds > 60 * minutes and not assumes_cpu else None


def _most_cells(config: SearchConfig) -> tuple[RunConfig, ...]:
    """As many runs as a search may take, at any sparsities: the time does not depend on them."""
    tries = [1 - 0.5 ** (number + 1) for number in range(config.most_probes)]
    return tuple(cell for sparsity in tries for cell in config.cells(sparsity))


def _earlier(config: RunConfig, images: Images, size: Measure) -> tuple[list[float], bool]:
    """How much longer than predicted earlier runs took, as factors, and whether those runs had the
    same network and images."""
    done = [run for run in runs.recent(studies=True) if run.state == "done"][:MOST_READ]
    same, other = _paces(_timed(tuple(run.id for run in done), done), config, images, size)
    return (same or other)[:MOST], bool(same)


def _may_use_gpu(config: RunConfig) -> bool:
    """Whether this may run on a GPU."""
    return config.device != "cpu" and has_gpu()


def threads() -> int:
    """The number of threads of the worker: all cores but one, which is for the web server."""
    return max(1, (os.cpu_count() or 2) - 1)


def has_gpu() -> bool:
    """Whether this machine seems to have a GPU."""
    return any(Path(device).exists() for device in GPU_DEVICES)


def describe(data: str) -> Facts:
    """The contents of an upload or folder of images, without reading pixels. Raises
    ``EngineError``."""
    return uploads.facts(data) if is_token(data) else _describe(data)


@st.cache_data(max_entries=50, ttl=60, show_spinner="Reading the data")
def _describe(path: str) -> Facts:
    from prospr_engine.data.inspect import describe

    return describe(path)


@st.cache_data(max_entries=20, ttl=600, show_spinner="Reading the images")
def look(path: str) -> Preview:
    """A preview of the images at a path of this machine. Raises ``EngineError``."""
    return preview_data(path)


def images_of(data: str, image_size: int | None) -> Images | None:
    """The images of a data set, upload or path, scaled to ``image_size``; None if their sizes
    differ. Raises ``EngineError`` if they cannot be read."""
    if data in DATASETS:
        return catalogue(data, image_size)
    return images_in(describe(data), image_size)


def measure_of(model: str, images: Images) -> Measure:
    """The size of the network for those images. Raises ``EngineError`` if it does not fit."""
    if collection_of(model):
        return layers.measured(model, *_shape(images)).measure
    return known(model, *_shape(images)) or _measured(model, *_shape(images))


@st.cache_data(max_entries=200, show_spinner="Measuring the network")
def _measured(model: str, channels: int, size: int, classes: int) -> Measure:
    return measure(model, channels, size, classes)


def _paces(timed: Sequence[Timed], config: RunConfig, images: Images, size: Measure) -> Paces:
    """How much longer than predicted earlier runs took, as factors, newest first: runs of the same
    network and images, and others."""
    same: list[float] = []
    other: list[float] = []
    for run in timed:
        if run.config.device != config.device:
            continue
        comparable = run.config.model == config.model and _shape(run.images) == _shape(images)
        measured = size if comparable else known(run.config.model, *_shape(run.images))
        if measured is not None and (comparable or run.seconds >= LONG):
            (same if comparable else other).append(run.seconds / _predicted(run, measured))
    return same, other


def _predicted(run: Timed, size: Measure) -> float:
    """Predicted seconds for the parts that the run computed itself. If the dense network was
    cached, the run followed others, and Python and the images were mostly loaded too."""
    found = parts(run.config, run.images, size, threads=threads())
    scoring = 0.0 if run.spent.get("scoring") == 0 else found.scoring
    if run.config.epochs and run.spent.get("training_dense") == 0:
        return found.own + scoring
    return found.seconds - found.scoring + scoring


# Parsing settings takes a third of a millisecond per run, and a slider reruns this at every step.
@st.cache_resource(max_entries=4, show_spinner=False)
def _timed(newest: tuple[str, ...], _records: Sequence[Run]) -> list[Timed]:
    """The finished runs of ``_records``; ``newest`` are their ids, the key of the cache."""
    timed = []
    for run in _records:
        with contextlib.suppress(EngineError, KeyError, TypeError, ValueError):
            # Another version may have written other figures.
            summary = run.summary or {}
            spent = summary.get("seconds_of") or {}
            if spent or not run.study:  # runs of studies share parts
                seen = _seen(run.settings, summary)
                timed.append(Timed(run.config, seen, float(summary["seconds"]), spent))
    return timed


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
        room=room(),
    )


def _shape(images: Images) -> tuple[int, int, int]:
    return images.channels, images.size, images.classes
