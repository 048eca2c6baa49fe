from __future__ import annotations

import pytest

from prospr_engine.config import LoadingConfig
from prospr_engine.data.balance import balance_warnings
from prospr_engine.data.load import load
from prospr_engine.data.preview import preview_data


@pytest.mark.parametrize("counts", [[10, 10], [40, 10], [49, 10, 20], [6000] * 200])
def test_even_classes_need_no_warning(counts) -> None:
    assert balance_warnings([str(n) for n in range(len(counts))], counts) == []


def test_the_largest_and_the_smallest_class_are_named() -> None:
    (warning,) = balance_warnings(["df", "nv", "mel"], [115, 6705, 1113])
    assert "'nv' has 6,705 images, 'df' has 115 (58 : 1)" in warning


def test_tiny_classes_are_named_from_the_smallest() -> None:
    few, tiny = balance_warnings(["a", "b", "c", "d"], [9, 400, 2, 300])
    assert "'b' has 400 images, 'c' has 2 (200 : 1)" in few
    assert tiny.startswith("2 of 4 classes have fewer than 10 images")
    assert "'c' (2) and 'a' (9)" in tiny
    (every,) = balance_warnings(["a", "b"], [4, 5])
    assert every.startswith("All classes have fewer than 10 images")


def test_of_200_classes_a_few_are_named() -> None:
    (warning,) = balance_warnings([f"class {n}" for n in range(200)], [5] * 200)
    assert len(warning) < 300
    assert "195 more" in warning


def test_preview_and_run_say_the_same(folder, classes, picture) -> None:
    files = classes(count=60) | {f"rare/{n}.png": picture(900 + n) for n in range(3)}
    path = folder(files)
    found = preview_data(path)
    assert len(found.warnings) == 2
    data = load(path, LoadingConfig(), seed=0)
    assert data.warnings == found.warnings
    assert {*found.warnings} <= {*data.notes}
