"""Cutting, zeroing, and repeating a cut."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from helpers import seeded
from structured_networks import CUT, IMAGE, block, chain, head, mixed
from torch import nn

from prospr_engine.errors import DataError, ModelError
from prospr_engine.models.build import build
from prospr_engine.network.padding import ChannelPadding
from prospr_engine.structured.check import check_equal
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.surgery import cut, kept_of, masked, masks, removed, replay


@pytest.fixture
def case():
    network = seeded(mixed).float()
    x = torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(0))
    groups = find_groups(network, x)
    kept = {
        "a.0": torch.arange(16) % 3 != 1,
        "c.0": torch.arange(24) < 10,
    }
    return network, x, groups, kept


def test_weights_are_taken_from_the_places_that_stay(case):
    network, _, groups, kept = case
    small = cut(network, groups, kept)
    a, c = (mask.nonzero()[:, 0] for mask in kept.values())
    both = torch.cat([a, c + 16])
    assert torch.equal(small.a[0].weight, network.a[0].weight[a])
    assert torch.equal(small.b[0].weight, network.b[0].weight[a][:, a])
    assert torch.equal(small.c[0].weight, network.c[0].weight[c][:, a])
    assert torch.equal(small.d[0].weight, network.d[0].weight[both][:, both])
    assert torch.equal(small.d[1].running_var, network.d[1].running_var[both])
    assert torch.equal(small.head[2].weight, network.head[2].weight[:, both])
    assert torch.equal(small.head[2].bias, network.head[2].bias)


def test_masks_keep_what_both_channels_keep(case):
    network, _, groups, kept = case
    found = masks(network, groups, kept)
    a, c = kept.values()
    both = torch.cat([a, c])
    assert torch.equal(
        found["b.0.weight"], (a[:, None] & a).view(16, 16, 1, 1).expand(16, 16, 3, 3)
    )
    assert torch.equal(found["c.0.weight"][:, :, 1, 2], c[:, None] & a)
    assert torch.equal(found["head.2.weight"], both.expand(4, 40))
    assert found.kept == sum(
        p.numel() for name, p in cut(network, groups, kept).named_parameters() if name in found
    )


def test_the_masked_network_makes_nothing_of_removed_channels(case):
    network, x, groups, kept = case
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.bias)
        norm.running_mean.uniform_(-1, 1)
    large = masked(network, groups, kept).eval()
    a = large.a(x)
    b = large.b(a) + a
    both = torch.cat([b, large.c(b)], 1)
    for values, stays in ((b, kept["a.0"]), (both, torch.cat([*kept.values()]))):
        assert not values[:, ~stays].any()
        assert values[:, stays].any()


def test_a_cut_network_is_like_any_other(case):
    network, x, groups, kept = case
    network.a[0].weight.requires_grad_(False)
    network(x).sum().backward()
    network.b.eval()
    small = cut(network, groups, kept)
    assert not small.a[0].weight.requires_grad
    assert small.b[0].weight.requires_grad
    assert all(p.grad is None for p in small.parameters())
    assert (small.training, small.b.training) == (True, False)
    assert all(isinstance(p, nn.Parameter) for p in small.parameters())
    assert all(p.is_contiguous() for p in small.parameters())
    assert network.b[0].weight.grad is not None


def test_nothing_removed_changes_nothing(case):
    network, x, groups, _ = case
    small = cut(network, groups, {})
    assert torch.equal(small.eval()(x), network.eval()(x))
    assert removed(groups, {}) == {}
    assert replay(network, {}, x) is network


def test_a_cut_can_be_repeated_from_what_was_removed(case):
    network, x, groups, kept = case
    gone = removed(groups, kept)
    assert gone["a.0"] == gone["b.0"] == (1, 4, 7, 10, 13)
    assert gone["c.0"] == tuple(range(10, 24))
    assert gone["d.0"] == (1, 4, 7, 10, 13, *range(26, 40))
    assert all(torch.equal(mask, kept[name]) for name, mask in kept_of(groups, gone).items())
    small = cut(network, groups, kept)
    again = replay(mixed(), gone, torch.zeros(1, *IMAGE))
    again.load_state_dict(small.state_dict())
    assert torch.equal(again.eval()(x), small.eval()(x))


@pytest.mark.parametrize(
    "gone",
    [
        {"a.0": (0,)},  # and not from b, which is tied to it
        {"a.0": (0,), "b.0": (0,), "d.0": (1,)},
        {"head.2": (0,)},
        {"unknown": (0,)},
        {"a.0": (99,), "b.0": (99,), "d.0": (99,)},
        {"a.0": (-1,), "b.0": (-1,), "d.0": (-1,)},
        {"a.0": tuple(range(16)), "b.0": tuple(range(16)), "d.0": tuple(range(16))},
    ],
    ids=["untied", "other place", "output", "no layer", "too large", "negative", "all"],
)
def test_what_does_not_fit_the_network_is_refused(gone):
    with pytest.raises(DataError, match=r"do not fit this network|all channels of a layer"):
        replay(mixed(), gone, torch.zeros(1, *IMAGE))


def test_cutting_works_in_any_thread_at_once():
    networks = [seeded(mixed, seed).float() for seed in range(4)]
    found = {}

    def shrink(number):
        x = torch.zeros(1, *IMAGE)
        groups = find_groups(networks[number], x)
        kept = {group.name: torch.arange(group.channels) % 2 == 0 for group in groups}
        check_equal(networks[number], groups, kept, x)
        found[number] = cut(networks[number], groups, kept)

    threads = [threading.Thread(target=shrink, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: small.d[0].weight.shape[0] for number, small in found.items()} == dict.fromkeys(
        range(4), 20
    )


def _wrong(part):
    """Each row one place further."""
    part.indices.copy_(part.indices.roll(1, 0))


@pytest.mark.parametrize("tensor", ["b.0.weight", "d.1.running_mean", "d.1.bias", "head.2.weight"])
def test_a_wrong_cut_is_refused_with_the_layer(case, tensor):
    network, x, groups, kept = case
    check_equal(network, groups, kept, x)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    group = next(g for g in groups if g.name == "a.0")
    _wrong(next(part for part in group.slices if part.tensor == tensor))
    with pytest.raises(ModelError, match=r"Channels of layer 'a\.0' cannot be removed") as failure:
        check_equal(network, groups, kept, x)
    assert "remove single weights instead" in str(failure.value)
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["resnet20", "resnet32"])
def test_the_padded_shortcut_is_the_published_one(name):
    """The module does what the network did before it had one, to the last bit."""
    network = build(name, (3, 16, 16), 10, 0).eval()

    def stage(x, blocks):
        for one in blocks:
            out = one.bn2(one.conv2(F.relu(one.bn1(one.conv1(x)))))
            stride, new = one.conv1.stride[0], one.conv1.out_channels - one.conv1.in_channels
            if new:
                x = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, new // 2, new - new // 2))
            x = F.relu(out + x)
        return x

    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    out = F.relu(network.bn1(network.conv1(x)))
    for blocks in (network.stage1, network.stage2, network.stage3):
        out = stage(out, blocks)
    assert torch.equal(network(x), network.fc(network.pool(out).flatten(1)))
    assert not [key for key in network.state_dict() if "shortcut" in key]
    assert sum(isinstance(module, ChannelPadding) for module in network.modules()) == 2


def test_a_shortcut_loses_its_zeros():
    network = build("resnet20", (3, 8, 8), 10, 0)
    x = torch.zeros(1, 3, 8, 8)
    groups = find_groups(network, x)
    (new,) = (group for group in groups if group.name == "stage2.0.conv2")
    stays = torch.zeros(16, dtype=torch.bool)
    stays[[1, 2, 3, 12]] = True  # of 8 before the middle and 8 behind it
    small = cut(network, groups, {new.name: stays})
    shortcut = small.stage2[0].shortcut
    assert (shortcut.before, shortcut.after) == (3, 1)
    assert small.stage2[0].conv2.out_channels == 20
    assert (network.stage2[0].shortcut.before, network.stage2[0].shortcut.after) == (8, 8)
    check_equal(network, groups, {new.name: stays}, x)


def test_layers_without_tensors_of_their_width_are_renamed_too():
    network = CUT["batch norm without parameters"][0]()
    groups = find_groups(network, torch.zeros(1, *IMAGE))
    small = cut(network, groups, {"3": torch.arange(16) < 5})
    assert small[4].num_features == 5
    network = CUT["instance norm"][0]()
    groups = find_groups(network, torch.zeros(1, *IMAGE))
    assert cut(network, groups, {"3": torch.arange(16) < 5})[4].num_features == 5


def test_depthwise_convolutions_lose_groups():
    network = chain(block(3, 8), block(8, 16, groups=8), last=16)
    groups = find_groups(network, torch.zeros(1, *IMAGE))
    small = cut(network, groups, {"0.0": torch.arange(8) < 3})
    layer = small[1][0]
    assert (layer.in_channels, layer.out_channels, layer.groups) == (3, 6, 3)


def test_a_network_can_be_cut_again():
    network = nn.Sequential(block(3, 16), block(16, 16), head(16))
    x = torch.zeros(1, *IMAGE)
    for width in (8, 4):
        groups = find_groups(network, x)
        kept = {group.name: torch.arange(group.channels) < width for group in groups}
        check_equal(network, groups, kept, x)
        network = cut(network, groups, kept)
    assert network[1][0].weight.shape[:2] == (4, 4)
