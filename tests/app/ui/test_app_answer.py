"""What is said of a result has to be true."""

from __future__ import annotations

from typing import Any

import pytest
from app_fakes import record

from app.services import RunRecord
from app.ui.answer import answer, chance, compared, points
from app.ui.format import accuracy, percent, signed

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.9, "90 %"), (0.899997, "90 %"), (0.985, "98.5 %"), (0, "0 %"), (1, "100 %"),
     (0.9996, "99.96 %"), (0.99996, "99.996 %"), (0.0004, "0.04 %")],
)  # fmt: skip
def test_what_is_nearly_everything_is_not_called_everything(fraction: float, text: str):
    assert percent(fraction) == text.replace(" ", SPACE)


def result_with(dense: float, pruned: float, count: int = 359, **changes: Any) -> RunRecord:
    values = {
        "accuracy": {"dense": dense, "pruned": pruned},
        "sparsity": {"achieved": 0.9},
        "config": {"epochs": 3},
        "data": {"split": {"test": count}, "classes": list("0123456789")},
    }
    return record(values | changes)


@pytest.mark.parametrize(
    ("dense", "pruned", "words"),
    [
        (0.972, 0.931, "4.1 points of accuracy lost"),
        (0.972, 0.961, "1.1 points of accuracy lost, within chance"),
        (0.85, 0.96, "11.0 points of accuracy gained"),
        (0.95, 0.96, "accuracy unchanged, within chance"),
        (0.95, 0.9502, "no accuracy lost"),
        # 97.25 and 96.14 are shown as 97.2 and 96.1: the sentence has to add up.
        (0.97249, 0.96141, "1.1 points of accuracy lost, within chance"),
        (0.972, 0.128, "and now the network only guesses"),
        (0.11, 0.09, "but both networks only guess"),
        (0.08, 0.96, "but the dense network only guesses"),
    ],
)
def test_the_answer(dense: float, pruned: float, words: str):
    said = answer(result_with(dense, pruned)).replace(SPACE, " ")
    assert said == f"90 % of the weights removed, {words}"


def test_a_dense_network_that_guesses_is_no_measure():
    said = compared(result_with(0.08, 0.96)).replace(SPACE, " ")
    assert "guessing gets 10 %. The dense network is not clearly better" in said
    assert "chance" not in said


def test_both_accuracies_stand_behind_the_answer():
    said = compared(result_with(0.972, 0.961)).replace(SPACE, " ")
    assert said.startswith(
        "The pruned network gets 96.1 % of the test images right, the dense one 97.2 %."
    )
    assert said.endswith(chance(result_with(0.972, 0.961)))


def test_a_difference_within_chance_is_called_that():
    few, many = chance(result_with(0.972, 0.961)), chance(result_with(0.972, 0.961, 100_000))
    assert "359 test images" in few
    assert "shows no difference" in few
    assert many.startswith("The difference is larger than chance explains on 100,000 test images")
    assert "cannot tell" not in many
    assert "up to about 2.9 points" in few  # 1.96 √(p(1−p)/n + q(1−q)/n)
    assert "an upper estimate" in few
    assert few.endswith("Luck of the seed is not included.")


@pytest.mark.parametrize(
    ("alone", "headline", "words"),
    [
        # Of 20 coins no more than 5 fall on one side with probability 0.0414, 6 with 0.115.
        ((15, 5), "lost", "more than chance explains (McNemar's test, p = 0.041)"),
        ((14, 6), "lost, within chance", "which could be due to chance (McNemar's test, p = 0.12)"),
        ((40, 0), "lost", "p < 0.001"),
    ],
)  # fmt: skip
def test_both_networks_answered_the_same_images(alone: tuple[int, int], headline: str, words: str):
    result = result_with(0.972, 0.961, right_alone={"dense": alone[0], "pruned": alone[1]})
    assert answer(result).endswith(f"removed, 1.1 points of accuracy {headline}")
    output = chance(result)
    assert output.startswith(
        f"Of 359 test images, {alone[0]} are right only with the dense network"
    )
    assert words in output
    assert output.endswith("Luck of the seed is not included.")


def test_guessing_where_classes_are_unbalanced_is_the_commonest_one():
    counts = {"images": [324, 36], "dense": [324, 30], "pruned": [324, 0]}
    result = result_with(
        354 / 360, 0.9, 360, per_class=counts, data={"classes": ["a", "b"], "split": {"test": 360}}
    )
    assert answer(result).endswith("and now the network only guesses")
    assert "guessing gets 90" in compared(result)
    better = result_with(
        354 / 360, 345 / 360, 360, per_class={**counts, "pruned": [324, 21]},
        data={"classes": ["a", "b"], "split": {"test": 360}},
    )  # fmt: skip
    assert f"(balanced accuracy) is 79.2{SPACE}%" in compared(better)  # (324/324 + 21/36) / 2


def test_perfect_scores_on_few_images_are_no_proof():
    assert "up to about 10.0 points" in chance(result_with(1.0, 1.0, 10))


def test_points_are_those_of_the_numbers_shown():
    assert points(result_with(0.97249, 0.96141)) == -1.1
    assert accuracy(0.97249) == f"97.2{SPACE}%"


def test_what_guesses_is_compared_with_guessing():
    # 1.96 √(0.1 · 0.9 / 359) = 3.1 points above 10 %
    assert "guessing gets 10 %" in compared(result_with(0.972, 0.128)).replace(SPACE, " ")
    assert "guess" not in answer(result_with(0.972, 0.135)) + compared(result_with(0.972, 0.135))


def test_untrained_networks_are_called_that():
    result = result_with(0.1, 0.12, config={"epochs": 0})
    assert answer(result).endswith("weights removed, and neither network trained")
    assert "12.0 % (pruned) and 10.0 % (dense)" in compared(result).replace(SPACE, " ")


def test_removing_nothing_is_called_that():
    result = result_with(0.97, 0.97, sparsity={"achieved": 0.0})
    assert answer(result) == "No weight removed, nothing lost"
    assert "the same network" in compared(result)


def test_negative_numbers_have_a_minus_and_no_hyphen():
    assert (signed(-1.1), signed(0.34)) == ("\N{MINUS SIGN}1.1", "+0.3")
