"""Findings about networks that do not fit, each in a sentence."""

import copy
import re

import pytest
import torch
from torch import nn

from prospr_engine.models.build import build
from prospr_engine.models.validate import check


def convnet(channels=3, classes=10):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def linear(side, classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(side * side, classes))


class Wrapped(nn.Module):
    """A network whose output is changed by ``change(output, training)``."""

    def __init__(self, change):
        super().__init__()
        self.net = convnet()
        self.change = change

    def forward(self, x):
        return self.change(self.net(x), self.training)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (convnet(channels=1), "images with 1 channel instead of 3; load them in grey"),
        (linear(28), "needs images with 1 channel instead of 3.*smaller images than 32×32 px"),
        (convnet(classes=7), "has 7 classes, the data have 10"),
        (nn.Sequential(nn.Conv2d(3, 8, 40), nn.Flatten()), "larger images than 32×32 px"),
        (nn.Sequential(nn.Conv2d(5, 8, 3), nn.Flatten()), "cannot process images of 3×32×32: "),
        (nn.Conv2d(3, 10, 3), r"shape \(2, 10, 30, 30\)"),
        (nn.Sequential(nn.Flatten(), nn.ReLU()), "nothing to prune"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "run one batch"),
        (Wrapped(lambda out, training: (out, out)), "evaluation mode.*returns a tuple"),
        (Wrapped(lambda out, training: (out, out) if training else out), "In training mode"),
        (Wrapped(lambda out, training: out / 0), "not finite"),
        (Wrapped(lambda out, training: out * float("nan") if training else out), "In training"),
        (Wrapped(lambda out, training: out[:1]), r"\(1, 10\)"),
    ],
)
def test_misfits_are_fatal_and_explained(model, says):
    problems = check(model, (3, 32, 32), 10)
    assert any(problem.fatal for problem in problems)
    assert re.search(says, problems[0].text), problems[0].text


def test_all_problems_are_reported():
    problems = check(Wrapped(lambda out, training: (out,) if training else out / 0), (3, 8, 8), 10)
    assert ["not finite" in problems[0].text, "tuple" in problems[1].text] == [True, True]


@pytest.mark.parametrize("side", [8, 28, 48, 100, 300])
def test_the_size_that_is_named_works(side):
    # Seven strided 3×3 convolutions without padding need 255 px.
    layers = [nn.Conv2d(1 if i == 0 else 2, 2, 3, stride=2) for i in range(7)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 10))
    problems = check(model, (1, side, side), 10)
    if side >= 255:
        assert problems == []
    else:
        named = int(problems[0].text.rstrip(".").rsplit(" ", 1)[1])
        assert named > side
        assert check(model, (1, named, named), 10) == []


def test_a_fitting_network_has_no_problems_and_stays_untouched():
    model = build("small_cnn", (1, 8, 8), 10)
    model.insert(0, nn.Dropout(0.5))
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    assert check(model, (1, 8, 8), 10) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_double_precision_networks_are_checked_in_their_own():
    assert check(convnet().double(), (3, 8, 8), 10) == []


def test_weights_that_are_never_pruned_are_mentioned():
    attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    model = nn.Sequential(nn.Flatten(2), attention, nn.Flatten(), nn.Linear(16, 10))
    (problem,) = check(model, (1, 4, 4), 10)
    assert not problem.fatal
    assert "never pruned" in problem.text


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA has no more"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_lack_of_memory_is_not_called_a_misfit(error):
    def fail(out, training):
        raise error

    with pytest.raises(type(error)):
        check(Wrapped(fail), (3, 8, 8), 10)
