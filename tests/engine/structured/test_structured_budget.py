"""Budgets, measured again on the network that was cut."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from structured_networks import CUT, IMAGE, mixed
from structured_scores import drawn
from torch import nn

from prospr_engine.errors import ConfigError
from prospr_engine.models.build import build
from prospr_engine.network.flops import costs
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.budget import check_budget, choose
from prospr_engine.structured.cost import BUDGETS, Cost, layer_sizes
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.shrink import shrink
from prospr_engine.structured.surgery import cut

SHAPE = (3, 8, 8)
NETWORKS = {
    "resnet20": lambda: build("resnet20", SHAPE, 10, 0),
    "small_cnn": lambda: build("small_cnn", SHAPE, 10, 0),
    "lenet5": lambda: build("lenet5", SHAPE, 10, 0),
    "mixed": mixed,
    "depthwise": CUT["depthwise"][0],
    "grouped": CUT["grouped"][0],
    "transposed, grouped": CUT["transposed, grouped"][0],
}


def measured(network, groups, budget):
    """What the network really has of it."""
    if budget == "operations":
        return sum(layer.macs for layer in costs(network, SHAPE).layers)
    if budget == "parameters":
        return sum(network.get_parameter(name).numel() for name in prunable_weights(network))
    made = {producer.layer for group in groups for producer in group.producers}
    widths = [network.get_submodule(layer) for layer in made]
    return sum(m.out_features if isinstance(m, nn.Linear) else m.out_channels for m in widths)


class Case:
    def __init__(self, name):
        self.network = NETWORKS[name]()
        self.groups = find_groups(self.network, torch.zeros(1, *SHAPE))
        self.sizes = layer_sizes(self.network, SHAPE)
        self.scores = {
            group.name: torch.rand(group.channels, generator=torch.Generator().manual_seed(i))
            for i, group in enumerate(self.groups)
        }

    def choose(self, sparsity, budget="parameters", multiple=8, layers=None):
        return choose(self.groups, self.scores, self.sizes, sparsity, budget, multiple, layers)

    def counts(self, kept):
        return np.array([int(kept[group.name].sum()) for group in self.groups], float)


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    return Case(request.param)


@pytest.fixture(scope="module")
def resnet():
    return Case("resnet20")


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.7])
def test_a_budget_is_met_and_used(case, budget, sparsity):
    kept = case.choose(sparsity, budget, multiple=1)
    small = cut(case.network, case.groups, kept)
    before = measured(case.network, case.groups, budget)
    after = measured(small, case.groups, budget)
    assert after <= (1 - sparsity) * before
    # No group can keep one channel more.
    cost = Cost(case.groups, case.sizes, budget)
    counts = case.counts(kept)
    for column, group in enumerate(case.groups):
        assert kept[group.name].any()
        if counts[column] < group.channels:
            counts[column] += 1
            assert cost.of(counts) > (1 - sparsity) * before
            counts[column] -= 1
    if not sparsity:
        assert after == before


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_size_is_known_without_cutting(case, budget):
    cost = Cost(case.groups, case.sizes, budget)
    assert cost.total == measured(case.network, case.groups, budget)
    kept = case.choose(0.4, budget, multiple=1)
    small = cut(case.network, case.groups, kept)
    assert cost.of(case.counts(kept)) == measured(small, case.groups, budget)


@pytest.mark.parametrize("multiple", [2, 4, 8])
def test_wide_layers_keep_multiples(case, multiple):
    kept = case.choose(0.3, multiple=multiple)
    small = cut(case.network, case.groups, kept)
    for group in case.groups:
        layer = case.network.get_submodule(group.producers[0].layer)
        width = group.channels * group.width
        if width >= 2 * multiple and isinstance(layer, nn.Conv2d):
            stays = int(kept[group.name].sum()) * group.width
            assert stays % multiple == 0 or stays == width
    assert measured(small, case.groups, "parameters") <= 0.7 * measured(
        case.network, case.groups, "parameters"
    )


def test_channels_are_nested_and_fewer_at_higher_sparsities(resnet):
    before, last = None, None
    for sparsity in (0.0, 0.2, 0.4, 0.6, 0.8, 0.95):
        kept = resnet.choose(sparsity, multiple=1)
        size = Cost(resnet.groups, resnet.sizes, "parameters").of(resnet.counts(kept))
        if before is not None:
            assert size < last
            for name, mask in kept.items():
                some, others = sorted((mask, before[name]), key=lambda m: int(m.sum()))
                assert (some & others).equal(some)
        before, last = kept, size


def test_the_best_channels_stay_and_equal_ones_from_the_front(resnet):
    flat = {name: torch.zeros_like(values) for name, values in resnet.scores.items()}
    kept = choose(resnet.groups, flat, resnet.sizes, 0.5, multiple=1)
    for mask in kept.values():
        assert mask.sort(descending=True, stable=True).values.equal(mask)


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_budget_that_cannot_be_met_says_what_is_the_least(resnet, budget):
    with pytest.raises(ConfigError, match=r"keeps at least [\d.]+ % of them") as failure:
        resnet.choose(0.99, budget)
    assert "smaller multiples" in str(failure.value)
    least = float(re.search(r"at least ([\d.]+) %", str(failure.value))[1]) / 100
    most = float(re.search(r"a sparsity of ([\d.]+) \(", str(failure.value))[1])
    assert most == round(1 - least, 6)
    resnet.choose(most, budget)
    check_budget(resnet.groups, resnet.sizes, most, budget)
    with pytest.raises(ConfigError, match=re.escape(str(failure.value))):
        check_budget(resnet.groups, resnet.sizes, 0.99, budget)
    with pytest.raises(ConfigError, match="at least"):
        resnet.choose(round(1 - least + 0.002, 6), budget)


def test_layers_can_be_kept_dense_or_given_a_share(resnet):
    layers = {"stage3.0.conv1": "dense", "stage2.1.conv1.weight": 0.75, "fc": "dense"}
    kept = resnet.choose(0.5, multiple=1, layers=layers)
    assert kept["stage3.0.conv1"].all()
    assert int(kept["stage2.1.conv1"].sum()) == 8
    small = cut(resnet.network, resnet.groups, kept)
    total = measured(resnet.network, resnet.groups, "parameters")
    assert 0.49 * total < measured(small, resnet.groups, "parameters") <= 0.5 * total
    kept = resnet.choose(0.0, layers={"stage2.1.conv1": 0.7})
    assert int(kept["stage2.1.conv1"].sum()) == 8  # a multiple, and no more than 0.3 · 32
    kept = resnet.choose(0.0, layers={"stage2.1.conv1": 0.9})
    assert int(kept["stage2.1.conv1"].sum()) == 3  # less than a block was asked for
    kept = resnet.choose(0.0, layers={"stage2.1.conv1": 0.999})
    assert int(kept["stage2.1.conv1"].sum()) == 1


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"conv1": 0.5, "stage1.0.conv2": "dense"}, "share their channels, but 50 % of the one"),
        ({"conv1": 0.5, "stage1.0.conv2": 0.25}, "and 25 % of the other"),
        ({"fc": 0.5}, "No channels of layer 'fc' can be removed"),
    ],
)
def test_contradictions_are_sentences(resnet, layers, message):
    with pytest.raises(ConfigError, match=message):
        resnet.choose(0.3, layers=layers)
    with pytest.raises(ConfigError, match=message):
        check_budget(resnet.groups, resnet.sizes, 0.3, layers=layers)


def test_dense_layers_can_make_a_budget_impossible(resnet):
    with pytest.raises(ConfigError, match=r"keeps at least .* change what layers have") as failure:
        resnet.choose(0.9, multiple=1, layers={"stage3.0.conv2": "dense", "stage3.1.conv1": 0.0})
    assert "multiples" not in str(failure.value)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, float("nan"), "half"])
def test_sparsities_out_of_range_are_refused(resnet, sparsity):
    with pytest.raises(ConfigError):
        resnet.choose(sparsity)


@pytest.mark.parametrize("multiple", [0, -8, 2.5, "8", None])
def test_multiples_out_of_range_are_refused(resnet, multiple):
    with pytest.raises(ConfigError, match="whole number from 1"):
        resnet.choose(0.5, multiple=multiple)


def test_unknown_budgets_are_refused(resnet):
    with pytest.raises(ConfigError, match="did you mean 'channels'"):
        resnet.choose(0.5, "channel")


def test_a_large_block_takes_the_place_of_small_ones_if_much_would_be_unused():
    case = Case("lenet5")
    # The second convolution has 16 channels: the best of the others leave no room for its second
    # block of eight, which is 38 % of all weights.
    case.scores["4"] = case.scores["4"] / 100
    kept = case.choose(0.3)
    small = cut(case.network, case.groups, kept)
    share = measured(small, case.groups, "parameters") / measured(
        case.network, case.groups, "parameters"
    )
    assert 0.65 < share <= 0.7


def test_shrink_reports_what_it_did():
    network = mixed()
    x = torch.zeros(1, *IMAGE)
    shrunk = shrink(network, x, drawn(network), "norm", 0.5, "operations", multiple=1)
    assert shrunk.operations.after == measured(shrunk.network, shrunk.groups, "operations")
    assert shrunk.operations.before == measured(network, shrunk.groups, "operations")
    assert shrunk.operations.after <= 0.5 * shrunk.operations.before
    assert shrunk.parameters.after == measured(shrunk.network, shrunk.groups, "parameters")
    widths = {width.layer: (width.before, width.after) for width in shrunk.widths}
    assert list(widths) == ["a.0", "b.0", "c.0", "d.0", "head.2"]
    for layer, (before, after) in widths.items():
        assert network.get_submodule(layer).weight.shape[0] == before
        assert shrunk.network.get_submodule(layer).weight.shape[0] == after
    assert widths["head.2"] == (4, 4)
    assert {name: mask.numel() for name, mask in shrunk.masks.items()} == {
        name: network.get_parameter(name).numel() for name in prunable_weights(network)
    }
