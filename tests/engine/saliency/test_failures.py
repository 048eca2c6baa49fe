"""A criterion that cannot serve a network says which layer is in the way, and what to do."""

from __future__ import annotations

import pytest
import torch
from helpers import NETWORKS, Once, batch, seeded
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ModelError, ScoringError
from prospr_engine.saliency.diagnostics import diagnose


class Square(nn.Module):
    def forward(self, x):
        return Once.apply(x)


class Block(nn.Module):
    """Squares in its own forward, not in a layer of its own."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return Once.apply(torch.relu_(self.inner(x)))


def with_layer(layer):
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 4), layer(), nn.Linear(4, 3))


def towards(method):
    return {"sparsity": 0.5, "rounds": 3} if pe.METHODS[method].iterative else {}


@pytest.mark.parametrize(("layer", "named"), [(Square, "'2' (Square)"), (Block, "'2' (Block)")])
def test_the_layer_without_second_derivative_is_named(layer, named):
    model, batches = seeded(with_layer(layer)), [batch((6,))]
    for method, spec in pe.METHODS.items():
        if not spec.second_order:
            assert pe.score(model, batches, method, **towards(method)).masks(0.5).kept
            continue
        with pytest.raises(ScoringError) as error:
            pe.score(model, batches, method)
        assert f"layer {named} has no second derivative, which {spec.label} needs" in str(
            error.value
        )
        assert ("set order to 'first'" in str(error.value)) == (method == "prospr")
        assert "snip" in str(error.value)


def test_an_operation_that_torch_itself_cannot_differentiate_twice_is_named():
    class Gate(nn.Module):
        """As a function of its own, not the layer that the engine knows how to replace."""

        def forward(self, x):
            return x * nn.functional.hardsigmoid(x)

    model = seeded(lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), Gate(), nn.Linear(4, 3)))
    with pytest.raises(ScoringError, match=r"layer '2' \(Gate\) has no second derivative"):
        pe.score(model, [batch((6,))], "grasp")
    assert pe.score(model, [batch((6,))], "snip")["0.weight"].any()


def test_a_network_whose_own_forward_is_to_blame():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.b(Once.apply(self.a(x)))

    with pytest.raises(ScoringError, match=r"the network's own forward \(Net\) has no second"):
        pe.score(seeded(Net), [batch((6,))], "grasp")


# SynFlow


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (lambda: nn.Softmax(1), "Softmax"),
        (lambda: nn.LayerNorm(3), "LayerNorm"),
        (lambda: nn.Hardtanh(0, 1e-9), "Hardtanh"),
    ],
)
def test_answers_that_do_not_depend_on_the_flow_cannot_be_ranked_by_it(last, kind):
    make, shape = NETWORKS["batch norm"]
    model = seeded(lambda: nn.Sequential(make(), last()))
    with pytest.raises(ScoringError, match=rf"lost in layer '1' \({kind}\).*such as snip"):
        pe.score(model, [batch(shape)], "synflow", sparsity=0.5, rounds=2)


@pytest.mark.parametrize(
    ("network", "named"),
    [("grouped, group norm", r"'1' \(GroupNorm\)"), ("attention", r"'norm' \(LayerNorm\)")],
)
def test_a_normalisation_on_the_way_is_scored_but_not_trusted(network, named):
    make, shape = NETWORKS[network]
    scores = pe.score(seeded(make), [batch(shape)], "synflow", sparsity=0.5, rounds=2)
    assert scores.masks(0.5).kept
    assert not scores.diagnostics.trusted
    assert f"in layer {named}".replace("\\", "") in scores.diagnostics.verdict
    assert "steps ahead" not in scores.diagnostics.verdict


def test_batch_norm_without_running_statistics_normalises_over_the_image():
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(),
            nn.Flatten(), nn.Linear(64, 3),
        )
    )  # fmt: skip
    with pytest.raises(ScoringError, match=r"layer '1' \(BatchNorm2d\)"):
        pe.score(model, [batch((2, 6, 6))], "synflow", sparsity=0.5)


def test_whole_numbers_cannot_be_replaced_by_ones():
    model = seeded(lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)))
    batches = [(torch.randint(0, 9, (8, 3)), torch.arange(8) % 3)]
    with pytest.raises(ScoringError, match=r"torch\.int64 numbers, .*layer '0' \(Embedding\)"):
        pe.score(model, batches, "synflow", sparsity=0.5)
    for method in set(pe.METHODS) - {"synflow"}:
        assert pe.score(model, batches, method, **towards(method)).masks(0.5).kept


def deep(width=64, layers=40):
    return nn.Sequential(
        *[m for _ in range(layers) for m in (nn.Linear(width, width), nn.ReLU())],
        nn.Linear(width, 3),
    )


def test_a_deep_network_overflows_float32_but_not_synflow():
    model = seeded(lambda: deep()).float()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    x, y = batch((64,), dtype=torch.float32)
    positive = {name: p.detach().abs() for name, p in model.named_parameters()}
    assert torch.func.functional_call(model, positive, (torch.ones(1, 64),)).isinf().all()
    scores = pe.score(model, [(x, y)], "synflow", sparsity=0.9, rounds=5)
    assert all(values.dtype == torch.float64 for values in scores.values())
    assert scores.diagnostics.trusted
    # What flows into a unit flows out: every layer carries the same, but for the biases.
    assert all(stats.kept for stats in scores.masks(0.9).layers)


def test_synflow_takes_every_parameter_and_buffer_for_positive():
    make, shape = NETWORKS["batch norm"]
    a, b = seeded(make), seeded(make)
    generator = torch.Generator().manual_seed(0)
    for model in (a, b):
        model[1].running_mean.normal_(generator=generator.manual_seed(1))
        model[1].bias.data.normal_(generator=generator.manual_seed(2))
        model[1].bias.requires_grad_(False)  # and frozen ones, too
    for tensor in (*b.parameters(), *b.buffers()):
        if tensor.is_floating_point():
            tensor.data.abs_()
    found = [pe.score(m, [batch(shape)], "synflow", sparsity=0.0) for m in (a, b)]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    # Slow and obvious.
    b.eval()
    b(torch.ones(1, *shape, dtype=torch.float64)).sum().backward()
    for name, values in found[0].items():
        weight = dict(b.named_parameters())[name]
        torch.testing.assert_close(values, weight.detach() * weight.grad, rtol=1e-12, atol=0)


def test_an_overflow_in_double_precision_names_the_layer():
    model = seeded(deep)
    for parameter in model.parameters():
        parameter.data.mul_(1e9)
    scores = pe.score(model, [batch((64,))], "synflow", sparsity=0.9, rounds=5)
    assert "NaN or infinite, the first of them in '0.weight'" in scores.diagnostics.verdict
    assert "float64" not in scores.diagnostics.verdict
    assert "steps" not in scores.diagnostics.verdict
    with pytest.raises(ScoringError, match="NaN or infinite"):
        scores.masks(0.9)


# Dead and broken networks


class Nothing(nn.Module):
    def forward(self, x):
        return x * 0


@pytest.mark.parametrize("method", [n for n, spec in pe.METHODS.items() if spec.needs_data])
def test_the_first_layer_that_answers_nothing_but_zeros_is_named(method):
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 4), Nothing(), nn.Linear(4, 3, bias=False)))
    scores = pe.score(model, [batch((6,))], method, **towards(method))
    verdict = scores.diagnostics.verdict
    assert not scores.diagnostics.trusted
    assert verdict.startswith("All scores are zero")
    assert "all zero come from layer '1' (Nothing)" in verdict


@pytest.mark.parametrize("method", [n for n, spec in pe.METHODS.items() if spec.needs_data])
def test_the_first_layer_that_answers_no_numbers_is_named(method):
    class Log(nn.Module):
        def forward(self, x):
            return torch.log(x - 100)

    model = seeded(lambda: nn.Sequential(nn.Linear(6, 4), Log(), nn.Linear(4, 3)))
    verdict = pe.score(model, [batch((6,))], method, **towards(method)).diagnostics.verdict
    assert "the first of them in '0.weight'" in verdict
    assert "not finite come from layer '1' (Log)" in verdict
    # Smaller steps would not help: it is so before the first one.
    assert "fewer steps ahead" not in verdict


def test_inputs_that_are_no_numbers_are_to_blame_themselves():
    make, shape = NETWORKS["no normalisation"]
    x, y = batch(shape)
    x[3] = torch.nan
    assert (
        "calibration batch itself" in pe.score(seeded(make), [(x, y)], "snip").diagnostics.verdict
    )


def test_weights_that_are_no_numbers_name_their_layer_without_any_batch():
    make, _ = NETWORKS["no normalisation"]
    model = seeded(make)
    model[3].weight.data[0, 0] = torch.nan
    verdict = pe.score(model, method="magnitude").diagnostics.verdict
    assert "1 score is NaN or infinite, the first of them in '3.weight'" in verdict


def test_a_loss_that_no_weight_has_a_part_in():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            return self.layer(x).detach()

    for method in ("prospr", "snip", "grasp", "force"):
        scores = pe.score(seeded(Detached), [batch((6,))], method, **towards(method))
        assert scores.diagnostics.verdict.startswith("All scores are zero")


def test_one_layer_of_zeros_is_a_warning_that_names_it():
    class WithSpare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(6, 3), nn.Linear(6, 3)
            self.unused = nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x) + 0 * self.spare(x)

    model = seeded(WithSpare)
    for method in ("snip", "iterative_snip", "force", "grasp"):
        scores = pe.score(model, [batch((6,))], method, **towards(method))
        assert scores.diagnostics.silent == ("spare.weight", "unused.weight")
        assert not scores.diagnostics.trusted
        assert "in 2 layers, 'spare.weight' being the first, are zero" in scores.diagnostics.verdict
        assert scores.masks(0.5).kept
    one = {"a": torch.ones(2), "b": torch.zeros(2)}
    assert "All scores of 'b' are zero" in diagnose(one, None).verdict


@pytest.mark.parametrize("method", ["iterative_snip", "synflow"])
def test_a_network_that_falls_apart_on_the_way_keeps_the_last_ranking(method):
    """A path takes three weights, and the last rounds may keep but two."""
    model = seeded(
        lambda: nn.Sequential(
            nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 40, bias=False)
        )
    )
    batches = [batch((2,), classes=40, n=64)]
    scores = pe.score(model, batches, method, sparsity=0.976, rounds=100)
    kept = scores.masks(0.976)
    assert kept.kept == 2
    assert not scores.diagnostics.trusted
    assert "no remaining weight had any effect" in scores.diagnostics.verdict
    assert "minimum of weights per layer" in scores.diagnostics.verdict


def test_a_model_that_cannot_take_the_ones_says_so():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            if len(x) == 1:
                raise ValueError("one is not enough")
            return self.layer(x)

    with pytest.raises(ModelError, match=r"cannot take a batch of shape \(1, 6\)"):
        pe.score(seeded(Picky), [batch((6,))], "synflow", sparsity=0.5)
