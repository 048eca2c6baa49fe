"""What is said of a result has to be true."""

from __future__ import annotations

import pytest

from app.text.answer import accuracy, answer, chance, duration, percent, points, signed, size

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.9, "90 %"), (0.899997, "90 %"), (0.985, "98.5 %"), (0, "0 %"), (1, "100 %"),
     (0.9996, "99.96 %"), (0.99996, "99.996 %"), (0.0004, "0.04 %")],
)  # fmt: skip
def test_what_is_nearly_everything_is_not_called_everything(fraction: float, text: str):
    assert percent(fraction) == text.replace(" ", SPACE)


def told(dense: float, pruned: float, count: int = 359) -> dict:
    return {
        "accuracy": {"dense": dense, "pruned": pruned},
        "sparsity": {"achieved": 0.9},
        "config": {"epochs": 3},
        "data": {"split": {"test": count}, "classes": list("0123456789")},
    }


@pytest.mark.parametrize(
    ("dense", "pruned", "words"),
    [
        (0.972, 0.961, "96.1 % instead of 97.2 %, 1.1 points lower."),
        (0.95, 0.96, "96.0 % instead of 95.0 %, 1.0 point higher."),
        (0.95, 0.9502, "95.0 %, the same as without pruning."),
        # 97.25 and 96.14 are shown as 97.2 and 96.1: the sentence has to add up.
        (0.97249, 0.96141, "96.1 % instead of 97.2 %, 1.1 points lower."),
    ],
)
def test_the_answer(dense: float, pruned: float, words: str):
    said = answer(told(dense, pruned)).replace(SPACE, " ")
    assert said == f"90 % of the weights removed; test accuracy {words}"


def test_a_difference_within_chance_is_called_that():
    few, many = chance(told(0.972, 0.961)), chance(told(0.972, 0.961, 100_000))
    assert "359 test images" in few
    assert "cannot tell" in few
    assert many.startswith("The difference is larger than chance explains on 100,000 test images")
    assert "cannot tell" not in many
    assert "up to about 2.6 points" in few  # 1.96 √(p(1−p)/n + q(1−q)/n)


def test_perfect_scores_on_few_images_are_no_proof():
    assert "up to about 10.0 points" in chance(told(1.0, 1.0, 10))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "1 kB"), (254_422, "254 kB"), (45_000_000, "45.0 MB")]
)
def test_sizes(count: int, text: str):
    assert size(count) == text


def test_points_are_those_of_the_numbers_shown():
    assert points(told(0.97249, 0.96141)) == -1.1
    assert accuracy(0.97249) == f"97.2{SPACE}%"


@pytest.mark.parametrize(
    ("dense", "pruned", "words"),
    [
        (0.972, 0.128, "the pruned network is no better than guessing (10 %): test accuracy "
         "12.8 %, dense 97.2 %."),
        (0.11, 0.09, "both networks are no better than guessing (10 %): test accuracy 9.0 %, "
         "dense 11.0 %."),
    ],
)  # fmt: skip
def test_what_guesses_is_not_called_lower(dense: float, pruned: float, words: str):
    assert (
        answer(told(dense, pruned)).replace(SPACE, " ") == f"90 % of the weights removed; {words}"
    )
    # 1.96 √(0.1 · 0.9 / 359) = 3.1 points above 10 %
    assert "guessing" not in answer(told(dense, 0.135))


def test_untrained_networks_are_called_that():
    result = told(0.1, 0.12) | {"config": {"epochs": 0}}
    assert "Neither network was trained (0 epochs)." in answer(result)
    assert "12.0 % (pruned) and 10.0 % (dense)" in chance(result).replace(SPACE, " ")


def test_removing_nothing_is_called_that():
    result = told(0.97, 0.97) | {"sparsity": {"achieved": 0.0}}
    assert answer(result).startswith("Nothing was removed; test accuracy 97.0")
    assert "the same one" in chance(result)


def test_negative_numbers_have_a_minus_and_no_hyphen():
    assert (signed(-1.1), signed(0.34)) == ("\N{MINUS SIGN}1.1", "+0.3")
