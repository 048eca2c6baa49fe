"""What one mask entry per channel would change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import seeded
from structured_networks import CUT, IMAGE, Written, block, head, mixed
from structured_scores import PlainScores, drawn, snip
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, ScoringError
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.ranking import RULES, group_scores
from prospr_engine.structured.shrink import shrink


def batch(n=8):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, *IMAGE, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 4, (n,), generator=generator)


def gated(network, layers, x, y):
    """|∂L/∂g| of a gate g = 1 per channel behind each of ``layers``, the same for all."""
    with torch.no_grad():
        width = network(x) is not None and network.get_submodule(layers[0]).num_features
    gate = torch.ones(width, dtype=torch.float64, requires_grad=True)
    hooks = [
        network.get_submodule(layer).register_forward_hook(
            lambda module, args, output: output * gate.view(1, -1, 1, 1)
        )
        for layer in layers
    ]
    (effect,) = torch.autograd.grad(F.cross_entropy(network.train()(x), y), gate)
    for hook in hooks:
        hook.remove()
    return effect.abs()


def residual():
    return Written(
        lambda m, x: m.head(m.c(m.a(x) + m.b(m.a(x)))),
        a=nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
        b=nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)),
        c=block(16, 16),
        head=head(16),
    )


@pytest.mark.parametrize(
    ("group", "norms"), [("a.0", ["a.1", "b.1"]), ("c.0", ["c.1"])], ids=["tied", "alone"]
)
def test_the_effect_is_that_of_a_gate_behind_the_norm(group, norms):
    network = seeded(residual)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "weight" not in name:
                parameter.uniform_(-1, 1)  # shifts that matter
    x, y = batch()
    groups = find_groups(network, x)
    scores = snip(network, x, y)
    found = group_scores(groups, scores, "effect")[group]
    # Used twice, "a" runs twice: a gate behind each norm, the same for both runs.
    expected = gated(network, norms, x, y)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)
    # The filters alone are nothing: a batch norm undoes their scale.
    alone = PlainScores(scores.channels, {})
    alone.update(scores)
    filters = group_scores(groups, alone, "effect")[group]
    assert filters.max() < 1e-3 * found.max()


def test_the_effect_without_a_norm_is_that_of_a_gate_before_the_rectifier():
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(),
                                           nn.Linear(288, 4)))  # fmt: skip
    x, y = batch()
    scores = snip(network, x, y)
    found = group_scores(find_groups(network, x), scores, "effect")["0"]
    gate = torch.ones(8, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(network[1:](network[0](x) * gate.view(1, -1, 1, 1)), y)
    torch.testing.assert_close(found, torch.autograd.grad(loss, gate)[0].abs())


def test_the_norm_is_the_mean_size_of_the_weights_of_a_filter():
    network = seeded(mixed)
    x, _ = batch()
    scores = PlainScores()
    scores.update({name: network.get_parameter(name).abs() for name in prunable_weights(network)})
    groups = {group.name: group for group in find_groups(network, x)}
    found = group_scores([*groups.values()], scores, "norm")
    # a and b make channels 0 to 15 and d the same behind the concatenation.
    filters = [network.a[0].weight, network.b[0].weight, network.d[0].weight[:16]]
    size = sum(f.abs().flatten(1).sum(1) for f in filters) / sum(f[0].numel() for f in filters)
    torch.testing.assert_close(found["a.0"], size.detach())
    filters = [network.c[0].weight, network.d[0].weight[16:]]
    size = sum(f.abs().flatten(1).sum(1) for f in filters) / sum(f[0].numel() for f in filters)
    torch.testing.assert_close(found["c.0"], size.detach())


def test_chance_has_one_draw_for_each_channel():
    network = seeded(mixed)
    scores = drawn(network)
    groups = find_groups(network, batch()[0])
    found = group_scores(groups, scores, "chance")
    first = scores["a.0.weight"][:, 0, 0, 0]
    assert torch.equal(found["a.0"], first.double())


@pytest.mark.parametrize("name", ["transposed, grouped", "depthwise", "transposed, depthwise"])
@pytest.mark.parametrize("rule", RULES)
def test_every_channel_of_every_kind_of_layer_has_a_score(name, rule):
    make, shape, _ = CUT[name]
    network = make()
    found = group_scores(find_groups(network, torch.zeros(1, *shape)), drawn(network), rule)
    for values in found.values():
        assert len(values.unique()) == len(values)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("rule", RULES)
def test_scores_that_are_not_finite_are_refused_with_the_layer(rule, value):
    network = seeded(mixed)
    scores = drawn(network)
    scores["c.0.weight"][:, 0, 0, 0] = value
    scores.channels["c.0.weight"][0] = value
    with pytest.raises(ScoringError, match=r"layer 'c\.0' are not finite"):
        group_scores(find_groups(network, batch()[0]), scores, rule)


def test_missing_scores_and_unknown_rules_are_refused():
    network = seeded(mixed)
    groups = find_groups(network, batch()[0])
    scores = drawn(network)
    with pytest.raises(ConfigError, match="did you mean 'norm'"):
        group_scores(groups, scores, "nrom")
    del scores["b.0.weight"]
    with pytest.raises(ScoringError, match=r"no scores of 'b\.0\.weight'"):
        group_scores(groups, scores)


@pytest.mark.parametrize(
    ("method", "options", "rule"),
    [
        ("prospr", {"steps": 2, "lr": 0.05}, "effect"),
        ("prospr_first_order", {"steps": 2, "lr": 0.05}, "effect"),
        ("snip", {}, "effect"),
        ("magnitude", {}, "norm"),
        ("random", {}, "chance"),
    ],
)
def test_every_criterion_meets_the_same_contract(method, options, rule):
    network = seeded(residual).float()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x, y = batch()
    scores = pe.score(network, [(x.float(), y)], method, **options)
    some = shrink(network, x.float(), scores, rule, 0.5, multiple=1)
    again = shrink(network, x.float(), scores, rule, 0.5, multiple=1)
    assert some.removed == again.removed  # deterministic
    assert 0.4 < some.parameters.after / some.parameters.before <= 0.5
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    for group in some.groups:
        kept, values = some.kept[group.name], some.scores[group.name]
        assert kept.any()
        assert kept.all() or values[kept].min() >= values[~kept].max()
