"""The cost of a run, estimated before it starts: above all its time.

Plain arithmetic, without torch. The constants were fitted on one core of a server's CPU;
``benchmarks/estimate.py`` compares their predictions with real runs. On other machines and on a
GPU they are a first guess, corrected by earlier runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, FileSize
from prospr_engine.export.latency import BATCHES
from prospr_engine.identity import dense_group, scores_group
from prospr_engine.models.measures import Measure
from prospr_engine.pipeline.images import Images, split
from prospr_engine.pipeline.rates import batch_size
from prospr_engine.pipeline.remainder import file_sizes, narrowed, share_left
from prospr_engine.pruning.budget import kept_count
from prospr_engine.saliency import METHODS, ROUNDS, STEPS

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Speed:
    """Seconds that one CPU core takes.

    ``mac``: for one multiply-add of the network, forward and backward; ``layer``: for calling
    one layer, regardless of the number of images; ``weight``: for one optimiser step of a weight.
    """

    mac: float
    layer: float
    weight: float


CORE = Speed(mac=0.1e-9, layer=0.4e-3, weight=5e-9)

MORE_THREADS = 0.8
"""Eight cores are as fast as 8 ** 0.8 = 5.3."""
START = 5.0
"""Seconds for Python to start and import what a run needs."""
PRODUCT = 3.0
"""The cost of a Hessian-vector product, in gradients of the same number format."""
DOUBLE = 5.0
"""How many times longer a gradient in float64 takes than one in float32: 3 to 8."""
MIXED_PRODUCT = 7.0
"""The cost of a Hessian-vector product by default, in float32 gradients: one in float32, and where
that does not suffice, another in float64."""
DECODING, SCALING = 0.3e-3, 50e-9
"""Seconds to read one small image file, and for each pixel that it is scaled to: larger ones come
from larger files."""
SAME_WEIGHTS = 256
"""Test images that a file with the network's own weights has to answer."""
FEWEST_TURNS, MOST_TURNS, TIMER = 5, 9.0, 0.7
"""How files are timed: turns, the most seconds in turns, and those to begin."""


@dataclass(frozen=True)
class Estimate:
    """``seconds`` predicts ``RunResult.seconds``. Of the ``weights`` that can be pruned, ``kept``
    are kept; ``macs`` are the multiply-adds of the dense network for one image, ``macs_left``
    those with kept weights if every layer has the same density. ``files`` are the ONNX files by
    encoding."""

    seconds: float
    parameters: int
    weights: int
    kept: int
    macs: int
    macs_left: int
    files: Mapping[str, FileSize]

    @property
    def bytes(self) -> int:
        """Size of the dense-encoded ONNX file."""
        return self.files[PRIMARY].bytes

    @property
    def zipped(self) -> int:
        """Size of a zip that contains only that file."""
        return self.files[PRIMARY].zipped


def estimate(
    config: RunConfig, images: Images, measure: Measure, speed: Speed = CORE, threads: int = 1
) -> Estimate:
    """The cost of the run of ``config`` on ``images`` with a network of ``measure``."""
    if config.kind == CHANNELS:
        return _without_channels(config, images, measure, speed, threads)
    kept = kept_count(measure.weights, config.sparsity)
    density = kept / measure.weights
    return Estimate(
        seconds=seconds(config, images, measure, speed, threads),
        parameters=measure.parameters,
        weights=measure.weights,
        kept=kept,
        macs=measure.macs + measure.other,
        macs_left=round(measure.macs * density) + measure.other,
        files=file_sizes(measure, density, config.encodings),
    )


def _without_channels(
    config: RunConfig, images: Images, measure: Measure, speed: Speed, threads: int
) -> Estimate:
    """The same for a network that is smaller by its channels, if every layer loses the same share:
    weights and multiply-adds then fall together, with the square of the width."""
    small = narrowed(measure, share_left(config))
    return Estimate(
        seconds=seconds(config, images, measure, speed, threads),
        parameters=measure.parameters,
        weights=measure.weights,
        kept=small.weights,
        macs=measure.macs + measure.other,
        macs_left=small.macs + small.other,
        files=file_sizes(small, 1.0, config.encodings),
    )


@dataclass(frozen=True)
class Parts:
    """Seconds for each part of a run. ``dense`` and ``pruned`` are the training of the two
    networks, ``testing`` covers both, ``writing`` exports and verifies the ONNX file."""

    start: float
    reading: float
    scoring: float
    dense: float
    pruned: float
    testing: float
    writing: float

    @property
    def seconds(self) -> float:
        """The total."""
        return sum(dataclasses.astuple(self))

    @property
    def own(self) -> float:
        """Seconds for a run of a sweep that reuses images, scores and dense network."""
        return self.pruned + self.testing / 2 + self.writing


def seconds(
    config: RunConfig, images: Images, measure: Measure, speed: Speed = CORE, threads: int = 1
) -> float:
    """How long the run takes, from reading the images to the verified file."""
    return parts(config, images, measure, speed, threads).seconds


def parts(
    config: RunConfig, images: Images, measure: Measure, speed: Speed = CORE, threads: int = 1
) -> Parts:
    """How long each part of the run takes."""
    train, validation, test = split(images, config.loading)
    image = (
        (measure.macs + measure.other) * speed.mac / threads**MORE_THREADS
    )  # forward and backward
    calls = measure.layers * speed.layer

    steps = math.ceil(train / batch_size(config, train))

    decoding = DECODING * images.files + SCALING * images.size**2
    needed = sum((train, validation, test)) * images.channels * images.size**2
    streamed = images.room is not None and needed > images.room
    again = decoding / threads**MORE_THREADS if streamed else 0.0

    # A forward pass alone costs a third of a gradient.
    def epoch(share: float) -> float:
        """Seconds with this share of the weights."""
        of_weights = steps * (calls + share * measure.weights * speed.weight)
        computing = (train + validation / 3) * share * image
        return computing + of_weights + (train + validation) * again

    spec = METHODS.get(config.method)
    by_shape = spec is not None and spec.needs_shape
    calibration = (1 if by_shape else min(config.scoring.batch_size, train)) * image + calls

    return Parts(
        start=START,
        reading=sum((train, validation, test)) * (again or decoding * images.files),
        scoring=gradients(config) * calibration,
        dense=config.epochs * epoch(1.0),
        pruned=config.epochs * epoch(share_left(config)),
        testing=2 * test * (image / 3 + again),
        writing=0.6
        + 0.045 * measure.layers
        + 8e-8 * measure.parameters
        + _trying(config.encodings, image / 3, test),
    )


def _trying(encodings: Sequence[str], image: float, test: int) -> float:
    """Seconds to test the files on images that take ``image`` seconds each, and to time them in
    turns: see ``files`` and ``export.timing``."""
    rows = [ENCODINGS[name] for name in encodings if name in ENCODINGS]
    answers = sum(min(SAME_WEIGHTS, test) if row.lossless else test for row in rows)
    turns = (len(rows) + 1) * sum(BATCHES) * image * FEWEST_TURNS
    return answers * image + TIMER + min(turns, MOST_TURNS)


def cell_seconds(
    cells: Sequence[RunConfig],
    images: Images,
    measure: Measure,
    speed: Speed = CORE,
    threads: int = 1,
) -> list[float]:
    """How long each of the runs takes in a sweep, in this order, without the start of Python.

    The first of a seed reads the images and trains the dense network. The first of a seed, method
    and options scores the weights; an iterative method does so for every sparsity.
    """
    seen = set()
    estimates = []
    for cell in cells:
        found = parts(cell, images, measure, speed, threads)
        needed = found.own
        dense, scores = dense_group(cell), scores_of(cell)
        if dense not in seen:
            needed += found.reading + found.dense + found.testing / 2
        if scores not in seen:
            needed += found.scoring
        seen |= {dense, scores}
        estimates.append(needed)
    return estimates


def scores_of(config: RunConfig) -> Hashable:
    """Equal for runs that share their scores."""
    spec = METHODS[config.method]
    return scores_group(config, spec.iterative, spec.after_training)


def gradients(config: RunConfig) -> float:
    """The cost of scoring, in float32 gradients of one calibration batch, or of one image for a
    method that only needs its shape."""
    spec = METHODS.get(config.method)
    if spec is None or not (spec.needs_data or spec.needs_shape):
        return 0.0
    scoring, options = config.scoring, config.scoring.options
    # By default gradients are in float64; SynFlow knows no other format.
    gradient = 1.0 if scoring.precision == "float32" and spec.needs_data else DOUBLE
    products = {"float32": PRODUCT, "float64": PRODUCT * DOUBLE}
    product = products.get(scoring.precision or "", MIXED_PRODUCT)
    cheap = spec.first_order and options.get(spec.first_order[0]) == spec.first_order[1]
    if cheap or not spec.second_order:
        product = 0.0
    times = 2 if scoring.check_ranking and spec.needs_data else 1
    if not spec.looks_ahead:
        return times * (spec.value(ROUNDS, options) or 1) * (gradient + product)
    steps = spec.value(STEPS, options)
    return float(times * ((steps + 1) * gradient + steps * product))
