"""The file of a network says how it is rebuilt."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from prospr_engine.errors import DataError
from prospr_engine.io.tensors import load_tensors, save_tensors
from prospr_engine.models.build import build
from prospr_engine.pipeline.checkpoint import (
    Source,
    Surgery,
    load_network,
    save_network,
    untrained,
)

LABEL = {"network": "pruned", "shape": [3, 64, 64], "classes": ["a", "b", "c"]}
NETWORKS = {
    "mlp": Source("zoo", "mlp", (3, 64, 64), 3),
    "torchvision/squeezenet1_1": Source("torchvision", "squeezenet1_1", (3, 64, 64), 3),
}


@pytest.mark.parametrize("model", NETWORKS)
def test_a_network_comes_back(model: str, tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    network = build(model, (3, 64, 64), 3, seed=5)
    source = Source.of(model, (3, 64, 64), 3)
    assert source == NETWORKS[model]
    save_network(path, network, LABEL, source)
    again, label = load_network(path)
    assert label == LABEL
    for name, values in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], values)


def test_the_source_decides_not_the_label(tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    save_network(
        path, build("mlp", (1, 8, 8), 3), {"model": "gone"}, Source.of("mlp", (1, 8, 8), 3)
    )
    assert load_network(path)[1] == {"model": "gone"}


def test_without_a_source_the_label_decides(tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    label = {"model": "mlp", "shape": [1, 8, 8], "classes": ["a", "b", "c"]}
    network = build("mlp", (1, 8, 8), 3)
    save_tensors(path, network.state_dict(), label)
    again, read = load_network(path)
    assert read == label
    assert torch.equal(next(again.parameters()), next(network.parameters()))


def test_the_scaling_of_the_input_comes_back(tmp_path: Path):
    source = Source.of("torchvision/googlenet", (3, 64, 64), 3, transform_input=True)
    path = tmp_path / "dense.safetensors"
    network = source.build(seed=1)
    assert network.transform_input is True
    save_network(path, network, LABEL, source)
    assert load_network(path)[0].transform_input is True
    assert dataclasses.replace(source, transform_input=False).build().transform_input is False


def test_a_network_without_its_weights(tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    network = build("mlp", (1, 8, 8), 3, seed=5)
    save_network(path, network, {}, Source.of("mlp", (1, 8, 8), 3))
    new = untrained(path)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert {name: value.shape for name, value in new.state_dict().items()} == shapes
    assert not torch.equal(next(new.parameters()), next(network.parameters()))


@pytest.mark.parametrize("read", [load_network, untrained])
def test_what_does_not_fit_this_version_is_refused(read, tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    network, source = build("mlp", (1, 8, 8), 3), Source.of("mlp", (1, 8, 8), 3)
    save_network(path, network, {}, dataclasses.replace(source, kind="hub"))
    with pytest.raises(DataError, match="'hub'"):
        read(path)
    save_network(path, network, {}, source, Surgery({"9": (1, 2)}))
    with pytest.raises(DataError, match="channels that were removed from layer '9' do not fit"):
        read(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"source": None},
        {"source": {"kind": "zoo"}},
        {"source": {**dataclasses.asdict(Source.of("lenet5", (1, 28, 28), 3))}},
        {"surgery": []},
    ],
)
def test_a_changed_label_is_noticed(damage: dict, tmp_path: Path):
    path = tmp_path / "pruned.safetensors"
    save_network(path, build("mlp", (1, 8, 8), 3), {}, Source.of("mlp", (1, 8, 8), 3))
    state, label = load_tensors(path)
    save_tensors(path, state, {**label, **damage})
    with pytest.raises(DataError, match="does not match its label"):
        load_network(path)
