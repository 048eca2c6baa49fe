"""Which channels are tied, by what is known of the networks."""

from __future__ import annotations

import cProfile
import importlib
import sys
import threading
import time

import pytest
import torch
from structured_networks import IMAGE, Written, block, chain, head
from torch import nn

from prospr_engine.errors import ModelError
from prospr_engine.models import MODELS
from prospr_engine.models.build import build
from prospr_engine.models.outline import outline
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.deadline import DeadlineError, deadline
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.shrink import Structure

SHAPE = (3, 16, 16)


def groups_of(network, shape=SHAPE):
    return {g.name: g for g in find_groups(network, torch.zeros(1, *shape))}


def layers(group):
    return [producer.layer for producer in group.producers]


@pytest.mark.parametrize("name", [*MODELS, "torchvision/shufflenet_v2_x1_0"])
def test_a_network_without_numbers_has_the_same_groups(name):
    def read(network):
        found = Structure.of(network, torch.zeros(1, *SHAPE))
        return found.sizes, [
            (
                g.name,
                g.channels,
                *(part for p in (g.producers, g.slices, g.bare) for part in plain(p)),
            )
            for g in found.groups
        ]

    def plain(parts):
        for part in parts:
            yield [v.tolist() if isinstance(v, torch.Tensor) else v for v in vars(part).values()]

    outlined = outline(name, SHAPE, 10)
    assert all(parameter.is_meta for parameter in outlined.parameters())
    assert read(outlined) == read(build(name, SHAPE, 10, 0))


@pytest.mark.parametrize("name", MODELS)
def test_a_group_is_whole_and_no_channel_is_in_two(name):
    network = build(name, SHAPE, 10, 0)
    modules = dict(network.named_modules())
    groups = groups_of(network)
    order = [*modules]
    assert [order.index(layers(g)[0]) for g in groups.values()] == sorted(
        order.index(layers(g)[0]) for g in groups.values()
    )
    seen = {}
    for group in groups.values():
        assert group.name == layers(group)[0] or group.name.startswith(f"{layers(group)[0]}#")
        for producer in group.producers:
            assert producer.channels.shape[0] == group.channels
            seen.setdefault(producer.layer, []).append(producer.channels.flatten())
        for part in group.slices:
            tensor = network.state_dict()[part.tensor]
            assert part.indices.shape[0] == group.channels
            assert len(part.indices.unique()) == part.indices.numel()
            assert 0 <= part.indices.min() <= part.indices.max() < tensor.shape[part.axis]
            # Whatever belongs to a layer that makes the channels does too, and only that.
            layer = part.tensor.rpartition(".")[0]
            if layer in layers(group):
                reads = part.axis == 1
                assert part.produces == (not reads)
    # In these networks every channel can go, but for the outputs.
    for path in (name.rpartition(".")[0] for name in prunable_weights(network)):
        width = modules[path].weight.shape[0]
        if width == 10:
            assert path not in seen
        else:
            assert sorted(torch.cat(seen[path]).tolist()) == [*range(width)]


def test_residual_sums_tie():
    groups = groups_of(build("resnet18", SHAPE, 10, 0))
    assert layers(groups["conv1"]) == ["conv1", "layer1.0.conv2", "layer1.1.conv2"]
    assert layers(groups["layer2.0.conv2"]) == [
        "layer2.0.conv2", "layer2.0.downsample.0", "layer2.1.conv2",
    ]  # fmt: skip
    assert layers(groups["layer2.0.conv1"]) == ["layer2.0.conv1"]
    readers = {p.tensor for p in groups["conv1"].slices if not p.produces}
    assert readers == {
        "layer1.0.conv1.weight", "layer1.1.conv1.weight", "layer2.0.conv1.weight",
        "layer2.0.downsample.0.weight",
    }  # fmt: skip
    norms = {p.tensor for p in groups["layer2.0.conv1"].slices if "bn1" in p.tensor}
    assert norms == {
        f"layer2.0.bn1.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }


def test_padded_shortcuts_tie_the_middle_of_the_wider_stage():
    groups = groups_of(build("resnet20", SHAPE, 10, 0))
    first = groups["conv1"]
    assert first.channels == 16
    places = {p.layer: p.channels[:, 0].tolist() for p in first.producers}
    assert places["conv1"] == [*range(16)]
    assert places["stage2.0.conv2"] == [*range(8, 24)]
    assert places["stage3.2.conv2"] == [*range(24, 40)]
    new = groups["stage2.0.conv2"]
    assert new.producers[0].channels[:, 0].tolist() == [*range(8), *range(24, 32)]
    assert groups["stage3.0.conv2"].channels == 32


def test_flattening_gives_a_channel_many_inputs():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 49, 5)
    )
    (group,) = groups_of(network).values()
    reader = next(part for part in group.slices if part.tensor == "4.weight")
    assert reader.indices.tolist() == [[*range(49 * i, 49 * i + 49)] for i in range(4)]


def test_concatenations_shift_and_channels_last_interleave():
    def forward(m, x):
        joined = torch.cat([m.a(x), m.b(x)], 1)
        return m.head(joined.permute(0, 2, 3, 1).flatten(1))

    network = Written(
        forward, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 6, 1), head=nn.Linear(10 * 64, 4)
    )
    groups = groups_of(network, IMAGE)
    reader = next(part for part in groups["b"].slices if part.tensor == "head.weight")
    assert reader.indices[2].tolist() == [*range(6, 640, 10)]


def test_grouped_convolutions_lose_the_same_places_of_all_groups():
    network = chain(block(3, 16), block(16, 24, groups=4), last=24)
    groups = groups_of(network, IMAGE)
    assert groups["0.0"].producers[0].channels.tolist() == [
        [i, i + 4, i + 8, i + 12] for i in range(4)
    ]
    reader = next(part for part in groups["0.0"].slices if part.tensor == "1.0.weight")
    assert (reader.axis, reader.indices.tolist()) == (1, [[0], [1], [2], [3]])
    assert groups["1.0"].width == 4


def test_depthwise_convolutions_make_and_read():
    network = chain(block(3, 8), block(8, 16, groups=8), last=16)
    (group,) = groups_of(network, IMAGE).values()
    assert layers(group) == ["0.0", "1.0"]
    assert group.producers[1].channels.tolist() == [[2 * i, 2 * i + 1] for i in range(8)]
    (own,) = (part for part in group.slices if part.tensor == "1.0.weight")
    assert (own.axis, own.produces) == (0, True)


def test_a_layer_that_makes_channels_of_several_groups_has_numbered_ones():
    def forward(m, x):
        a = m.a(x)
        return m.head(torch.cat([m.b(x), a], 1) + m.c(a))

    network = Written(forward, a=block(3, 8), b=block(3, 8), c=block(8, 16), head=head(16))
    groups = groups_of(network, IMAGE)
    assert {name: layers(group) for name, group in groups.items()} == {
        "a.0": ["a.0", "c.0"], "b.0": ["b.0", "c.0"],
    }  # fmt: skip
    halves = Written(
        lambda m, x: m.head(torch.cat([m.b(m.a(x)[:, :, ::2]), m.b(m.a(x)[:, :, 1::2])], 1)),
        a=block(3, 8), b=block(8, 8), head=head(16),
    )  # fmt: skip
    assert [*groups_of(halves, IMAGE)] == ["a.0", "b.0"]


def test_the_network_comes_back_untouched():
    network = build("resnet20", SHAPE, 10, 0).train()
    forwards = [vars(module).get("forward") for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    groups_of(network)
    assert network.training
    assert forwards == [vars(module).get("forward") for module in network.modules()]
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


class Endless(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        while True:
            x = self.layer(x)


def test_tracing_has_a_time_limit_in_any_thread():
    found = []

    def search():
        try:
            find_groups(Endless(), torch.zeros(1, 4), seconds=0.2)
        except ModelError as error:
            found.append(str(error))

    for thread in (threading.Thread(target=search), None):
        if thread is None:
            search()
        else:
            thread.start()
            thread.join(60)
    assert len(found) == 2
    assert found[0].startswith("Finding out which channels of this network belong together took")


def test_a_deadline_ends_with_its_block():
    with deadline(60):
        sum(range(10))
    with pytest.raises(DeadlineError), deadline(0):
        time.time()
    assert sys.getprofile() is None


SLOW = """
import time
def wait(): time.sleep(0.02)
for _ in range(10): wait()
DONE = True
"""


def test_a_deadline_leaves_no_half_of_a_module(tmp_path, monkeypatch):
    """As when a busy server imports for the first time what tracing needs."""
    (tmp_path / "slow_module.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DeadlineError), deadline(0.05):
        importlib.import_module("slow_module")
    assert sys.modules.pop("slow_module").DONE


def test_a_deadline_holds_in_what_is_being_imported(tmp_path, monkeypatch):
    (tmp_path / "tracing_module.py").write_text(
        "import sys, time\n"
        "from prospr_engine.structured.deadline import DeadlineError, deadline\n"
        "try:\n"
        "    with deadline(0): time.time()\n"
        "    ENDED = False\n"
        "except DeadlineError:\n"
        "    ENDED = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module("tracing_module").ENDED
    sys.modules.pop("tracing_module")


def test_a_profiler_goes_before_a_deadline():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with deadline(0):
            time.time()
        assert sys.getprofile() is not None
    finally:
        profiler.disable()
