"""A ranking without torch cuts exactly as the masks of the engine."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from prospr_engine.errors import ConfigError, DataError, ScoringError
from prospr_engine.io.tensors import save_tensors
from prospr_engine.models.build import build
from prospr_engine.pruning.budget import kept_count
from prospr_engine.pruning.masks import Masks, top_masks
from prospr_engine.pruning.ranking import Ranking
from prospr_engine.saliency.score import score

sparsities = st.decimals(0, Decimal("0.9999"), places=4).map(float)
# Few values: many ties. Both zeros, and numbers of any sign and size.
numbers = st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0]) | st.floats(width=32, allow_nan=False,
    allow_infinity=False)  # fmt: skip
layers_of_scores = st.lists(st.lists(numbers, min_size=1, max_size=30), min_size=1, max_size=5)


def arrays(layers: list[list[float]], dtype: type = np.float32) -> dict[str, np.ndarray]:
    return {f"layer{i}.weight": np.array(values, dtype) for i, values in enumerate(layers)}


@settings(deadline=None)
@given(layers_of_scores, sparsities, st.integers(0, 6), st.sampled_from([np.float32, np.float64]))
def test_masks_equal_those_of_the_engine_bit_for_bit(layers, sparsity, floor, dtype):
    scores = arrays(layers, dtype)
    tensors = {name: torch.from_numpy(values) for name, values in scores.items()}
    ranking = Ranking(scores)
    try:
        expected = top_masks(tensors, sparsity, floor)
    except ConfigError as refused:
        with pytest.raises(ConfigError, match=re.escape(str(refused))):
            ranking.cut(sparsity, floor)
        return
    cut = ranking.cut(sparsity, floor)
    masks = ranking.masks(cut)
    assert list(masks) == list(expected)
    for name, mask in expected.items():
        np.testing.assert_array_equal(masks[name], mask.numpy())
    assert cut.kept_per_layer == tuple(int(mask.sum()) for mask in masks.values())
    assert cut.kept == sum(cut.kept_per_layer) == kept_count(ranking.total, sparsity)


@settings(deadline=None)
@given(layers_of_scores, sparsities, st.integers(0, 3))
def test_whatever_lies_above_the_threshold_is_kept(layers, sparsity, floor):
    ranking = Ranking(arrays(layers))
    try:
        cut = ranking.cut(sparsity, floor)
    except ConfigError:
        return
    masks = ranking.masks(cut)
    flat = np.concatenate([ranking.scores(layer.name) for layer in ranking.layers])
    kept = np.concatenate(list(masks.values()))
    assert kept[flat > cut.threshold].all()
    assert cut.threshold in flat[kept]
    if not floor:
        assert cut.threshold == flat[kept].min()


def test_the_file_that_scores_write_is_read_in_the_networks_order(tmp_path: Path):
    torch.manual_seed(0)
    model = build("small_cnn", (1, 8, 8), 10)
    scores = score(model, [(torch.rand(8, 1, 8, 8), torch.arange(8))], "prospr", rehearse=False)
    scores.save(tmp_path / "scores.safetensors")
    ranking = Ranking.load(tmp_path / "scores.safetensors")
    assert [layer.name for layer in ranking.layers] == list(scores)
    assert [layer.shape for layer in ranking.layers] == [tuple(s.shape) for s in scores.values()]
    masks = ranking.masks(ranking.cut(0.9, layer_floor=3))
    for name, mask in scores.masks(0.9, layer_floor=3).items():
        np.testing.assert_array_equal(masks[name], mask.numpy())


def test_a_ranking_made_for_one_sparsity_is_cut_nowhere_else(tmp_path: Path):
    torch.manual_seed(0)
    model = build("small_cnn", (1, 8, 8), 10)
    batch = (torch.rand(8, 1, 8, 8), torch.arange(8))
    scores = score(model, [batch], "synflow", sparsity=0.9, layer_floor=3, rounds=4)
    scores.save(tmp_path / "scores.safetensors")
    ranking = Ranking.load(tmp_path / "scores.safetensors")
    assert ranking.target == (0.9, 3)
    cut = ranking.cut(0.9, 3)
    for name, mask in scores.masks(0.9, 3).items():
        np.testing.assert_array_equal(ranking.masks(cut)[name], mask.numpy())
    shown = ranking.histogram()
    assert shown.zeros + shown.counts.sum() == ranking.total
    assert cut.threshold > 0
    for elsewhere in ((0.95, 3), (0.9, 0)):
        with pytest.raises(ConfigError, match=r"towards a sparsity of 0\.9 with at least 3 per"):
            ranking.cut(*elsewhere)
    loaded = type(scores).load(tmp_path / "scores.safetensors")
    with pytest.raises(ConfigError, match=r"for 0\.95 with at least 3 per layer, score again"):
        loaded.masks(0.95, 3)


def test_only_weights_that_can_be_pruned_are_ranked(tmp_path: Path):
    """The file also has sums by channel, and effects of biases and normalisations."""
    model = build("small_cnn", (1, 8, 8), 10)
    scores = score(model, [(torch.rand(8, 1, 8, 8), torch.arange(8))], "snip")
    assert scores.channels
    assert scores.rest
    scores.save(tmp_path / "scores.safetensors")
    assert [layer.name for layer in Ranking.load(tmp_path / "scores.safetensors").layers] == [
        *scores
    ]


def test_a_ranking_made_for_all_is_cut_everywhere():
    ranking = Ranking(arrays([[1.0, 2.0, 3.0]]))
    assert ranking.target is None
    assert [ranking.cut(sparsity).kept for sparsity in (0, 0.5, 0.9)] == [3, 2, 1]


def test_a_file_that_is_no_ranking_gets_a_sentence(tmp_path: Path):
    path = tmp_path / "scores.safetensors"
    with pytest.raises(DataError, match="There is no file"):
        Ranking.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Ranking.load(path)
    Masks({"a": torch.ones(3, dtype=torch.bool)}, {"diagnostics": {}}).save(path)
    with pytest.raises(DataError, match="holds no scores"):
        Ranking.load(path)
    save_tensors(path, {"a": torch.ones(3, dtype=torch.bfloat16)}, {"diagnostics": {}})
    with pytest.raises(DataError, match=r"not a readable|holds no scores"):
        Ranking.load(path)
    save_tensors(path, {}, {"diagnostics": {}})
    with pytest.raises(DataError, match="no scores"):
        Ranking.load(path)
    header = {"prospr": json.dumps({"names": ["gone"], "metadata": {"diagnostics": {}}})}
    save_file({"a": np.ones(3, np.float32)}, path, header)
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Ranking.load(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(value: float):
    with pytest.raises(ScoringError, match="not finite"):
        Ranking({"a": np.array([1.0, value], np.float32)})


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 95, math.nan])
def test_a_sparsity_outside_its_range_is_refused(sparsity: float):
    with pytest.raises(ConfigError, match="sparsity"):
        Ranking(arrays([[1.0, 2.0]])).cut(sparsity)


@settings(deadline=None)
@given(layers_of_scores)
def test_every_score_is_counted_once(layers):
    ranking = Ranking(arrays(layers))
    for name in (None, "layer0.weight"):
        shown = ranking.histogram(name, bins=7)
        whole = ranking.total if name is None else ranking.layers[0].total
        assert shown.counts.sum() + shown.zeros == whole
        assert (np.diff(shown.edges) > 0).all()


def test_a_histogram_of_many_decades_counts_zeros_apart():
    values = [0.0, -0.0, 1e-8, 3e-8, 2e-6, 2e-4, 1e-2]
    shown = Ranking(arrays([values])).histogram(bins=3)
    assert shown.log
    assert shown.zeros == 2
    np.testing.assert_allclose(shown.edges, [1e-8, 1e-6, 1e-4, 1e-2], rtol=1e-6)
    assert shown.counts.tolist() == [2, 1, 2]


def test_the_lowest_thousandth_does_not_stretch_the_histogram():
    rest = [10.0 ** (-i % 3) for i in range(1999)]
    shown = Ranking(arrays([[1e-38, 1e-30, *rest]])).histogram(bins=4)
    np.testing.assert_allclose(shown.edges[[0, -1]], [1, 100])
    assert shown.counts.sum() == 2001


def test_signed_scores_are_spread_evenly():
    shown = Ranking(arrays([[-1.0, 0.0, 0.1, 1.0]])).histogram(bins=2)
    assert not shown.log
    assert shown.edges.tolist() == [-1, 0, 1]
    assert (shown.counts.tolist(), shown.zeros) == ([1, 3], 0)


def test_a_thousandth_at_either_end_does_not_stretch_signed_scores():
    rest = np.linspace(-1, 1, 1999).tolist()
    shown = Ranking(arrays([[-1e6, *rest, 1e6]])).histogram(bins=4)
    np.testing.assert_allclose(shown.edges[[0, -1]], [-1, 1], atol=0.01)
    assert shown.counts.sum() == 2001
    mostly = Ranking(arrays([[0.0] * 3000 + [-1.0, 1.0]])).histogram(bins=2)
    assert mostly.edges.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("value", [0.0, 1.0, -2.0])
def test_equal_scores_have_a_histogram_too(value: float):
    shown = Ranking(arrays([[value] * 4])).histogram(bins=4)
    assert shown.counts.sum() == 4
