from __future__ import annotations

import pytest

from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError


def test_every_row_names_an_implementation() -> None:
    assert list(DATASETS) == [
        *("digits", "mnist", "fashion_mnist", "kmnist", "svhn", "cifar10", "cifar100")
    ]
    for row in DATASETS.values():
        assert callable(row.load())
        assert row.augmentation in {"none", "shift", "shift+flip"}
        assert row.source.startswith("http")


@pytest.mark.parametrize(("typed", "meant"), [("CIFAR10", "cifar10"), ("minst", "mnist")])
def test_a_misspelt_name_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        DATASETS.find(typed)
