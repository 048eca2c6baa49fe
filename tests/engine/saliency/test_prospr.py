"""ProsPr's meta-gradient against the authors' code, plain unrolling, and its properties."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from helpers import NETWORKS, Once, batch, seeded, unrolled
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, DataError, ModelError, ScoringError
from prospr_engine.events import Progress


@pytest.mark.parametrize(
    ("file", "batches", "options"),
    [
        ("prospr_m0", 1, {"steps": 0}),
        ("prospr_m1_lr0.1", 1, {"steps": 1}),
        ("prospr_m3_lr0.1", 1, {}),
        ("prospr_m3_lr0.1_newdata", 4, {}),
        ("prospr_m3_lr0.1_mom0.9_exact", 1, {"momentum": 0.9}),
        ("prospr_m3_lr0.5_mom0.9_exact", 1, {"lr": 0.5, "momentum": 0.9}),
        ("prospr_m3_lr0.1_mom0.9_reference", 1, {"momentum": 0.9, "momentum_graph": "reference"}),
        (
            "prospr_m3_lr0.5_mom0.9_reference",
            1,
            {"lr": 0.5, "momentum": 0.9, "momentum_graph": "reference"},
        ),
        ("prospr_firstorder_m3_lr0.1", 1, {"order": "first"}),
    ],
)
def test_scores_are_those_of_the_authors_code(reference, golden, file, batches, options):
    net, four = reference
    expected = golden(file)
    scores = pe.score(net, four[:batches], method="prospr", **options)
    assert set(scores) == set(expected)
    for name, values in expected.items():
        torch.testing.assert_close(
            scores[name], values, rtol=1e-9, atol=1e-12 * values.max().item()
        )


def test_channel_scores_are_those_of_the_authors_structured_mode(reference, golden):
    net, four = reference
    channels = pe.score(net, four[:1]).channels
    for name, values in golden("prospr_structured_m3_lr0.1").items():
        torch.testing.assert_close(channels[name].abs(), values.flatten(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("name", NETWORKS)
def test_adjoint_recursion_equals_plain_unrolling(name, momentum):
    make, shape = NETWORKS[name]
    model = seeded(make)
    batches = [batch(shape, seed=i) for i in range(3)]
    # Attention's usual kernels cannot be differentiated twice; the slow computation needs that.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = unrolled(seeded(make), batches, steps=4, lr=0.2, momentum=momentum)
    scores = pe.score(model, batches, steps=4, lr=0.2, momentum=momentum)
    weights = dict(model.named_parameters())
    for parameter, channels in scores.channels.items():
        signed = weights[parameter] * expected[parameter]
        torch.testing.assert_close(scores[parameter], signed.abs(), rtol=1e-9, atol=1e-13)
        if "transposed" in name and signed.dim() == 4:  # stored as (in, out / groups, …)
            signed = signed.view(2, 1, 2, 2, 2).transpose(1, 2).reshape(4, 1, 2, 2)
        torch.testing.assert_close(channels, signed.flatten(1).sum(1), rtol=1e-9, atol=1e-13)
    others = {n: w for n, w in weights.items() if w.dim() == 1 and n not in scores}
    assert set(scores.rest) == set(others)
    for parameter, effect in scores.rest.items():
        signed = others[parameter] * expected[parameter]
        torch.testing.assert_close(effect, signed, rtol=1e-9, atol=1e-13)


def test_one_batch_serves_every_step_and_fewer_are_cycled():
    make, shape = NETWORKS["batch norm"]
    a, b = batch(shape, seed=1), batch(shape, seed=2)
    model = seeded(make)
    cycled = pe.score(model, [a, b], steps=3)
    written_out = pe.score(model, [a, b, a, b], steps=3)
    other = pe.score(model, [b, a], steps=3)
    assert all(torch.equal(cycled[name], written_out[name]) for name in cycled)
    assert not all(torch.equal(cycled[name], other[name]) for name in cycled)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_comes_back_untouched(training):
    make, shape = NETWORKS["batch norm"]
    model = seeded(lambda: nn.Sequential(make(), nn.Dropout(0.5)))
    model.train(training)
    model[0][0].weight.requires_grad_(False)
    model[0][3].weight.grad = torch.ones_like(model[0][3].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    hooks = [dict(module._forward_hooks) for module in model.modules()]

    pe.score(model, [batch(shape)], momentum=0.5)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert not model[0][0].weight.requires_grad
    assert torch.equal(model[0][3].weight.grad, torch.ones_like(model[0][3].weight))
    assert model[0][7].weight.grad is None
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert hooks == [dict(module._forward_hooks) for module in model.modules()]


def test_dropout_is_the_same_noise_in_every_pass_of_a_step():
    make, shape = NETWORKS["batch norm"]
    model = seeded(lambda: nn.Sequential(make(), nn.Dropout(0.3)))
    first = pe.score(model, [batch(shape)])
    torch.rand(7)
    second = pe.score(model, [batch(shape)])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_noise_from_python_and_numpy_is_repeated_and_leaves_no_trace():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)) * (1 + random.random() + np.random.rand()))

    model, batches = seeded(Noisy), [batch((6,))]
    states = random.getstate(), np.random.get_state()[1].tolist()
    first, second = pe.score(model, batches), pe.score(model, batches)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert states == (random.getstate(), np.random.get_state()[1].tolist())


def test_a_frozen_weight_is_scored_but_never_moves():
    make, shape = NETWORKS["no normalisation"]
    model = seeded(make)
    model[1].weight.requires_grad_(False)
    model[1].bias.requires_grad_(False)
    x, y = batch(shape)
    scores = pe.score(model, [(x, y)], steps=2, lr=0.3)

    # By hand: one graph in which the frozen tensors keep their place.
    mask = torch.ones_like(model[1].weight, requires_grad=True)
    frozen = {"1.weight": mask * model[1].weight, "1.bias": model[1].bias}
    point = {n: p.detach().requires_grad_() for n, p in model.named_parameters() if n[0] == "3"}
    for _ in range(2):
        logits = torch.func.functional_call(model, {**frozen, **point}, (x,))
        loss = nn.functional.cross_entropy(logits, y)
        gradient = torch.autograd.grad(loss, list(point.values()), create_graph=True)
        point = {n: p - 0.3 * g for (n, p), g in zip(point.items(), gradient, strict=True)}
    logits = torch.func.functional_call(model, {**frozen, **point}, (x,))
    (expected,) = torch.autograd.grad(nn.functional.cross_entropy(logits, y), mask)
    torch.testing.assert_close(scores["1.weight"], expected.abs(), rtol=1e-9, atol=1e-14)


def test_float64_scores_of_a_float32_model_are_those_of_the_model_in_float64():
    make, shape = NETWORKS["batch norm"]
    model = seeded(make).float()
    x, y = batch(shape)
    scores = pe.score(model, [(x.float(), y)], precision="float64")
    expected = pe.score(model.double(), [(x.float().double(), y)])
    assert all(scores[name].dtype == torch.float64 for name in scores)
    assert all(torch.equal(scores[name], expected[name]) for name in scores)


def test_progress_is_reported_for_every_step():
    make, shape = NETWORKS["batch norm"]
    heard: list[Progress] = []
    pe.score(seeded(make), [batch(shape)], steps=2, on_event=heard.append)
    assert [event.done for event in heard] == list(range(6))  # 3 gradients, 2 back, the end
    assert {event.total for event in heard} == {5}
    assert "Looking back through step 1 of 2" in {event.text for event in heard}
    heard.clear()
    pe.score(seeded(make), [batch(shape)], steps=2, on_event=heard.append, check_at=0.5)
    assert [event.done for event in heard if event.total == 10] == list(range(11))


def test_an_option_of_earlier_versions_changes_nothing():
    make, shape = NETWORKS["batch norm"]
    now = pe.score(seeded(make), [batch(shape)], steps=2)
    then = pe.score(seeded(make), [batch(shape)], steps=2, rehearse=False)
    assert all(torch.equal(now[name], then[name]) for name in now)
    assert now.options == then.options


def test_a_listener_that_raises_stops_the_scoring():
    class Enough(Exception):  # noqa: N818
        pass

    def stop(event):
        if event.done == 2:
            raise Enough

    make, shape = NETWORKS["batch norm"]
    with pytest.raises(Enough):
        pe.score(seeded(make), [batch(shape)], on_event=stop)


def test_a_layer_the_loss_does_not_see_scores_zero():
    class WithSpare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Linear(6, 3)
            self.spare = nn.Linear(6, 3)

        def forward(self, x):
            return self.used(x)

    scores = pe.score(seeded(WithSpare), [batch((6,))])
    assert not scores["spare.weight"].any()
    assert scores["used.weight"].all()


def test_hard_sigmoid_gates_are_differentiated_twice():
    """torch cannot; and MobileNetV3 is what people try first."""

    class Smooth(nn.Module):
        def forward(self, x):
            return nn.functional.relu6(x + 3) / 6

    def make(gate):
        return nn.Sequential(nn.Linear(6, 8), gate(), nn.Hardswish(), nn.Linear(8, 3))

    model, (x, y) = seeded(lambda: make(nn.Hardsigmoid)), batch((6,))
    expected = unrolled(seeded(lambda: make(Smooth)), [(x, y)], steps=2, lr=0.3)
    scores = pe.score(model, [(x, y)], steps=2, lr=0.3)
    for name, values in scores.items():
        signed = dict(model.named_parameters())[name] * expected[name]
        torch.testing.assert_close(values, signed.abs(), rtol=1e-9, atol=1e-14)


def test_an_operation_without_second_derivative_is_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.b(Once.apply(self.a(x)))

    with pytest.raises(ScoringError, match="set order to 'first'"):
        pe.score(seeded(Net), [batch((6,))])
    assert pe.score(seeded(Net), [batch((6,))], order="first")["a.weight"].any()


def test_bad_models_and_batches_are_answered_with_a_sentence():
    make, shape = NETWORKS["no normalisation"]
    model, (x, y) = seeded(make), batch(shape)
    with pytest.raises(DataError, match="sequence of batches"):
        pe.score(model, (x, y))
    with pytest.raises(DataError, match="no calibration batch"):
        pe.score(model, [])
    with pytest.raises(DataError, match="8 inputs and 3 labels"):
        pe.score(model, [(x, y[:3])])
    with pytest.raises(DataError, match="3 classes"):
        pe.score(model, [(x, y + 5)])
    with pytest.raises(DataError, match=r"labels are torch\.bool"):
        pe.score(model, [(x, y > 1)])
    with pytest.raises(DataError, match="class index"):
        pe.score(model, [(x, y[:, None])])
    with pytest.raises(DataError, match="probabilities of"):
        pe.score(model, [(x, y.double())])
    with pytest.raises(DataError, match="batch axis"):
        pe.score(model, [(torch.tensor(1.0), torch.tensor(1))])
    with pytest.raises(DataError, match="sequence of"):
        pe.score(model, None)
    with pytest.raises(ModelError, match="give a torch"):
        pe.score(lambda x: x, [(x, y)])
    assert pe.score(model, [(x, y.int())])["1.weight"].any()
    with pytest.raises(DataError, match="pair"):
        pe.score(model, [(x, y, x)])
    with pytest.raises(ModelError, match="cannot take a batch of shape"):
        pe.score(model, [(x[:, :1], y)])
    with pytest.raises(ModelError, match="nothing to prune"):
        pe.score(nn.Sequential(nn.Flatten(), nn.LayerNorm(8)), [(x, y)])
    with pytest.raises(ModelError, match="lazy"):
        pe.score(nn.Sequential(nn.LazyLinear(3)), [(x, y)])
    normed = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)))
    with pytest.raises(ModelError, match="parametrization"):
        pe.score(normed, [(x, y)])
    with pytest.raises(ConfigError, match="did you mean 'prospr'"):
        pe.score(model, [(x, y)], method="prosper")
    with pytest.raises(ConfigError, match="no option 'step'"):
        pe.score(model, [(x, y)], step=3)
    with pytest.raises(ConfigError, match=r"at most 0\.9999"):
        pe.score(model, [(x, y)], momentum=1.0)
    with pytest.raises(ConfigError, match="precision"):
        pe.score(model, [(x, y)], precision="half")


def test_scores_that_are_not_finite_refuse_to_become_masks():
    make, shape = NETWORKS["no normalisation"]
    x, y = batch(shape)
    scores = pe.score(seeded(make), [(x * 1e200, y)], steps=3, lr=100.0)
    assert scores.diagnostics.non_finite > 0
    assert not scores.diagnostics.trusted
    assert "NaN or infinite" in scores.diagnostics.verdict
    with pytest.raises(ScoringError, match="NaN or infinite"):
        scores.masks(0.5)


def test_growth_is_that_of_the_adjoint():
    make, shape = NETWORKS["batch norm"]
    model, batches = seeded(make), [batch(shape)]
    diagnostics = pe.score(model, batches, steps=2).diagnostics
    assert len(diagnostics.adjoint_norms) == len(diagnostics.losses) == 3
    # λ⁰ = ∂L/∂θ⁰, which plain unrolling gives too.
    gradient = unrolled(seeded(make), batches, steps=2, lr=0.1)
    length = torch.cat([g.flatten() for g in gradient.values()]).norm().item()
    assert diagnostics.adjoint_norms[-1] == pytest.approx(length, rel=1e-9)
    assert diagnostics.growth == pytest.approx(length / diagnostics.adjoint_norms[0], rel=1e-9)
