"""The test images that a run keeps for people to look at."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import prospr_engine as pe
from prospr_engine.data.depth import Range
from prospr_engine.data.load import load
from prospr_engine.errors import DataError
from prospr_engine.pipeline import gallery
from prospr_engine.pipeline.gallery import FILE, OUTCOMES, Gallery, choose, outcomes


def config(**changes) -> pe.RunConfig:
    loading = pe.LoadingConfig(train_limit=200, test_limit=120)
    values = {"model": "mlp", "epochs": 1, "sparsity": 0.98, "loading": loading, "device": "cpu"}
    return pe.RunConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("gallery") / "out"
    return pe.run(config(), out=out), out


def test_every_combination_of_answers_has_its_outcome():
    labels = np.array([0, 0, 0, 0, 0])
    answers = {"dense": np.array([0, 0, 1, 1, 1]), "pruned": np.array([0, 1, 0, 1, 2])}
    assert [OUTCOMES[i] for i in outcomes(labels, answers)] == list(OUTCOMES)


@pytest.mark.parametrize("seed", range(3))
def test_changed_answers_come_first_then_wrong_ones_and_a_sample_always(seed, monkeypatch):
    monkeypatch.setattr(gallery, "MOST_IMAGES", 40)
    outcome = np.random.default_rng(seed).choice(5, 1000, p=[0.95, 0.01, 0.01, 0.02, 0.01])
    chosen, sampled = choose(outcome, 64, seed)
    assert len(chosen) == len(set(chosen)) == 40
    assert sampled.sum() == 10
    assert (np.diff(chosen) > 0).all()
    changed = np.flatnonzero(np.isin(outcome, [1, 2, 4]))
    fitting = min(len(changed), 30)
    assert np.isin(chosen, changed).sum() >= fitting
    if len(changed) <= 30:
        assert set(changed) <= set(chosen)
        rest = chosen[~sampled]
        assert not (outcome[rest] == 0).any() or set(np.flatnonzero(outcome == 3)) <= set(chosen)


def test_the_sample_does_not_care_what_was_answered():
    kinds = [np.zeros(300, int), np.random.default_rng(0).integers(0, 5, 300)]
    (all_right, drawn), (mixed, drawn_too) = (choose(kind, 30_000, 7) for kind in kinds)
    assert set(all_right[drawn]) == set(mixed[drawn_too])


@pytest.mark.parametrize(
    ("images", "bytes", "kept"),
    [(10_000, 784, 400), (10_000, 150_528, 53), (5, 784, 5), (9, 50_000_000, 1), (1, 64, 1)],
)
def test_it_stays_small(images, bytes, kept):
    chosen, sampled = choose(np.ones(images, int), bytes, 0)
    assert len(chosen) == kept
    assert sampled.any()


@pytest.mark.parametrize("ranges", [(), (Range(3, 4_000, True), Range(-1.5, 0.25, False))])
def test_the_ranges_of_deep_images_are_kept(run, tmp_path, ranges):
    kept = Gallery.load(run[1] / FILE)
    dataclasses.replace(kept, ranges=ranges).save(tmp_path / "again")
    assert Gallery.load(tmp_path / "again").ranges == ranges
    # Images of 8 bits give the bytes that they always gave.
    assert ((tmp_path / "again").read_bytes() == (run[1] / FILE).read_bytes()) == (not ranges)
    assert b"ranges" not in (run[1] / FILE).read_bytes()


def test_a_run_writes_what_it_answered(run):
    result, out = run
    output = Gallery.load(out / FILE)
    data = load("digits", result.config.loading, 0)
    assert output.tested == len(data.test) == 120
    assert len(output) == 120  # they all fit
    assert (output.numbers == np.arange(120)).all()
    assert (output.images == data.test.images.numpy()).all()
    assert (output.labels == data.test.labels.numpy()).all()
    for name in ("dense", "pruned"):
        assert output.answers[name].tolist() == result.predictions[name]
        # Half precision: sums to 1 within its rounding.
        np.testing.assert_allclose(output.probabilities[name].astype(float).sum(1), 1, atol=0.01)
        right = (output.answers[name] == output.labels).mean()
        assert right == pytest.approx(result.accuracy[name])
    counts = output.counts
    assert counts["right"] + counts["lost"] == round(120 * result.accuracy["dense"])
    assert counts["right"] + counts["gained"] == round(120 * result.accuracy["pruned"])
    assert dict(zip(OUTCOMES, np.bincount(output.outcomes, minlength=5), strict=True)) == counts
    assert counts["lost"]  # or the tests above would show little


def test_the_same_config_writes_the_same_bytes(run, tmp_path):
    result, out = run
    pe.run(result.config, out=tmp_path)
    assert (tmp_path / FILE).read_bytes() == (out / FILE).read_bytes()


def test_another_seed_samples_others():
    outcome = np.zeros(1000, int)
    assert (choose(outcome, 64, 0)[0] != choose(outcome, 64, 1)[0]).any()


def test_reading_needs_no_torch(run):
    code = (
        "import sys; from prospr_engine.pipeline.gallery import Gallery\n"
        "import prospr_engine.data.user_image\n"
        f"print(len(Gallery.load({str(run[1] / FILE)!r})), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["120", "False"]


def test_what_is_no_gallery_is_refused(run, tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        Gallery.load(tmp_path / FILE)
    with pytest.raises(DataError, match="not a gallery"):
        Gallery.load(run[1] / "masks.safetensors")
    (tmp_path / FILE).write_bytes((run[1] / FILE).read_bytes()[:500])
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Gallery.load(tmp_path / FILE)
