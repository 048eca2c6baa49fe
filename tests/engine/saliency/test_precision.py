"""Rounding does not decide a ranking, or the verdict says so."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers import batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError
from prospr_engine.network.functional import MIXED, Network
from prospr_engine.saliency.diagnostics import AGREEING, shared_share


def deep() -> nn.Module:
    """Nine layers with batch norm: enough for training to amplify rounding errors."""
    blocks = [[nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU()] for _ in range(8)]
    blocks[0][0] = nn.Linear(8, 16, bias=False)
    return nn.Sequential(nn.Flatten(), *[layer for b in blocks for layer in b], nn.Linear(16, 3))


CHAOTIC = [
    ("prospr", {"steps": 40, "lr": 0.5}),
    ("prospr", {"steps": 30, "lr": 0.3, "momentum": 0.9}),
    ("prospr_first_order", {"steps": 40, "lr": 0.5}),
]


@pytest.mark.parametrize(("method", "options"), CHAOTIC)
def test_the_default_keeps_the_weights_that_float64_keeps(method, options):
    model = seeded(deep).float()
    batches = [batch((2, 2, 2), n=32, dtype=torch.float32)]
    found = {
        way: pe.score(model, batches, method, precision=way, **options)
        for way in (None, "float32", "float64")
    }
    assert shared_share(found["float64"], found["float32"], 0.9, 0) < AGREEING
    assert shared_share(found["float64"], found[None], 0.9, 0) >= 0.99
    assert found[None].diagnostics.trusted
    assert found["float64"].diagnostics.trusted
    assert not found["float32"].diagnostics.trusted
    assert all(scores.dtype == torch.float32 for scores in found[None].values())


@pytest.mark.parametrize("method", ["iterative_snip", "force"])
def test_rounds_decide_by_gradients_in_float64(method):
    model = pe.build_model("resnet20", (3, 8, 8), 10, 0)
    batches = [batch((3, 8, 8), classes=10, n=8, dtype=torch.float32)]
    found = {
        way: pe.score(model, batches, method, precision=way, sparsity=0.95, rounds=20)
        for way in (None, "float32", "float64")
    }
    assert shared_share(found["float64"], found["float32"], 0.95, 0) < AGREEING
    assert shared_share(found["float64"], found[None], 0.95, 0) >= 0.99
    assert not found["float32"].diagnostics.trusted


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["snip", "grasp", "prospr"])
def test_half_precision_is_scored_with_more_digits(dtype, method):
    """The weights are those of the short format; the same in float64 are the right answer."""
    model = pe.build_model("resnet20", (3, 8, 8), 10, 0).to(dtype)
    batches = [batch((3, 8, 8), classes=10, n=8, dtype=torch.float32)]
    scores = pe.score(model, batches, method)
    exact = pe.score(model.double(), batches, method)
    assert shared_share(exact, scores, 0.95, 0) >= 0.99
    assert scores.diagnostics.trusted
    assert scores.diagnostics.precision == ("float64" if method == "snip" else "mixed")


def test_second_derivatives_follow_the_same_function():
    """Noise that is drawn in another number format is other noise."""

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 3)

        def forward(self, x):
            return self.inner(x * torch.randn_like(x))

    x, y = batch((6,), dtype=torch.float32)
    model = seeded(Noisy).float()
    with torch.no_grad():
        drawn = [
            Network(model, way).loss(Network(model, way).start, (x.to(kind), y), 0).item()
            for way, kind in (("float64", torch.float64), ("float32", torch.float32))
        ]
    assert abs(drawn[0] - drawn[1]) > 1e-3  # as the test assumes
    scores = pe.score(model, [(x, y)], steps=2)
    exact = pe.score(model, [(x, y)], steps=2, precision="float64")
    assert scores.diagnostics.precision == "float64"
    for name in exact:
        torch.testing.assert_close(scores[name].double(), exact[name], rtol=1e-6, atol=1e-9)


def test_dropout_belongs_to_one_function():
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5), nn.Linear(40, 3)))
    x, y = batch((6,), dtype=torch.float32)
    scores = pe.score(model.float(), [(x, y)], steps=3)
    exact = pe.score(model.float(), [(x, y)], steps=3, precision="float64")
    for name in exact:
        torch.testing.assert_close(scores[name].double(), exact[name], rtol=1e-3, atol=1e-7)


def test_a_network_that_insists_on_a_number_format_is_scored_in_it_and_doubted():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 3)

        def forward(self, x):
            return self.inner(x.float())

    batches = [batch((6,), dtype=torch.float32)]
    model = seeded(Fixed).float()
    scores = pe.score(model, batches, steps=2)
    assert scores.diagnostics.precision == "float32"
    assert not scores.diagnostics.trusted
    assert "whatever it is given" in scores.diagnostics.verdict
    assert pe.score(model, batches, "snip").diagnostics.trusted


def test_a_ranking_can_be_checked():
    model = seeded(deep).float()
    batches = [batch((2, 2, 2), n=32, dtype=torch.float32)]
    options = {"steps": 40, "lr": 0.5, "check_at": 0.9}
    wild = pe.score(model, batches, precision="float32", **options)
    calm = pe.score(model, batches, **options)
    assert wild.diagnostics.agreement < AGREEING
    assert not wild.diagnostics.trusted
    assert calm.diagnostics.agreement >= 0.99
    assert calm.diagnostics.trusted
    plain = pe.score(model, batches, steps=40, lr=0.5)
    assert all(torch.equal(plain[name], calm[name]) for name in plain)
    assert pe.score(model, batches, "magnitude", check_at=0.9).diagnostics.agreement is None
    with pytest.raises(ConfigError, match="at the same one"):
        pe.score(model, batches, "force", sparsity=0.8, check_at=0.9)


def test_a_ranking_is_checked_with_the_floor_of_its_masks():
    model = seeded(deep).float()
    batches = [batch((2, 2, 2), n=32, dtype=torch.float32)]
    options = {"precision": "float32", "steps": 40, "lr": 0.5, "check_at": 0.9}
    without = pe.score(model, batches, **options).diagnostics.agreement
    floor = pe.score(model, batches, **options, layer_floor=15).diagnostics.agreement
    assert 0 < floor != without
    with pytest.raises(ConfigError, match="floor of 1000 weights"):
        pe.score(model, batches, **options, layer_floor=1000)


def test_weights_chosen_among_equals_are_counted():
    """Two of four units are dead for every input, so a half of the scores are zero."""
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].bias[:2] = -100.0
        model[0].weight.uniform_(0.1, 1, generator=torch.Generator().manual_seed(0))
        model[2].weight.uniform_(0.1, 1, generator=torch.Generator().manual_seed(1))
    x, y = batch((6,), dtype=torch.float32)
    scores = pe.score(model, [(x.abs(), y)], "snip")
    zeros = sum(int((score == 0).sum()) for score in scores.values())
    assert zeros == 2 * 6 + 2 * 3
    total = 6 * 4 + 4 * 3
    for sparsity, equals in ((0.25, total * 3 // 4 - (total - zeros)), (0.5, 0), (0.75, 0)):
        masks = scores.masks(sparsity)
        assert masks.metadata["chosen_among_equals"] == equals
        verdict = scores.diagnostics.with_equals(equals, masks.kept)
        assert verdict.trusted == (equals == 0)
        if equals:
            assert verdict.verdict.startswith(f"{equals} kept weights")
    assert verdict == scores.diagnostics


def test_a_loader_without_an_end_is_read_as_far_as_needed():
    read = []

    def loader():
        for number in itertools.count():
            read.append(number)
            yield batch((8,), n=16, seed=number)

    model = seeded(deep)
    for method, options, needed in (
        ("prospr", {"steps": 4}, 5),
        ("snip", {}, 1),
        ("iterative_snip", {"sparsity": 0.5, "rounds": 3}, 3),
        ("synflow", {"sparsity": 0.5, "rounds": 3}, 1),
        ("random", {}, 0),
    ):
        read.clear()
        pe.score(model, loader(), method, **options)
        assert len(read) <= max(needed, 3 if method == "synflow" else 1)
        assert len(read) >= needed


def test_products_are_in_float32_and_places_in_float64():
    model = seeded(deep).float()
    network = Network(model, MIXED)
    x, y = network.batches([batch((8,), n=16, dtype=torch.float32)])[0]
    with torch.no_grad():
        _, gradient = network.gradient(network.start, (x, y), 0)
        product = network.hessian(network.start, (x, y), 0)(gradient)
    assert {tensor.dtype for tensor in (*gradient, *product)} == {torch.float64}
    assert network.used == {"gradients": torch.float64, "products": torch.float32}
    exact = Network(model, "float64")
    with torch.no_grad():
        right = exact.hessian(exact.start, (x, y), 0)(gradient)
    for got, expected in zip(product, right, strict=True):
        torch.testing.assert_close(
            got, expected, rtol=1e-2, atol=1e-5 * float(expected.abs().max())
        )
