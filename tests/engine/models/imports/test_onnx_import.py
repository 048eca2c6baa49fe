"""Networks from ONNX files: small ones here, the usual architectures in test_onnx_architectures."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from onnx_files import assert_same_answers, current, legacy, randomised
from torch import nn

import prospr_engine as pe
from prospr_engine.models.imports.onnx.load import import_network
from prospr_engine.network.meta import meta_copy
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.groups import find_groups

X = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, momentum=0.2, eps=1e-3)
        self.short = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.short(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8), Block(8, 16))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.layer1(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(self.pool(x).flatten(1))


@pytest.fixture(scope="module")
def resnet():
    return randomised(ResNet())


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("free", [False, True])
def test_files_of_the_older_exporter(resnet, opset, free):
    imported = assert_same_answers(legacy(resnet, X[:1], opset=opset, free=free), X)
    assert imported.batch == (None if free else 1)
    assert imported.shape == (3, 16, 16)
    assert "batch normalisation" in imported.notes[0]


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("free", [False, True])
def test_files_of_the_current_exporter(resnet, optimize, free):
    imported = assert_same_answers(current(resnet, X[:1], optimize=optimize, free=free), X)
    assert imported.batch == (None if free else 1)
    names = {*prunable_weights(imported.network)}
    assert names == {*prunable_weights(resnet)}


def test_an_unfolded_file_keeps_every_name_and_value(resnet):
    model = current(resnet, X[:1], optimize=False)
    imported = assert_same_answers(model, X)
    state = imported.network.state_dict()
    assert {*state} == {*resnet.state_dict()}
    for name, value in resnet.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, state[name])
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert {name for name in state if "num_batches" not in name} == {*imported.homes}
    for name, home in imported.homes.items():
        assert home.exact
        assert not home.computed
        assert np.array_equal(home.to_file(state[name]), tensors[home.name])


def test_the_older_exporter_keeps_batch_norms_if_asked(resnet):
    """As the note on folded ones advises."""
    keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    imported = assert_same_answers(legacy(resnet, X[:1], **keep), X)
    assert {*imported.network.state_dict()} == {*resnet.state_dict()}
    assert imported.notes == ()


def test_weights_that_are_equal_at_first_are_no_shared_ones():
    """The older exporter stores them once, and copies them by Identity."""
    keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    fresh = ResNet().eval()
    model = legacy(fresh, X[:1], **keep)
    assert "Identity" in {node.op_type for node in model.graph.node}
    imported = assert_same_answers(model, X)
    network = imported.network
    assert len(list(network.parameters())) == len(list(fresh.parameters()))
    assert len({(home.name, home.computed) for home in imported.homes.values()}) == len(
        imported.homes
    )


def test_batch_norm_is_trained_as_pytorch_trains_it(resnet):
    imported = assert_same_answers(current(resnet, X[:1], optimize=False), X)
    own = copy.deepcopy(resnet)
    for network in (own, imported.network):
        network.train()(X)
    trained = imported.network.state_dict()
    for name, value in own.state_dict().items():
        assert torch.allclose(value, trained[name], atol=1e-6), name


@pytest.fixture(scope="module")
def unfolded(resnet):
    return import_network(current(resnet, X[:1], optimize=False), "net.onnx").network


def test_scores_are_those_of_the_network_it_came_from(resnet, unfolded):
    batches = [(X, torch.tensor([0, 3, 9]))]
    expected, found = (
        pe.score(network, batches, method="prospr", steps=1, precision="float64")
        for network in (resnet, unfolded)
    )
    assert {*expected} == {*found}
    for name in expected:
        assert torch.allclose(expected[name], found[name], rtol=1e-6), name
    masks = found.masks(sparsity=0.8)
    assert pe.examine(unfolded, masks, X) == pe.examine(resnet, masks, X)


def test_channels_can_be_removed(resnet, unfolded):
    own, found = ({g.name: g.channels for g in find_groups(n, X)} for n in (resnet, unfolded))
    assert own == found
    scores = pe.score(unfolded, [(X, torch.tensor([0, 3, 9]))], method="snip")
    shrunk = pe.shrink(unfolded, X, scores, sparsity=0.5, multiple=1)
    assert shrunk.network(X).shape == (3, 10)
    assert sum(width.after for width in shrunk.widths) < sum(w.before for w in shrunk.widths)


def test_it_can_be_exported_again(unfolded, tmp_path):
    path = tmp_path / "again.onnx"
    pe.export_onnx(copy.deepcopy(unfolded).eval(), path, X)
    assert pe.verify(path).ok


def test_copies_other_devices_and_formats(unfolded):
    network = copy.deepcopy(unfolded).eval()
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again(X), network(X))
    assert meta_copy(network)(X.to("meta")).shape == (3, 10)
    assert torch.allclose(network.double()(X.double()).float(), again(X), atol=1e-5)
    with pytest.raises(RuntimeError, match="channels"):
        network(X[:, :2].double())
