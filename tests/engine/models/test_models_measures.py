"""The table of sizes says what the networks say."""

from __future__ import annotations

import pytest
import torch

from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError, ModelError
from prospr_engine.models import MODELS
from prospr_engine.models.build import build
from prospr_engine.models.measures import SHAPES, Measure, known, measure
from prospr_engine.network.flops import summarise, totals


def test_the_table_covers_the_catalogue():
    assert {(row.channels, row.image_size, row.classes) for row in DATASETS.values()} == set(SHAPES)
    for model in MODELS:
        for shape in SHAPES:
            assert known(model, *shape) == measure(model, *shape), (
                f"{model} at {shape}: run `python -m prospr_engine.models.measures`"
            )


@pytest.mark.parametrize("model", list(MODELS))
def test_a_measure_is_what_the_built_network_has(model: str):
    shape, classes = (1, 8, 8), 10
    network = build(model, shape, classes)
    total = totals(summarise(network, shape))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert known(model, 1, 8, 10) == Measure(total.layers, parameters, total.parameters, total.macs)


def test_resnet20_has_the_papers_size():
    size = known("resnet20", 3, 32, 10)
    assert size is not None
    assert size.parameters == MODELS["resnet20"].parameters
    assert size.macs / 1e6 == pytest.approx(40.55, abs=0.01)


def test_what_the_table_does_not_hold():
    assert known("resnet20", 3, 64, 10) is None
    assert known("torchvision/resnet18", 3, 32, 10) is None
    with pytest.raises(ConfigError, match="no model called 'resnet2'"):
        measure("resnet2", 3, 32, 10)


# RegNet works out its widths with tensors: those must keep their numbers.
@pytest.mark.parametrize(
    ("name", "published"), [("resnet18", 11_689_512), ("regnet_y_400mf", 4_344_144)]
)
def test_torchvision_networks_are_measured_without_memory(name: str, published: int):
    before = torch.random.get_rng_state()
    assert measure(f"torchvision/{name}", 3, 224, 1000).parameters == published
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_network_that_does_not_fit_says_what_would():
    with pytest.raises(ModelError, match="larger images than 32×32 px; set the image size to 64"):
        measure("torchvision/alexnet", 3, 32, 10)
