from __future__ import annotations

import json
import math
from decimal import ROUND_CEILING, Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from prospr_engine.errors import ConfigError, DataError, ModelError
from prospr_engine.pruning.budget import kept_count
from prospr_engine.pruning.masks import Masks, top_masks

sparsities = st.decimals(0, Decimal("0.9999"), places=4).map(float)
few_values = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=40)
scores_of_layers = st.lists(few_values, min_size=1, max_size=4).map(
    lambda layers: {f"layer{i}": torch.tensor(values) for i, values in enumerate(layers)}
)


@given(st.integers(1, 10**8), sparsities)
def test_count_is_the_ceiling_of_the_decimal_product(total, sparsity):
    exact = Decimal(total) * (1 - Decimal(repr(sparsity)))
    assert kept_count(total, sparsity) == int(exact.to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(
    ("total", "sparsity", "kept"),
    [(1000, 0.95, 50), (100, 0.98, 2), (268_336, 0.95, 13_417), (7, 0.9999, 1), (7, 0, 7)],
)
def test_count_does_not_suffer_from_binary_fractions(total, sparsity, kept):
    # In binary, 1000 · (1 − 0.95) is 50.00000000000004.
    assert kept_count(total, sparsity) == kept


@settings(deadline=None)
@given(scores_of_layers, sparsities)
def test_exactly_the_highest_are_kept_and_ties_fall_to_the_first(scores, sparsity):
    masks = top_masks(scores, sparsity)
    flat = torch.cat(list(scores.values())).tolist()
    order = sorted(range(len(flat)), key=lambda i: (-flat[i], i))
    expected = set(order[: kept_count(len(flat), sparsity)])
    kept = torch.cat([masks[name] for name in scores])
    assert set(kept.nonzero().flatten().tolist()) == expected


@settings(deadline=None)
@given(scores_of_layers, sparsities, sparsities)
def test_masks_are_nested(scores, a, b):
    low, high = top_masks(scores, min(a, b)), top_masks(scores, max(a, b))
    assert all((low[name] | ~high[name]).all() for name in scores)


@settings(deadline=None)
@given(scores_of_layers, st.integers(0, 5))
def test_a_floor_holds_in_every_layer_and_the_count_stays_exact(scores, floor):
    total = sum(score.numel() for score in scores.values())
    reserved = sum(min(floor, score.numel()) for score in scores.values())
    if reserved > kept_count(total, 0.7):
        with pytest.raises(ConfigError, match="floor"):
            top_masks(scores, 0.7, floor)
        return
    masks = top_masks(scores, 0.7, floor)
    assert sum(int(mask.sum()) for mask in masks.values()) == kept_count(total, 0.7)
    for mask in masks.values():
        assert mask.sum() >= min(floor, mask.numel())


def test_the_floor_takes_the_best_of_the_layer():
    scores = {"strong": torch.arange(10.0) + 100, "weak": torch.tensor([1.0, 3.0, 2.0])}
    masks = top_masks(scores, 0.6, layer_floor=1)
    assert masks["weak"].tolist() == [False, True, False]
    assert int(masks["strong"].sum()) == kept_count(13, 0.6) - 1


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 95, math.nan, math.inf, "half", None])
def test_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(ConfigError, match="at least 0 and below 1"):
        top_masks({"a": torch.ones(3)}, sparsity)


def test_floors_that_are_no_counts_are_refused():
    for floor in (-1, 2.5, "three", math.nan, None):
        with pytest.raises(ConfigError, match="whole number from 0 up"):
            top_masks({"a": torch.ones(3)}, 0.5, floor)


def test_any_real_number_is_a_sparsity():
    assert kept_count(10, np.float32(0.5)) == 5


@pytest.mark.parametrize(("percent", "fraction"), [(95, "0.95"), (99.99999, "0.9999999")])
def test_percent_are_understood_in_the_answer(percent, fraction):
    with pytest.raises(ConfigError, match=rf"For {percent}\s%, give {fraction}\."):
        kept_count(10, percent)


def make_masks():
    return Masks(
        {
            "z.weight": torch.tensor([[True, False], [False, False]]),
            "a.weight": torch.tensor([True, True, False]),
        },
        {"method": "magnitude", "sparsity": 0.5},
    )


def test_statistics():
    masks = make_masks()
    assert (masks.kept, masks.total, masks.sparsity) == (3, 7, 1 - 3 / 7)
    assert [(layer.name, layer.kept, layer.density) for layer in masks.layers] == [
        ("z.weight", 1, 0.25),
        ("a.weight", 2, 2 / 3),
    ]


def test_saving_keeps_values_order_and_metadata(tmp_path):
    make_masks().save(tmp_path / "masks.safetensors")
    loaded = Masks.load(tmp_path / "masks.safetensors")
    assert list(loaded) == ["z.weight", "a.weight"]  # the network's order, not the alphabet's
    assert all(torch.equal(loaded[name], mask) for name, mask in make_masks().items())
    assert loaded.metadata == {"method": "magnitude", "sparsity": 0.5}


def test_files_that_are_no_masks_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file"):
        Masks.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="not a readable safetensors"):
        Masks.load(tmp_path / "text")
    (tmp_path / "floats").write_bytes(save({"a": torch.ones(2)}))
    with pytest.raises(DataError, match="boolean"):
        Masks.load(tmp_path / "floats")
    header = json.dumps({"names": ["missing"]})
    (tmp_path / "names").write_bytes(save({"a": torch.ones(2)}, {"prospr": header}))
    with pytest.raises(DataError, match="not a readable safetensors"):
        Masks.load(tmp_path / "names")


def test_applying_sets_exact_zeros_even_over_nan():
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[math.nan, -2.0]]))
    Masks({"0.weight": torch.tensor([[False, True]])}).apply_to(model)
    assert model[0].weight.tolist() == [[0.0, -2.0]]
    assert math.copysign(1, model[0].weight[0, 0].item()) == 1


def test_masks_of_another_model_are_refused():
    model = nn.Sequential(nn.Linear(2, 1))
    with pytest.raises(ModelError, match="does not have"):
        Masks({"1.weight": torch.tensor([[True, True]])}).apply_to(model)
    with pytest.raises(ModelError, match="made for another model"):
        Masks({"0.weight": torch.tensor([True])}).apply_to(model)
