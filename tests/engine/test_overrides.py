"""Layers with a setting of their own: names and patterns, exact budgets, contradictions."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prospr_engine.errors import ConfigError
from prospr_engine.format import SPACE
from prospr_engine.overrides import check_layers, resolve
from prospr_engine.pruning.budget import budget, sparsity_range
from prospr_engine.pruning.masks import chosen_among_equals, top_masks
from prospr_engine.pruning.ranking import Ranking

RESNET = [
    "conv1.weight",
    "layer1.0.conv1.weight",
    "layer1.0.conv2.weight",
    "layer4.0.conv1.weight",
    "layer4.0.shortcut.weight",
    "fc.weight",
]
sparsities = st.decimals(0, Decimal("0.9999"), places=4).map(float)
scores_of_layers = st.lists(
    st.lists(st.integers(-1, 4).map(float), min_size=1, max_size=30), min_size=1, max_size=5
)
overrides = st.one_of(st.none(), st.just("dense"), sparsities)


def kept_of(total: int, sparsity: float) -> int:
    exact = Decimal(total) * (1 - Decimal(repr(sparsity)))
    return int(exact.to_integral_value(ROUND_CEILING))


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` highest, equal ones from the front, by sorting."""
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(-scores, kind="stable")[:count]] = True
    return mask


def reference(
    layers: list[np.ndarray], sparsity: float, floor: int, given: list[str | float | None]
) -> list[np.ndarray] | None:
    """The masks, layer by layer, written down independently; None for a contradiction."""
    masks, open_layers, spent = [], [], 0
    for scores, setting in zip(layers, given, strict=True):
        if setting is None:
            masks.append(best(scores, min(floor, scores.size)))
            open_layers.append(len(masks) - 1)
        else:
            count = scores.size if setting == "dense" else kept_of(scores.size, setting)
            if count < min(floor, scores.size):
                return None
            masks.append(best(scores, count))
        spent += int(masks[-1].sum())
    left = kept_of(sum(s.size for s in layers), sparsity) - spent
    candidates = sorted(
        (-layers[i][j], i, j) for i in open_layers for j in range(layers[i].size) if not masks[i][j]
    )
    if not 0 <= left <= len(candidates):
        return None
    for _, i, j in candidates[:left]:
        masks[i][j] = True
    return masks


@settings(deadline=None, max_examples=400)
@given(scores_of_layers, sparsities, st.integers(0, 4), st.data())
def test_masks_equal_a_reference_that_sorts_each_layer(layers, sparsity, floor, data):
    given = [data.draw(overrides) for _ in layers]
    names = [f"layer{i}.weight" for i in range(len(layers))]
    arrays = [np.array(values, np.float32) for values in layers]
    scores = dict(zip(names, map(torch.from_numpy, arrays), strict=True))
    settings = {n: value for n, value in zip(names, given, strict=True) if value is not None}
    ranking = Ranking(dict(zip(names, arrays, strict=True)))
    low, high = sparsity_range({n: s.numel() for n, s in scores.items()}, floor, settings)
    if data.draw(st.booleans()) and low <= high:  # else most sparsities are a contradiction
        sparsity = low + (high - low) * sparsity
    expected = reference(arrays, sparsity, floor, given)
    if expected is None:
        with pytest.raises(ConfigError) as refused:
            top_masks(scores, sparsity, floor, settings)
        with pytest.raises(ConfigError, match=re.escape(str(refused.value))):
            ranking.cut(sparsity, floor, settings)
        return
    masks = top_masks(scores, sparsity, floor, settings)
    cut = ranking.cut(sparsity, floor, settings)
    for name, mask in zip(names, expected, strict=True):
        np.testing.assert_array_equal(masks[name].numpy(), mask)
        np.testing.assert_array_equal(ranking.mask(name, cut), mask)
    assert cut.kept == kept_of(ranking.total, sparsity)
    assert cut.kept_per_layer == tuple(int(mask.sum()) for mask in expected)


@settings(deadline=None)
@given(scores_of_layers, sparsities, sparsities, st.data())
def test_masks_stay_nested(layers, a, b, data):
    scores = {f"l{i}": torch.tensor(values) for i, values in enumerate(layers)}
    chosen = {name: data.draw(overrides) for name in scores}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        low, high = (top_masks(scores, s, layers=given) for s in (min(a, b), max(a, b)))
    except ConfigError:
        return
    assert not any((high[name] & ~low[name]).any() for name in scores)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), sparsities, st.data())
def test_the_sparsity_that_a_refusal_proposes_is_possible(sizes, sparsity, data):
    named = {f"l{i}": size for i, size in enumerate(sizes)}
    given = {n: s for n in named if (s := data.draw(overrides)) is not None}
    refusal = ""
    try:
        budget(named, sparsity, 0, given)
    except ConfigError as refused:
        refusal = str(refused)
    if refusal:
        possible = re.search(r"(?:of at (?:most|least)|sparsity to) (0(?:\.\d+)?)", refusal)
        assert possible, refusal
        budget(named, float(possible[1]), 0, given)


def test_the_layer_keeps_its_own_best_and_the_rest_competes():
    scores = {
        "a.weight": torch.tensor([9.0, 8.0, 7.0, 6.0]),
        "b.weight": torch.tensor([10.0, 30.0, 20.0, 0.0]),  # what it loses would win elsewhere
        "c.weight": torch.tensor([4.0, 5.0]),
    }
    masks = top_masks(scores, 0.5, layers={"b": 0.5, "c": "dense"})  # 5 of 10: 2 + 2 + 1
    assert masks["a.weight"].tolist() == [True, False, False, False]
    assert masks["b.weight"].tolist() == [False, True, True, False]
    assert masks["c.weight"].tolist() == [True, True]


def test_without_settings_nothing_changes():
    scores = {"a": torch.arange(10.0), "b": torch.arange(5.0)}
    for floor in (0, 2):
        usual, empty = top_masks(scores, 0.6, floor), top_masks(scores, 0.6, floor, {})
        assert all(torch.equal(usual[name], empty[name]) for name in scores)


def test_a_weight_of_a_dense_layer_was_not_chosen_among_equals():
    scores = {"a": torch.zeros(4), "b": torch.tensor([3.0, 2.0, 1.0, 0.0])}
    masks = top_masks(scores, 0.25, layers={"a": "dense"})  # 4 + 2
    assert chosen_among_equals(scores, masks) == 4  # beside the zero that was removed from b
    assert chosen_among_equals(scores, masks, alone=["a"]) == 0
    masks = top_masks(scores, 0.5, layers={"a": 0.5})  # 2 of 4 zeros, and 2 of b
    assert chosen_among_equals(scores, masks, alone=["a"]) == 2


# Names and patterns


@pytest.mark.parametrize(
    ("given", "layers"),
    [
        ({"conv1": "dense"}, {"conv1.weight": "dense"}),
        ({"conv1.weight": "dense"}, {"conv1.weight": "dense"}),
        ({"layer1.*": 0.5}, {"layer1.0.conv1.weight": 0.5, "layer1.0.conv2.weight": 0.5}),
        ({"*.conv2": 0.5}, {"layer1.0.conv2.weight": 0.5}),
        ({"layer[14].0.conv1": 0.5}, dict.fromkeys((RESNET[1], RESNET[3]), 0.5)),
        ({"fc.weigh?": 0.5}, {"fc.weight": 0.5}),
        # A name goes before a pattern, however the two are ordered.
        ({"layer4.*": 0.98, "layer4.0.shortcut": "dense"},
         {"layer4.0.conv1.weight": 0.98, "layer4.0.shortcut.weight": "dense"}),
        ({"*": 0.5, "layer4.*": 0.5}, dict.fromkeys(RESNET, 0.5)),
        ({"conv1": 0.0}, {"conv1.weight": "dense"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_names_and_patterns(given, layers):
    assert resolve(given, RESNET) == layers
    assert resolve(dict(reversed(given.items())), RESNET) == layers
    assert resolve(layers, RESNET) == layers
    # For channels, layers are called by their modules.
    paths = [name.removesuffix(".weight") for name in RESNET]
    assert resolve(given, paths) == {n.removesuffix(".weight"): v for n, v in layers.items()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"conv2": "dense"}, "no layer called 'conv2' (did you mean 'conv1'?)"),
        ({"layer4": "dense"}, "no layer called 'layer4' (did you mean 'layer4.*'?)"),
        ({"Layer1.0.Conv1": 0.5}, "(did you mean 'layer1.0.conv1'"),
        ({"layr4.*": 0.5}, "The pattern 'layr4.*' matches no layer (did you mean 'layer4.*'?)"),
        ({"xyz*": 0.5}, "The pattern 'xyz*' matches no layer. The layers that can be pruned are"),
        ({"conv1": 0.5, "conv1.weight": 0.6},
         f"two settings: 50{SPACE}% removed from 'conv1', and 60"),
        ({"layer4.*": "dense", "*.conv1": 0.5},
         f"'layer4.0.conv1' has two settings: 50{SPACE}% removed from '*.conv1', and dense"),
    ],
)  # fmt: skip
def test_what_fits_no_layer_or_contradicts_itself_is_refused(given, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(given, RESNET)


def test_a_message_about_many_layers_stays_short():
    with pytest.raises(ConfigError) as refused:
        resolve({"nothing": 0.5}, [f"blocks.{i}.conv.weight" for i in range(500)])
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": "densee"}, "'densee'; give 'dense', or the fraction.*did you mean 'dense'"),
        ({"a": 1.0}, "at least 0 and below 1"),
        ({"a": -0.1}, "at least 0 and below 1"),
        ({"a": 98}, "for 98.%, give 0.98"),
        ({"a": math.nan}, "at least 0 and below 1"),
        ({"a": True}, "at least 0 and below 1"),
        ({"a": None}, "at least 0 and below 1"),
        ({"a": 10**400}, "at least 0 and below 1"),
        ({"": 0.5}, "the name of a layer"),
        ({3: 0.5}, "the name of a layer"),
        ([("a", 0.5)], "must be an object"),
        ("a=dense", "must be an object"),
    ],
)
def test_a_value_that_is_no_setting_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        check_layers(given)


def test_settings_have_one_form():
    given = {"b": np.float32(0.5), "a": " Dense ", "c": "0.25", "d": 0}
    checked = check_layers(given)
    assert list(checked.items()) == [("a", "dense"), ("b", 0.5), ("c", 0.25), ("d", "dense")]
    assert [type(value) for value in checked.values()] == [str, float, float, str]


# Contradictions


@pytest.mark.parametrize(
    ("sparsity", "floor", "given", "message"),
    [
        (0.9, 0, {"a": "dense"},
         "A sparsity of 0.9 keeps 100 of 1,000 weights, but the layers with a setting of their own "
         "keep 500; set a sparsity of at most 0.5, or let them keep fewer."),
        (0.55, 30, {"a": 0.2},
         "keep 400, and the others at least 60; set a sparsity of at most 0.54"),
        (0.1, 0, {"a": 0.9},
         "keep 50, and the others have only 500; set a sparsity of at least 0.45, or"),
        (0.9, 60, {"a": 0.9}, "the layer 'a' keeps 50 of 500 weights, but every layer is to keep "
         "at least 60"),
        (0.9, 0, {"*": 0.5}, "Every layer has a setting of its own, and together they keep 500 "
         "weights, but a sparsity of 0.9 keeps 100 of 1,000 weights; set the sparsity to 0.5"),
    ],
)  # fmt: skip
def test_a_contradiction_is_a_sentence(sparsity, floor, given, message):
    sizes = {"a.weight": 500, "b.weight": 300, "c.weight": 200}
    with pytest.raises(ConfigError, match=re.escape(message)):
        budget(sizes, sparsity, floor, given)


def test_a_floor_does_not_count_in_layers_with_a_setting():
    found = budget({"a": 10, "b": 100, "c": 100}, 0.5, 20, {"a": "dense", "b": 0.7})
    assert (found.own, found.floors, found.shared) == ((10, 30, None), (0, 0, 20), 65)
    assert found.shared + 40 == math.ceil(210 * Fraction(1, 2))
