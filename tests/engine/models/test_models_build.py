"""Building: shapes, seeds, and what is refused."""

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from prospr_engine.errors import ConfigError, ModelError
from prospr_engine.models import MODELS
from prospr_engine.models.build import build

SMALL = ("small_cnn", "mlp", "lenet5", "resnet20", "wrn28_2")
LARGE = tuple(name for name in MODELS if name not in SMALL)
SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64))


def answers(model, shape, classes):
    x = torch.randn(2, *shape)
    with torch.no_grad():
        return [tuple(model.train(mode)(x).shape) == (2, classes) for mode in (True, False)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_small_networks_fit_every_image(name, shape):
    for classes in (2, 10, 37):
        assert all(answers(build(name, shape, classes), shape, classes))


@pytest.mark.parametrize(
    ("shape", "classes"), [((1, 8, 8), 10), ((2, 28, 28), 3), ((3, 64, 64), 100)], ids=str
)
@pytest.mark.parametrize("name", LARGE)
def test_large_networks_fit_every_image(name, shape, classes):
    # Only shapes matter here, and without arithmetic they are quick.
    with torch.device("meta"):
        model = MODELS.find(name).load()(shape, classes)
        x = torch.empty(2, *shape)
        assert model.train()(x).shape == model.eval()(x).shape == (2, classes)


@pytest.mark.parametrize("name", ["resnet32", "resnet18", "vgg16_bn"])
def test_large_networks_build(name):
    assert all(answers(build(name, (1, 8, 8), 10), (1, 8, 8), 10))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 9), (3, 33, 33), (1, 12, 20), (4, 16, 16)])
@pytest.mark.parametrize("name", MODELS)
def test_odd_images_fit_too(name, shape):
    with torch.device("meta"):
        model = MODELS.find(name).load()(shape, 5)
        x = torch.empty(2, *shape)
        assert model.train()(x).shape == model.eval()(x).shape == (2, 5)


@pytest.mark.parametrize("name", ["small_cnn", "lenet5", "resnet20", "torchvision/mobilenet_v2"])
def test_weights_follow_the_seed_alone(name):
    torch.manual_seed(1)
    first = build(name, (1, 8, 8) if "/" not in name else (1, 32, 32), 10, seed=7).state_dict()
    torch.manual_seed(2)
    again = build(name, (1, 8, 8) if "/" not in name else (1, 32, 32), 10, seed=7).state_dict()
    other = build(name, (1, 8, 8) if "/" not in name else (1, 32, 32), 10, seed=8).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    matrices = [key for key in first if first[key].ndim > 1]
    assert matrices
    assert not any(torch.equal(first[key], other[key]) for key in matrices)


@pytest.mark.parametrize("name", ["small_cnn", "resnet18", "torchvision/shufflenet_v2_x0_5"])
def test_the_random_state_stays_as_it_was(name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    build(name, (3, 32, 32), 4, seed=5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_networks_come_in_train_mode_on_the_cpu():
    with torch.device("meta"):
        model = build("small_cnn", (1, 8, 8), 10)
    assert model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_initial_weights_have_hes_variance():
    for name, weight in build("resnet20", (3, 32, 32), 10).named_parameters():
        if weight.ndim > 1 and weight.numel() > 4000:
            spread = math.sqrt(2 / weight[0].numel())
            assert weight.std().item() == pytest.approx(spread, rel=0.05), name
            assert weight.abs().max() > 2.5 * spread, "normal, not uniform"
    biases = [m.bias for m in build("mlp", (1, 8, 8), 10).modules() if isinstance(m, nn.Linear)]
    assert all(torch.equal(b, torch.zeros_like(b)) for b in biases)


def test_resnet_shortcut_carries_the_image_through():
    # With the residual branch silenced, a block is its shortcut: every second pixel, the new
    # channels zero (He et al., option A).
    block = copy.deepcopy(build("resnet20", (3, 32, 32), 10).stage2[0]).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 16, 9, 9)
    out = block(x)
    assert out.shape == (2, 32, 5, 5)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert out[:, :8].abs().sum() == out[:, 24:].abs().sum() == 0


def test_no_convolution_sits_in_a_cifar_shortcut():
    kernels = {
        m.kernel_size
        for m in build("resnet32", (3, 32, 32), 10).modules()
        if isinstance(m, nn.Conv2d)
    }
    assert kernels == {(3, 3)}


def test_lenet5_sees_every_pixel_of_a_small_image():
    model = build("lenet5", (1, 8, 8), 10).eval()
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    model(x + 0.5).square().sum().backward()
    assert (x.grad != 0).all()


def test_small_cnn_learns_digits_in_seconds():
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    model = build("small_cnn", (1, 8, 8), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=MODELS["small_cnn"].lr, momentum=0.9)
    for _ in range(3):
        for start in range(0, 1400, 64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[start : start + 64]), y[start : start + 64])
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (model.eval()(x[1400:]).argmax(1) == y[1400:]).float().mean()
    assert accuracy > 0.93


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("resnet", (3, 32, 32), 10), ConfigError, "resnet"),
        (("resnet20", (3, 32), 10), ModelError, "channels, height and width"),
        (("resnet20", (3, 0, 32), 10), ModelError, "at least 1"),
        (("resnet20", (3, 32, 32), 1), ModelError, "at least 2 classes"),
        (("resnet20", (3, 32, 32), 10, 0, "pretrianed"), ConfigError, "mean 'pretrained'"),
        (("resnet20", (3, 32, 32), 10, 0, "pretrained"), ModelError, "torchvision/resnet18"),
        (("torchvision/alexnet", (3, 32, 32), 10), ModelError, "set the image size to 64"),
        (("torchvision/inception_v3", (1, 28, 28), 10), ModelError, "set the image size to 96"),
        (("torchvision/vit_b_16", (1, 28, 28), 10), ModelError, "set the image size to 32"),
        (("torchvision/vit_b_32", (1, 64, 32), 10), ModelError, "square.*set the image size to 64"),
        (("torchvision/maxvit_t", (1, 8, 8), 10), ModelError, "set the image size to 32"),
    ],
)
def test_what_cannot_be_built_is_explained(arguments, error, says):
    with pytest.raises(error, match=says):
        build(*arguments)
