"""Networks in no zoo are cut and equal, or refused with a sentence; never cut and wrong."""

from __future__ import annotations

import copy

import pytest
import torch
from structured_networks import CUT, REFUSED
from structured_scores import drawn

from prospr_engine.errors import ModelError
from prospr_engine.structured.check import cuttable, problem
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.shrink import shrink
from prospr_engine.structured.surgery import masked, replay


def built(make, shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
        return network, torch.randn(3, *shape, dtype=next(network.parameters()).dtype)


@pytest.mark.parametrize("name", CUT)
def test_only_what_can_go_is_offered(name):
    make, shape, expected = CUT[name]
    network, x = built(make, shape)
    groups, _ = cuttable(network, find_groups(network, x), x)
    assert {group.name for group in groups} == expected


@pytest.mark.parametrize("name", [name for name in CUT if CUT[name][2]])
def test_the_small_network_answers_like_the_masked_large_one(name):
    make, shape, expected = CUT[name]
    network, x = built(make, shape)
    state = copy.deepcopy(network.state_dict())
    layers = dict.fromkeys(expected, 0.4)  # the share of the whole that can go differs
    shrunk = shrink(network, x, drawn(network), "norm", 0, multiple=1, layers=layers)
    assert shrunk.parameters.after < shrunk.parameters.before
    small, zeroed = shrunk.network.eval(), copy.deepcopy(network)
    shrunk.masks.apply_to(zeroed)
    with torch.no_grad():
        answers = small(x)
        for large in (masked(network, shrunk.groups, shrunk.kept), zeroed):
            torch.testing.assert_close(large.eval()(x), answers, rtol=1e-5, atol=1e-6)
        # Built again, the same surgery, the same weights.
        again = replay(built(make, shape)[0], shrunk.removed, x)
        again.load_state_dict(small.state_dict())
        assert torch.equal(again.eval()(x), answers)
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    # Its layers say what they are.
    for module in small.modules():
        if isinstance(module, torch.nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
        elif isinstance(module, torch.nn.Conv2d):
            assert module.weight.shape[0] == module.out_channels
            assert module.weight.shape[1] * module.groups == module.in_channels
    # And it trains.
    small.train()(x).sum().backward()


def shrink_by_chance(network, x):
    return shrink(network, x, drawn(network), "chance", 0.5, multiple=1)


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_cannot_be_cut_is_refused_with_a_sentence(name):
    make, shape, message = REFUSED[name]
    network, x = built(make, shape)
    with pytest.raises(ModelError, match=message):
        shrink_by_chance(network, x)


def test_wrong_groups_are_noticed_whatever_the_weights_hide():
    make, shape, _ = CUT["tiny scale"]
    network, x = built(make, shape)
    (group,) = find_groups(network, x)
    kept = {group.name: torch.arange(16) % 2 == 0}
    assert problem(network, [group], kept, x) is None
    reader = next(part for part in group.slices if part.tensor == "b.0.weight" and part.axis == 1)
    reader.indices.copy_(reader.indices.flip(0))  # the branch is scaled by a millionth
    assert problem(network, [group], kept, x) == (
        "layer 'b.0' (Conv2d) would compute something else"
    )
