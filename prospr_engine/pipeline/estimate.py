"""The cost of a run, estimated before it starts: time, weights, multiply-adds and bytes.

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

from prospr_engine.config import CHANNELS, LoadingConfig, RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.memory import room
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, FileSize, StoredTensor
from prospr_engine.export.encodings.dense import NUMBER, ZIPPED_NUMBER
from prospr_engine.export.latency import BATCHES
from prospr_engine.identity import dense_group, scores_group
from prospr_engine.models.measures import Measure
from prospr_engine.pipeline.rates import batch_size
from prospr_engine.pruning.budget import kept_count
from prospr_engine.saliency import METHODS, ROUNDS, STEPS

if TYPE_CHECKING:
    from prospr_engine.data.inspect import Facts


@dataclass(frozen=True)
class Images:
    """The images of a data set: ``channels`` × ``size`` × ``size``, in ``classes``; ``train`` of
    them for training before any are held out. ``validation`` and ``test`` are None if the data
    have no such part. ``files``: each is decoded from its own file. ``room``: the bytes of
    memory that they may take, or else are decoded again in every pass; None for enough."""

    channels: int
    size: int
    classes: int
    train: int
    test: int | None
    validation: int | None = None
    files: bool = False
    room: int | None = dataclasses.field(default=None, compare=False)


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
GRAPH = 2000
"""Bytes of a file per layer for its names, its nodes in the graph and its running statistics."""
GRAPH_ZIPPED = (1500, 100)
"""Zipped bytes of the graph, and of each layer in it."""


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
    small = narrowed(measure, _share_left(config))
    return Estimate(
        seconds=seconds(config, images, measure, speed, threads),
        parameters=measure.parameters,
        weights=measure.weights,
        kept=small.weights,
        macs=measure.macs + measure.other,
        macs_left=small.macs + small.other,
        files=file_sizes(small, 1.0, config.encodings),
    )


def remaining(config: RunConfig, measure: Measure) -> tuple[Measure, float]:
    """The measure of the pruned network, and the share of its weights that are kept in it."""
    if config.kind == CHANNELS:
        return narrowed(measure, _share_left(config)), 1.0
    return measure, kept_count(measure.weights, config.sparsity) / measure.weights


def _share_left(config: RunConfig) -> float:
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


def catalogue(data: str, image_size: int | None = None) -> Images:
    """The images of a data set of ``DATASETS``, scaled to ``image_size`` if given."""
    row = DATASETS[data]
    size = image_size or row.image_size
    return Images(row.channels, size, row.classes, row.train, row.test, room=room())


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


def images_of(data: str, image_size: int | None = None) -> Images | None:
    """The images of a data set, upload or path, scaled to ``image_size``, without reading pixels;
    None if they differ in size. Raises ``EngineError`` if they cannot be read."""
    if data in DATASETS:
        return catalogue(data, image_size)
    from prospr_engine.data.inspect import describe

    return images_in(describe(data), image_size)


def images_in(facts: Facts, image_size: int | None) -> Images | None:
    """The images of a user's own data; None if their size or colour is not known before they are
    read."""
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
        room=room(),
    )


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
        pruned=config.epochs * epoch(_share_left(config)),
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


def split(images: Images, loading: LoadingConfig) -> tuple[int, int, int]:
    """The number of images for training, validation and test, as ``data.splits`` decides up to
    rounding within classes."""
    train, validation, test = images.train, images.validation, images.test
    if test is None:
        test = round(train * loading.test_fraction)
        train -= test
    train = min(train, loading.train_limit or train)
    if validation is None:
        validation = round(train * loading.validation_fraction)
        train -= validation
    else:
        validation = min(validation, loading.test_limit or validation)
    return train, validation, min(test, loading.test_limit or test)


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
