"""The layer that makes the class scores, found by what it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from prospr_engine.models.build import build
from prospr_engine.models.classifier import find_classifier, resize_classifier
from prospr_engine.models.outline import classifier_of, outline
from prospr_engine.network.meta import meta_copy

KNOWN = (
    *("small_cnn", "mlp", "lenet5", "resnet20", "torchvision/resnet18"),
    *("torchvision/squeezenet1_1", "torchvision/vit_b_16", "torchvision/densenet121"),
)


def last_layer(network: nn.Module) -> set[str]:
    layers = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    name, layer = layers[-1]
    return {f"{name}.{own}" for own, _ in layer.named_parameters()}


@pytest.mark.parametrize("name", KNOWN)
def test_it_is_the_last_layer_of_known_networks(name):
    shape = (3, 32, 32) if "/" in name else (1, 8, 8)
    network = build(name, shape, 7)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = find_classifier(network, shape)
    assert {*found} == last_layer(network)
    assert {*found.values()} == {0}
    # The same without weights, from what depends on the number of classes.
    assert classifier_of(name, outline(name, shape, 7), shape, 7) == found
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["small_cnn", "torchvision/squeezenet1_1"])
def test_another_number_of_classes(name):
    shape = (3, 32, 32)
    network, wanted = build(name, shape, 7), build(name, shape, 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.random.fork_rng():
        found = find_classifier(network, shape)
        resize_classifier(network, found, 4)
    state = network.state_dict()
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in wanted.state_dict().items()
    }
    assert all(torch.equal(before[key], state[key]) for key in state if key not in found)
    assert network.eval()(torch.zeros(2, *shape)).shape == (2, 4)
    weight = next(state[key] for key in found if key.endswith("weight"))
    fan_in = weight[0].numel()
    assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
    assert not any(bool(state[key].any()) for key in found if key.endswith("bias"))


def test_shapes_alone_on_the_meta_device():
    whole = build("small_cnn", (3, 32, 32), 7)
    network = meta_copy(whole)
    resize_classifier(network, find_classifier(whole, (3, 32, 32)), 3)
    assert network(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 3)


class Parts(nn.Module):
    """Weights that are no layer, as in a graph of another tool, beside hidden axes of the same
    size, and a normalisation behind the scores."""

    def __init__(self, hidden: int = 5, classes: int = 5):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(64, hidden)
        self.matrix = nn.Parameter(torch.randn(hidden, classes))
        self.shift = nn.Parameter(torch.randn(classes))
        self.norm = nn.BatchNorm1d(classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.relu(self.first(x.flatten(1))) @ self.matrix + self.shift)


def test_weights_that_are_no_layer_and_hidden_axes_of_the_same_size():
    network = Parts()
    found = find_classifier(network, (1, 8, 8))
    assert found == {"matrix": 1, "shift": 0, "norm.weight": 0, "norm.bias": 0}
    resize_classifier(network, found, 3)
    assert network.matrix.shape == (5, 3)
    assert network.norm.running_var.tolist() == [1, 1, 1]
    assert network.train()(torch.randn(4, 1, 8, 8)).shape == (4, 3)


class Fixed(nn.Module):
    """Says its number of classes in another place, too."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(1)).reshape(-1, 5)


@pytest.mark.parametrize(
    "network",
    [nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1)), Fixed()],
    ids=["softmax", "fixed"],
)
def test_what_cannot_be_replaced_is_not_found(network):
    assert find_classifier(network, (1, 8, 8)) == {}


def test_two_heads_are_both_the_classifier():
    """DeiT's second one, for distillation, stands behind the first."""
    name = "timm/deit_tiny_distilled_patch16_224"
    network = outline(name, (3, 224, 224), 7)
    found = classifier_of(name, network, (3, 224, 224), 7)
    assert found == {
        f"{head}.{own}": 0 for head in ("head", "head_dist") for own in ("weight", "bias")
    }
