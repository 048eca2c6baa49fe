"""What holds for every criterion of the table, whatever the network, the seed and the sparsity."""

from __future__ import annotations

import functools
import itertools
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from helpers import NETWORKS, batch, seeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.events import Progress

ONE_SHOT = [name for name, spec in pe.METHODS.items() if not spec.iterative]
ITERATIVE = [name for name, spec in pe.METHODS.items() if spec.iterative]
DRAWN = [n for n, spec in pe.METHODS.items() if any(o.name == "seed" for o in spec.options)]

MORE = {
    "grouped and dilated": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 3, groups=4, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 8, 3, groups=8, dilation=2, padding=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3, bias=False),
        ),
        (4, 6, 6),
    ),
    "one layer": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(8, 3)), (2, 2, 2)),
}  # fmt: skip
NETS = {**NETWORKS, **MORE}
quickly = functools.partial(
    settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
methods, networks = st.sampled_from(list(pe.METHODS)), st.sampled_from(list(NETS))
sparsities = st.integers(0, 980).map(lambda number: number / 1000)


def scored(model, batches, method, sparsity=0.8, floor=0, **options) -> pe.Scores:
    """``pe.score`` with what the criterion needs, in few rounds."""
    if pe.METHODS[method].iterative:
        options = {"rounds": 4, "sparsity": sparsity, "layer_floor": floor} | options
    return pe.score(model, batches, method, **options)


def state_of(model: nn.Module) -> list[Any]:
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    required = [p.requires_grad for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()]
    noise = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()
    return [tensors, gradients, required, modes, hooks, noise]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)
    return bool(a == b)


@quickly(max_examples=150)
@given(methods, networks, sparsities, st.integers(0, 2**31), st.booleans(), st.booleans())
def test_scores_are_finite_repeatable_exact_in_count_and_harmless(
    method, network, sparsity, seed, double, training
):
    make, shape = NETS[network]
    model = seeded(make, seed).train(training)
    dtype = torch.float64 if double else torch.float32
    model.to(dtype)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    next(model.parameters()).requires_grad_(False)
    batches = [batch(shape, seed=i, dtype=dtype) for i in range(2)]
    before = state_of(model)
    scores = scored(model, batches, method, sparsity)
    assert all(map(same, before, state_of(model)))

    again = scored(model, batches, method, sparsity)
    parameters = dict(model.named_parameters())
    assert list(scores) == list(scores.channels) == [n for n in parameters if n in scores]
    for name, values in scores.items():
        assert values.shape == parameters[name].shape
        assert values.isfinite().all()
        assert not values.requires_grad
        assert values.is_contiguous()
        assert torch.equal(values, again[name])
    masks = scores.masks(sparsity)
    total = sum(values.numel() for values in scores.values())
    assert masks.kept == math.ceil(total * (1 - Fraction(str(sparsity))))


@quickly(max_examples=60)
@given(st.sampled_from(ONE_SHOT), networks, st.lists(sparsities, min_size=2, max_size=4))
def test_one_ranking_gives_nested_masks(method, network, several):
    make, shape = NETS[network]
    scores = scored(seeded(make), [batch(shape)], method)
    chain = [scores.masks(sparsity) for sparsity in sorted(several)]
    for looser, tighter in itertools.pairwise(chain):
        assert not any((tighter[name] & ~looser[name]).any() for name in scores)


@quickly(max_examples=60)
@given(st.sampled_from(ITERATIVE), networks, sparsities, st.integers(0, 3))
def test_pruning_towards_a_target_holds_there_alone(method, network, sparsity, floor):
    make, shape = NETS[network]
    model, batches = seeded(make), [batch(shape)]
    try:
        scores = scored(model, batches, method, sparsity, floor)
    except ConfigError:  # the floors alone are too many
        with pytest.raises(ConfigError, match=f"A floor of {floor}"):
            pe.score(model, method="magnitude").masks(sparsity, floor)
        return
    masks = scores.masks(sparsity, floor)
    assert scores.target == (sparsity, floor)
    assert all(stats.kept >= min(floor, stats.total) for stats in masks.layers)
    for elsewhere in ((0.985, floor), (sparsity, floor + 1)):
        with pytest.raises(ConfigError, match="step by step towards a sparsity of"):
            scores.masks(*elsewhere)
    if method != "force" and scores.diagnostics.trusted:
        # Whoever cuts by score alone picks what is left first.
        lowest = min(scores[name][mask].min() for name, mask in masks.items() if mask.any())
        tiny = torch.finfo(next(iter(scores.values())).dtype).tiny
        assert lowest >= tiny
        assert all((values >= 0).all() for values in scores.values())


@pytest.mark.parametrize("method", pe.METHODS)
def test_progress_never_falls_and_reaches_the_end(method):
    make, shape = NETS["batch norm"]
    heard: list[Progress] = []
    scored(seeded(make), [batch(shape)], method, on_event=heard.append)
    done, totals = [event.done for event in heard], {event.total for event in heard}
    assert done == sorted(set(done))
    assert len(totals) == 1
    assert done[-1] == max(totals)
    if pe.METHODS[method].iterative:
        assert done == [0, 1, 2, 3, 4]
        assert heard[1].text == "Round 2 of 4"
        assert {event.unit for event in heard} == {"rounds"}


@pytest.mark.parametrize(
    "method", [n for n, s in pe.METHODS.items() if s.needs_data or s.iterative]
)
def test_a_listener_that_raises_stops_it_in_the_middle(method):
    class Enough(Exception):  # noqa: N818
        pass

    make, shape = NETS["batch norm"]
    model, heard = seeded(make), []

    def stop(event):
        heard.append(event.done)
        if event.done == (2 if pe.METHODS[method].iterative else 0):
            raise Enough

    with pytest.raises(Enough):
        scored(model, [batch(shape)], method, on_event=stop)
    assert heard == ([0, 1, 2] if pe.METHODS[method].iterative else [0])
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("method", DRAWN)
def test_a_draw_follows_its_seed_and_nothing_else(method):
    make, shape = NETS["batch norm"]
    a = pe.score(seeded(make, 1), method=method, seed=5)
    b = pe.score(seeded(make, 2), [batch(shape)], method=method, seed=5)
    c = pe.score(seeded(make, 1), method=method, seed=6)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a)


def test_the_other_criteria_take_no_seed():
    make, shape = NETS["batch norm"]
    for method in set(pe.METHODS) - set(DRAWN):
        with pytest.raises(ConfigError, match="no option 'seed'"):
            scored(seeded(make), [batch(shape)], method, seed=1)


@pytest.mark.parametrize("method", ITERATIVE)
def test_an_iterative_criterion_has_to_know_its_target(method):
    make, shape = NETS["batch norm"]
    model, batches = seeded(make), [batch(shape)]
    with pytest.raises(ConfigError, match=r"one sparsity; say which, for example sparsity=0\.9"):
        pe.score(model, batches, method)
    with pytest.raises(ConfigError, match="it is the fraction of weights removed"):
        pe.score(model, batches, method, sparsity=1.0)
    with pytest.raises(ConfigError, match="A floor of 100 weights"):
        pe.score(model, batches, method, sparsity=0.9, layer_floor=100)
    with pytest.raises(ConfigError, match="whole number"):
        pe.score(model, batches, method, sparsity=0.9, layer_floor=-1)
    with pytest.raises(ConfigError, match="rounds is 0"):
        pe.score(model, batches, method, sparsity=0.9, rounds=0)


@pytest.mark.parametrize("method", ONE_SHOT)
def test_a_ranking_for_every_sparsity_takes_no_target(method):
    make, shape = NETS["batch norm"]
    with pytest.raises(ConfigError, match=r"once for every sparsity; give sparsity to masks\(\)"):
        pe.score(seeded(make), [batch(shape)], method, sparsity=0.9)
    with pytest.raises(ConfigError, match="give layer_floor to masks"):
        pe.score(seeded(make), [batch(shape)], method, layer_floor=2)


def test_what_rows_say_of_their_needs_is_true():
    make, shape = NETS["batch norm"]
    for method, spec in pe.METHODS.items():
        assert spec.paper.count("https://") == 1
        assert spec.looks_ahead == any(option.name == "steps" for option in spec.options)
        assert spec.iterative == any(option.name == "rounds" for option in spec.options)
        if spec.needs_data or spec.needs_shape:
            with pytest.raises(DataError):
                scored(seeded(make), [], method)
        a = scored(seeded(make), [batch(shape, seed=1)], method)
        if spec.needs_data:
            b = scored(seeded(make), [batch(shape, seed=2)], method)
            assert not all(torch.equal(a[name], b[name]) for name in a)
        else:
            given = [batch(shape, seed=2)] if spec.needs_shape else []
            b = scored(seeded(make), given, method)
            assert all(torch.equal(a[name], b[name]) for name in a)
    with pytest.raises(DataError, match="has to know the shape of an input"):
        scored(seeded(make), [], "synflow")


def test_second_derivatives_are_what_rows_say(monkeypatch):
    from prospr_engine.network.functional import Network

    asked = []
    original = Network.linearised
    monkeypatch.setattr(Network, "linearised", lambda *a, **k: asked.append(1) or original(*a, **k))
    make, shape = NETS["batch norm"]
    for method, spec in pe.METHODS.items():
        asked.clear()
        scored(seeded(make), [batch(shape)], method)
        assert bool(asked) == spec.second_order


@pytest.mark.parametrize("method", pe.METHODS)
def test_without_anything_to_remove_every_weight_stays(method):
    make, shape = NETS["grouped and dilated"]
    masks = scored(seeded(make), [batch(shape)], method, sparsity=0.0).masks(0.0)
    assert masks.kept == masks.total
