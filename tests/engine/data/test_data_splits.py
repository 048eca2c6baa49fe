from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.config import LoadingConfig
from prospr_engine.data.splits import hold_out, limit, plan
from prospr_engine.errors import ConfigError, DataError

counts_of_classes = st.lists(st.integers(1, 40), min_size=1, max_size=8)
fractions = st.floats(0.01, 0.5)
seeds = st.integers(0, 2**32 - 1)


def labels_of(counts: list[int]) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


@given(counts_of_classes, fractions, seeds)
def test_hold_out_is_stratified_and_loses_nothing(counts, fraction, seed) -> None:
    labels = labels_of(counts)
    rest, held = hold_out(labels, fraction, np.random.default_rng(seed))
    assert sorted([*rest, *held]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        taken = int((labels[held] == label).sum())
        assert taken <= count - 1
        assert taken >= min(1, count - 1)
        assert abs(taken - count * fraction) <= 1
    if min(counts) * fraction >= 1:
        assert len(held) == round(len(labels) * fraction)


@given(counts_of_classes, st.integers(1, 200), seeds)
def test_limit_is_as_even_as_the_classes_allow(counts, most, seed) -> None:
    labels = labels_of(counts)
    chosen = limit(labels, most, np.random.default_rng(seed))
    assert len(set(chosen.tolist())) == len(chosen) == min(most, len(labels))
    taken = np.bincount(labels[chosen], minlength=len(counts))
    short_of = [own for own, count in zip(taken, counts, strict=True) if own < count]
    assert all(own >= taken.max() - 1 for own in short_of)


@given(counts_of_classes, st.integers(1, 60), st.integers(0, 30), seeds)
def test_a_smaller_limit_chooses_a_subset(counts, most, more, seed) -> None:
    labels = labels_of(counts)
    small = limit(labels, most, np.random.default_rng(seed))
    large = limit(labels, most + more, np.random.default_rng(seed))
    assert set(small) <= set(large)


def planned(counts=(50, 50, 50), seed=0, parts=None, **settings):
    labels = labels_of(list(counts))
    parts = parts or {"train": np.arange(len(labels))}
    names = [f"class {index}" for index in range(len(counts))]
    return labels, plan(labels, parts, names, LoadingConfig(**settings), seed)


def test_the_plan_has_the_requested_shares() -> None:
    _, made = planned(validation_fraction=0.25, test_fraction=0.2)
    assert [len(made.test), len(made.validation), len(made.train)] == [30, 30, 90]
    together = np.concatenate([made.train, made.validation, made.test])
    assert sorted(together) == list(range(150))
    assert "30 of 150 images, chosen by the seed, are held out for testing" in made.notes[0]


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    first, again, other = (planned(seed=seed)[1] for seed in (7, 7, 8))
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
        assert set(getattr(first, part)) != set(getattr(other, part))


def test_classes_are_mixed_in_every_split() -> None:
    labels = np.repeat([0, 1], 500)
    made = plan(labels, {"train": np.arange(1000)}, ["a", "b"], LoadingConfig(), 0)
    assert 20 < labels[made.train[:100]].sum() < 80


def test_the_test_images_do_not_depend_on_the_train_limit() -> None:
    _, whole = planned()
    _, small = planned(train_limit=30)
    assert np.array_equal(np.sort(whole.test), np.sort(small.test))
    assert len(small.train) + len(small.validation) == 30
    assert "30 of 120 training images are used (train_limit)." in small.notes


def test_parts_that_the_data_bring_along_are_kept() -> None:
    parts = {"train": np.arange(90), "validation": np.arange(90, 120), "test": np.arange(120, 150)}
    _, made = planned(parts=parts)
    for part, numbers in parts.items():
        assert set(getattr(made, part)) == set(numbers)
    _, limited = planned(parts=parts, test_limit=12)
    assert (len(limited.train), len(limited.validation), len(limited.test)) == (90, 12, 12)


@pytest.mark.parametrize("counts", [(2, 60, 60), (3, 3, 3)])
def test_the_smallest_class_is_in_train_and_test(counts) -> None:
    labels, made = planned(counts=counts)
    assert 0 in labels[made.train]
    assert 0 in labels[made.test]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="Too few images of 'class 1'"):
        planned(counts=(5, 1, 5))
    with pytest.raises(DataError, match="none left for validation"):
        planned(counts=(2, 2))


@pytest.mark.parametrize("most", [10, 12])
def test_a_limit_below_what_the_classes_need_is_refused(most: int) -> None:
    with pytest.raises(ConfigError, match="give at least 24"):
        planned(counts=[20] * 12, train_limit=most)


def test_limits_beyond_the_data_change_nothing() -> None:
    _, whole = planned()
    _, same = planned(train_limit=10_000, test_limit=10_000)
    assert np.array_equal(whole.train, same.train)
    assert whole.notes == same.notes
