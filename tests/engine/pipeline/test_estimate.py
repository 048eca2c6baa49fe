"""The estimate keeps to what runs do: exactly in counts, roughly in bytes."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prospr_engine as pe
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.data import DATASETS
from prospr_engine.data.splits import plan
from prospr_engine.models.measures import Measure, known
from prospr_engine.pipeline.estimate import (
    DOUBLE,
    MIXED_PRODUCT,
    START,
    cell_seconds,
    estimate,
    gradients,
    parts,
    seconds,
)
from prospr_engine.pipeline.images import Images, catalogue, images_of, split
from prospr_engine.saliency import METHODS
from prospr_engine.sweeps.config import SweepConfig

RESNET20 = Measure(20, 269_722, 268_336, 40_551_040)
CIFAR = Images(3, 32, 10, 50_000, 10_000)


def output(**changes: Any) -> float:
    return seconds(RunConfig(model="resnet20", data="cifar10", **changes), CIFAR, RESNET20)


def test_counts_are_those_of_the_masks():
    found = estimate(RunConfig(sparsity=0.95), CIFAR, RESNET20)
    assert (found.parameters, found.weights, found.kept) == (269_722, 268_336, 13_417)
    assert found.macs_left / found.macs == pytest.approx(0.05, abs=1e-4)


def test_nothing_removed_leaves_everything():
    found = estimate(RunConfig(sparsity=0.0), CIFAR, RESNET20)
    assert (found.kept, found.macs_left) == (found.weights, found.macs)


@pytest.mark.parametrize("model", ["small_cnn", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_sizes_are_those_of_a_real_file(model: str, tmp_path: Path):
    network = pe.build_model(model, (1, 8, 8), 10, 0)
    size = known(model, 1, 8, 10)
    assert size is not None
    for sparsity in (0.5, 0.9, 0.98):
        masks = pe.score(network, [], method="random", seed=0).masks(sparsity)
        masks.apply_to(network)
        path = tmp_path / "model.onnx"
        pe.export_onnx(network, path, sample(), masks=masks)
        with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path)
        found = estimate(RunConfig(sparsity=sparsity), catalogue("digits"), size)
        assert found.bytes == pytest.approx(path.stat().st_size, rel=0.05)
        packed = (tmp_path / "model.zip").stat().st_size
        assert found.zipped == pytest.approx(packed, rel=0.06), f"{model} at {sparsity}"


def sample() -> Any:
    import torch

    return torch.zeros(2, 1, 8, 8)


def test_the_zip_shrinks_as_the_sparsity_grows():
    sizes = [estimate(RunConfig(sparsity=s / 100), CIFAR, RESNET20).zipped for s in range(100)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < estimate(RunConfig(), CIFAR, RESNET20).bytes


def test_time_grows_with_what_there_is_to_do():
    assert output(epochs=2) < output(epochs=4)
    assert output(epochs=2) < 2 * output(epochs=1)  # scoring and export are done once
    few = LoadingConfig(train_limit=500, test_limit=100)
    assert output(loading=few) < output() / 10
    assert output(method="magnitude") < output()
    assert output(scoring=ScoringConfig(precision="float64")) > output()
    assert output(training=TrainingConfig(batch_size=8)) > output(
        training=TrainingConfig(batch_size=64)
    )
    cores = [seconds(RunConfig(), CIFAR, RESNET20, threads=t) for t in (1, 2, 16)]
    assert cores == sorted(cores, reverse=True)
    decoded = dataclasses.replace(CIFAR, files=True)
    assert seconds(RunConfig(), decoded, RESNET20) > seconds(RunConfig(), CIFAR, RESNET20)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 4 * DOUBLE + 3 * MIXED_PRODUCT),  # one per step and the loss, and the way back
        ({"rehearse": True}, 4 * DOUBLE + 3 * MIXED_PRODUCT),  # an option of earlier versions
        ({"order": "first"}, 4 * DOUBLE),
        ({"steps": 0}, DOUBLE),
    ],
)
def test_gradients_of_the_scoring(options: dict[str, Any], expected: float):
    assert gradients(RunConfig(scoring=ScoringConfig(options=options))) == expected


def test_some_criteria_need_no_gradient_and_unknown_ones_are_no_matter():
    assert gradients(RunConfig(method="random")) == 0
    assert gradients(RunConfig(method="of a later version")) == 0


@pytest.mark.parametrize("bring", [("train",), ("train", "test"), ("train", "validation", "test")])
@pytest.mark.parametrize("limits", [{}, {"train_limit": 300, "test_limit": 50}])
def test_images_are_counted_as_they_are_split(bring: tuple[str, ...], limits: dict[str, int]):
    counts = {"train": 1000, "validation": 120, "test": 200}
    labels = np.concatenate([np.arange(counts[part]) % 10 for part in bring])
    ends = np.cumsum([0, *(counts[part] for part in bring)])
    parts = {p: np.arange(a, b) for p, a, b in zip(bring, ends, ends[1:], strict=False)}
    loading = LoadingConfig(**limits)
    splits = plan(labels, parts, list("0123456789"), loading, 0)
    images = Images(
        1, 8, 10, 1000, *(counts[p] if p in bring else None for p in ("test", "validation"))
    )
    assert split(images, loading) == tuple(
        len(part) for part in (splits.train, splits.validation, splits.test)
    )


def test_the_catalogue_gives_its_images():
    for name, row in DATASETS.items():
        images = catalogue(name)
        assert images.room is None or images.room > 10**6
        assert images == Images(row.channels, row.image_size, row.classes, row.train, row.test)
    assert catalogue("digits", 16).size == 16


def test_a_run_takes_what_its_parts_take():
    config = RunConfig(model="resnet20", data="cifar10", epochs=2)
    found = parts(config, CIFAR, RESNET20)
    assert found.seconds == pytest.approx(sum(dataclasses.astuple(found)))
    assert found.seconds == output(epochs=2)
    assert found.dense == found.pruned > 0
    assert min(dataclasses.astuple(found)[2:]) > 0
    assert parts(dataclasses.replace(config, epochs=0), CIFAR, RESNET20).dense == 0


def test_what_does_not_fit_is_decoded_in_every_pass():
    config = RunConfig(model="resnet20", data="photographs.zip", epochs=2)
    needed = 60_000 * 3 * 32**2
    whole, streamed = (
        parts(config, dataclasses.replace(CIFAR, files=True, room=room), RESNET20)
        for room in (needed, needed - 1)
    )
    assert streamed.reading == whole.reading
    # Each network reads training and validation images twice, and test images once.
    assert streamed.dense - whole.dense == pytest.approx(2 * whole.reading * 5 / 6)
    assert streamed.pruned - whole.pruned == pytest.approx(2 * whole.reading * 5 / 6)
    assert streamed.testing - whole.testing == pytest.approx(2 * whole.reading / 6)
    fewer = dataclasses.replace(config, loading=LoadingConfig(train_limit=40_000))
    small = dataclasses.replace(CIFAR, files=True, room=needed - 1)
    assert parts(fewer, small, RESNET20).dense < whole.dense


def swept(**changes: Any) -> float:
    run = RunConfig(model="resnet20", data="cifar10", epochs=1)
    cells = SweepConfig(**{"run": run} | changes).cells()
    return START + sum(cell_seconds(cells, CIFAR, RESNET20))


def test_a_sweep_of_one_cell_takes_what_its_run_takes():
    assert swept() == pytest.approx(output(epochs=1))


def test_what_is_shared_is_paid_for_once():
    found = parts(RunConfig(model="resnet20", data="cifar10", epochs=1), CIFAR, RESNET20)
    more = {"sparsities": (0.5, 0.8, 0.9)}
    assert swept(**more) == pytest.approx(swept() + 2 * found.own)
    assert swept(controls=("none", "shuffle")) == pytest.approx(swept() + found.own)
    assert swept(steps=(3, 0)) - swept() == pytest.approx(found.own + swept(steps=(0,)) - START
        - (found.dense + found.reading + found.testing / 2) - found.own)  # fmt: skip
    assert swept(seeds=(0, 1)) == pytest.approx(2 * swept() - START)
    both = swept(methods=("prospr", "magnitude"))
    assert both == pytest.approx(swept() + found.own)


def test_cells_are_timed_in_their_order():
    config = SweepConfig(sparsities=(0.5, 0.9), seeds=(0, 1))
    output = cell_seconds(config.cells(), CIFAR, RESNET20)
    assert len(output) == 4
    assert output[0] == output[2] > output[1] == output[3]


def test_iterative_criteria_pay_for_every_sparsity():
    names = [name for name, spec in METHODS.items() if spec.iterative]
    assert names
    for name in names:
        one = swept(methods=(name,))
        config = RunConfig(model="resnet20", data="cifar10", method=name, epochs=1)
        found = parts(config, CIFAR, RESNET20)
        assert swept(methods=(name,), sparsities=(0.5, 0.9)) == pytest.approx(
            one + found.own + found.scoring
        )


def test_images_are_those_of_the_catalogue_or_of_a_folder(tmp_path: Path):
    from PIL import Image

    assert images_of("digits", 16) == catalogue("digits", 16)
    for name in ("train/cat/1", "train/cat/2", "train/dog/1", "test/cat/3", "test/dog/4"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12)).save(path)
    assert images_of(str(tmp_path), None) == Images(1, 12, 2, 3, 2, files=True)
    Image.new("L", (9, 9)).save(tmp_path / "train/dog/2.png")
    assert images_of(str(tmp_path), None) is None
    assert images_of(str(tmp_path), 16) == Images(1, 16, 2, 4, 2, files=True)
    with pytest.raises(pe.EngineError, match="no-such"):
        images_of("no-such", None)


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("snip", {}, DOUBLE),
        ("grasp", {}, DOUBLE + MIXED_PRODUCT),
        ("iterative_snip", {"rounds": 30}, 30 * DOUBLE),
        ("force", {"rounds": 7}, 7 * DOUBLE),
        ("synflow", {}, 100 * DOUBLE),
        ("prospr_first_order", {}, 4 * DOUBLE),
        ("prospr_published", {}, 4 * DOUBLE + 3 * MIXED_PRODUCT),
        ("random_erk", {}, 0),
    ],
)
def test_gradients_of_every_kind_of_criterion(method: str, options: dict, expected: float):
    config = RunConfig(method=method, scoring=ScoringConfig(options=options))
    assert gradients(config) == expected


def test_a_criterion_that_needs_only_a_shape_looks_at_one_image():
    many = [
        parts(
            RunConfig(method="synflow", scoring=ScoringConfig(batch_size=size)), CIFAR, RESNET20
        ).scoring
        for size in (32, 512)
    ]
    assert many[0] == many[1] > 0
