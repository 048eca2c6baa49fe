"""A network as a function of its parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import NETWORKS, batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.network.device import float64_device
from prospr_engine.network.functional import Network


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hessian_product_is_that_of_the_whole_hessian(name):
    make, shape = NETWORKS[name]
    network = Network(seeded(make))
    (x, y), *_ = network.batches([batch(shape)])
    generator = torch.Generator().manual_seed(1)
    vector = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in network.start]
    loss, gradient, product = network.linearised(network.start, (x, y), 0)
    again, plain = network.gradient(network.start, (x, y), 0)
    assert loss == again
    for a, b in zip(gradient, plain, strict=True):
        torch.testing.assert_close(a, b)

    def move(t):
        point = [p + t * v for p, v in zip(network.start, vector, strict=True)]
        return network.gradient(point, (x, y), 0)[1]

    step = 1e-5
    for found, plus, minus in zip(product(vector), move(step), move(-step), strict=True):
        numeric = (plus - minus) / (2 * step)
        torch.testing.assert_close(found, numeric, rtol=1e-4, atol=1e-6)


class Viewing(nn.Module):
    """Flattens by ``view``, which refuses the channels-last layout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.head(x.view(len(x), -1))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gradient_alone_is_the_one_that_comes_with_the_hessian(name):
    make, shape = NETWORKS[name]
    network = Network(seeded(make))
    (ready,) = network.batches([batch(shape)])
    _, expected, _ = network.linearised(network.start, ready, step=1)
    with network._needed.first_only():
        _, found = network.gradient(network.start, ready, step=1)
    assert network._needed.second
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_models_that_insist_on_the_usual_layout_are_scored_in_it():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Viewing()
    x, y = batch((2, 6, 6), dtype=torch.float32)
    single = pe.score(model, [(x, y)])
    double = pe.score(model, [(x, y)], precision="float64")
    for name in single:
        torch.testing.assert_close(single[name].double(), double[name], rtol=1e-3, atol=1e-6)


def test_scores_come_in_the_usual_layout():
    make, shape = NETWORKS["batch norm"]
    scores = pe.score(seeded(make).float(), [batch(shape, dtype=torch.float32)])
    assert all(values.is_contiguous() for values in scores.values())


def test_labels_may_be_probabilities():
    make, shape = NETWORKS["no normalisation"]
    x, y = batch(shape)
    soft = F.one_hot(y, 3).double()
    a, b = pe.score(seeded(make), [(x, y)]), pe.score(seeded(make), [(x, soft)])
    for name in a:
        torch.testing.assert_close(a[name], b[name])


def test_a_temperature_divides_the_logits():
    make, shape = NETWORKS["no normalisation"]
    network = Network(seeded(make))
    ((x, y),) = network.batches([batch(shape)])
    expected = F.cross_entropy(seeded(make)(x) / 5, y)
    torch.testing.assert_close(network.loss(network.start, (x, y), 0, 5.0), expected)
    assert network.linearised(network.start, (x, y), 0, 5.0)[0] == expected.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_are_laid_out_for_the_processor(dtype):
    make, shape = NETWORKS["batch norm"]
    network = Network(seeded(make).to(dtype))
    ((x, _),) = network.batches([batch(shape, dtype=dtype)])
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert network.start[0].is_contiguous(memory_format=torch.channels_last)


def test_the_positive_copy_leaves_the_network_as_it_was():
    make, shape = NETWORKS["batch norm"]
    model = seeded(make)
    model[1].running_mean.fill_(-1.0)
    model[1].weight.requires_grad_(False).neg_()
    network = Network(model.float())
    before = [tensor.clone() for tensor in network.start]
    positive = network.positive()
    assert positive.dtype == torch.float64
    assert all((tensor >= 0).all() for tensor in positive.model.state_dict().values())
    assert not positive.model.training
    assert all(torch.equal(a, b) for a, b in zip(network.start, before, strict=True))
    ones = torch.ones(1, *shape, dtype=torch.float64)
    total, gradient = positive.flow(positive.start, ones)
    # γ = |−1|, mean = |−1|, whatever has no gradient of its own included
    made = seeded(make).eval()
    made[1].running_mean.fill_(1.0)
    for parameter in made.parameters():
        parameter.data = parameter.data.float().double().abs()
    expected = made(ones).sum()
    torch.testing.assert_close(total, expected.item())
    torch.testing.assert_close(
        gradient[0], torch.autograd.grad(expected, made[0].weight)[0], rtol=1e-12, atol=0
    )


def test_what_needs_float64_is_computed_where_there_is_some():
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
