"""What the networks of a run say to images they have not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine.data.test_user_image import canvas

import prospr_engine as pe
from prospr_engine.data.load import load
from prospr_engine.data.user_image import frame_of, from_drawing
from prospr_engine.errors import DataError
from prospr_engine.pipeline.gallery import FILE, Gallery
from prospr_engine.pipeline.predict import load_pair, probabilities

NETWORKS = ("dense", "pruned")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("answers") / "out"
    loading = pe.LoadingConfig(test_limit=150)
    config = pe.RunConfig(model="mlp", epochs=3, sparsity=0.9, loading=loading, device="cpu")
    pe.run(config, out=out)
    return out


@pytest.fixture(scope="module")
def pair(run, tmp_path_factory):
    # Under the names that a store gives them.
    folder = tmp_path_factory.mktemp("store")
    for number, name in enumerate(NETWORKS):
        (folder / str(number)).write_bytes((run / f"{name}.safetensors").read_bytes())
    return load_pair({name: folder / str(number) for number, name in enumerate(NETWORKS)})


def test_the_networks_answer_as_they_did_in_the_test(run, pair):
    gallery = Gallery.load(run / FILE)
    for i in range(0, len(gallery), 10):
        given = pair.answer(gallery.images[i])
        for name in NETWORKS:
            assert given[name].argmax() == gallery.answers[name][i]
            np.testing.assert_allclose(given[name], gallery.probabilities[name][i], atol=2e-3)
            assert given[name].sum() == pytest.approx(1, abs=1e-5)


def test_what_is_drawn_again_elsewhere_and_larger_is_still_understood(run, pair):
    gallery = Gallery.load(run / FILE)
    frame = frame_of(gallery.images)
    random = np.random.default_rng(0)
    right = dict.fromkeys(NETWORKS, 0)
    for i in range(0, 150, 2):
        big = np.kron(gallery.images[i, 0] / 255, np.ones((20, 20)))
        ink = np.zeros((280, 280))
        top, left = random.integers(0, 120, 2)
        ink[top : top + 160, left : left + 160] = big
        given = pair.answer(from_drawing(canvas(ink), pair.shape, frame))
        for name in NETWORKS:
            right[name] += given[name].argmax() == gallery.labels[i]
    tested = {name: (gallery.answers[name] == gallery.labels).mean() for name in NETWORKS}
    for name in NETWORKS:
        assert right[name] / 75 > tested[name] - 0.1


def test_dropout_and_batch_statistics_are_out_of_the_way():
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)
    )
    images = torch.randint(0, 256, (300, 1, 2, 2), dtype=torch.uint8)
    first, again = (probabilities(network, images, (0.5,), (0.5,)) for _ in range(2))
    assert torch.equal(first, again)
    assert network.training
    alone = probabilities(network, images[7:8], (0.5,), (0.5,))
    torch.testing.assert_close(first[7:8], alone)
    assert not first.requires_grad


def test_pixels_are_normalised_by_the_label(pair):
    data = load("digits", pe.LoadingConfig(test_limit=150), 0)
    assert pair.mean == pytest.approx(data.mean)
    assert pair.std == pytest.approx(data.std)
    assert pair.shape == (1, 8, 8)


@pytest.mark.parametrize(
    "pixels", [np.zeros((3, 8, 8), np.uint8), np.zeros((1, 9, 8), np.uint8), np.zeros((1, 8, 8))]
)
def test_images_of_another_form_are_refused(pair, pixels):
    with pytest.raises(DataError, match="these networks take"):
        pair.answer(pixels)


def test_files_that_are_no_networks_are_refused(run, tmp_path):
    with pytest.raises(DataError):
        load_pair(dict.fromkeys(NETWORKS, tmp_path / "nothing"))
    with pytest.raises(DataError, match="does not match its label"):
        load_pair(dict.fromkeys(NETWORKS, run / "masks.safetensors"))
