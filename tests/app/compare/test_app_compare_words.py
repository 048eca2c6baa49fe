"""The sentences of a comparison claim no more than its numbers support."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from app_compare_frames import cell, frame, grid, without
from app_fakes import record
from scipy import stats

from app.compare import classes_chart, detail_words, layers_chart, overlap_chart
from app.compare import words as compare_words
from app.compare.answer import alone
from app.services import CONTROLS, METHODS, RunRecord, analysis
from app.services.overlap import MaskOverlap

NBSP = "\N{NO-BREAK SPACE}"
TWO = {"prospr": (0.95, 0.9), "magnitude": (0.94, 0.8)}
THREE = {"prospr": (0.95, 0.9), "snip": (0.95, 0.899), "magnitude": (0.94, 0.8)}


# In the three seeds the differences deviate by -0.004, 0 and 0.004 at either sparsity: the limit
# is 4.303 * 0.004 / sqrt(3), 1.0 point.
def controlled(
    original: float, control: float, name: str = "shuffle", method: str = "prospr", **more: float
) -> pd.DataFrame:
    """A method and one of its controls, at two sparsities and from three seeds."""
    pair = ((original, "none", 1), (control, name, -1))
    return frame(
        cell(method, sparsity, seed, mean + sign * 0.002 * (seed - 1), control=how, **more)
        for mean, how, sign in pair
        for sparsity in (0.8, 0.9)
        for seed in (0, 1, 2)
    )


def sentences(table: pd.DataFrame) -> str:
    """All of them."""
    found = (compare_words.noise, compare_words.leader, compare_words.near_guessing,
             compare_words.doubtful, compare_words.caveats)  # fmt: skip
    return " ".join([*(name(table) for name in found), *compare_words.controls(table)])


# Noise


def test_which_differences_are_noise_with_several_seeds():
    table = grid(TWO, spread=0.01)
    # At either level the two differ by -0.01, -0.01 and 0.02 from their mean: s² = 0.0006 / 2, and
    # Student's t of two degrees of freedom is 4.303.
    limit = 100 * 4.303 * math.sqrt(0.0003 / 3)
    assert compare_words.noise(table).startswith(
        f"3 seeds: differences below about {limit:.1f} points may be noise. "
    )


def test_noise_is_given_by_sparsity_where_it_varies():
    calm = grid({"prospr": (0.95,), "snip": (0.94,)}, sparsities=(0.8,), spread=0.001)
    wild = grid({"prospr": (0.8,), "snip": (0.7,)}, sparsities=(0.99,), spread=0.05)
    output = compare_words.noise(pd.concat([calm, wild]))
    calmest, wildest = (100 * analysis.spread(cells).limit for cells in (calm, wild))
    assert calmest < 1 < wildest
    assert output.startswith(
        f"3 seeds: differences below about {calmest:.1f} points at 80{NBSP}% and {wildest:.1f} "
        f"points at 99{NBSP}% may be noise."
    )


def test_bars_of_two_seeds_are_explained():
    assert "a third as long" in compare_words.noise(grid(TWO, seeds=(0, 1)))
    assert "a third" not in compare_words.noise(grid(TWO))


def test_one_seed_leaves_only_the_noise_of_the_test_set():
    output = compare_words.noise(grid(TWO, seeds=(0,)))
    limit = 100 * (1.96 * math.sqrt(2 * 0.8 * 0.2 / 400) + 1 / 400)
    assert output == (
        "One seed, so the noise between seeds is unknown. The test set alone allows differences of "
        f"up to about {limit:.1f} points by chance."
    )
    assert "interval" not in output


def test_seeds_that_agree_to_the_image_may_do_so_by_chance():
    noise = analysis.spread(grid(TWO, spread=0.0))
    assert noise.seeded
    # The t-test of differences of two rounded accuracies (Sheppard); with three groups at 0.05 / 3
    # per side: t(2) is 5.339.
    quantile = 4.3027 if len(TWO) == 2 else 5.3393
    assert noise.limit == pytest.approx(quantile * math.sqrt(2 / 12 / 400**2 / 3), rel=1e-3)


def test_numbers_of_seeds_that_differ_are_a_range():
    table = grid(TWO)
    table = table[(table["seed"] != 2) | (table["method"] == "prospr")]
    assert compare_words.noise(table).startswith("2 to 3 seeds: ")


def test_where_the_noise_is_unknown_is_said():
    """At the higher sparsity, all but one run of a criterion failed."""
    table = grid(TWO)
    failed = (table["method"] == "magnitude") & (table["sparsity"] == 0.95) & (table["seed"] > 0)
    found = compare_words.noise(table[~failed])
    assert f"At 95{NBSP}% no two seeds are shared: the noise is unknown." in found
    assert "All series share these seeds" not in found
    assert "unknown" not in compare_words.noise(table)


# One series


def test_the_loss_of_one_series_has_its_interval():
    table = grid({"prospr": (0.9,)}, sparsities=(0.9,)).assign(test_images=10_000_000)
    table["dense_accuracy"] = [0.96, 0.97, 0.99]
    table["accuracy"] = [0.90, 0.93, 0.93]
    found = stats.ttest_1samp([-0.06, -0.04, -0.06], 0).confidence_interval()
    low, high = (f"{100 * end:+.1f}".replace("-", "\N{MINUS SIGN}") for end in found)
    assert f"the 95{NBSP}% interval of the difference over 3 seeds is {low} to {high} points." in (
        alone(table)
    )


@pytest.mark.parametrize(
    ("only", "words"), [((7, 2), "could explain"), ((20, 4), "more than the choice of test images")]
)
def test_the_loss_of_one_run_is_judged_by_mcnemars_test(only: tuple[int, int], words: str):
    """p = 0.18 and 0.0015."""
    table = grid({"prospr": (0.9,)}, sparsities=(0.9,), seeds=(0,))
    table = table.assign(dense_right_alone=only[0], pruned_right_alone=only[1])
    found = alone(table)
    assert found.startswith("From one seed: ")
    assert words in found


# Who leads


def test_a_lead_beyond_noise_is_given_with_its_size():
    output = compare_words.leader(grid(TWO))
    assert output.startswith(
        f"At 95{NBSP}%, the highest sparsity that all reached, ProsPr is best with "
        f"90.0{NBSP}%, 10.0 points ahead of Magnitude: more than the noise ("
    )
    assert "luckiest" not in output


def test_a_lead_within_noise_is_none_and_the_best_of_many_may_be_lucky():
    output = compare_words.leader(grid(THREE))
    assert "ProsPr is best with 90.0" in output
    assert "but SNIP is within the noise (" in output
    assert "ahead" not in output
    assert output.endswith("The best of 3 is often just the luckiest.")


def test_the_answer_and_the_caption_speak_of_the_same_noise():
    """At one sparsity, with controls that scatter more than what they control."""
    table = grid({"prospr": (0.81,), "snip": (0.8,)}, sparsities=(0.9,), spread=0.01)
    wild = grid({"snip": (0.7,)}, sparsities=(0.9,), spread=0.08).assign(
        control="shuffle", series="SNIP, mask shuffled", order=9
    )
    both = pd.concat([table, wild])
    spread = analysis.spread(both)
    least = f"{100 * spread.least:.1f}"
    limits = f"below about {least} to {100 * spread.limit:.1f} points may be noise"
    assert limits in compare_words.noise(both)
    assert f"but SNIP is within the noise ({least} points)" in compare_words.leader(both)
    assert f"({least} points)" not in compare_words.leader(table)


def test_to_lead_all_others_less_is_needed_than_for_any_two_to_differ():
    """Eleven criteria, of which one leads: its paired t-test against the second decides, and the
    caption says that its own limits are for more claims than that."""
    rng = np.random.default_rng(0)
    names = list(METHODS)
    cells = [
        cell(method, 0.9, seed, float(rng.normal(0.8 + 0.05 * (method == names[0]), 0.01)))
        for method in names
        for seed in range(3)
    ]
    table = frame(cells).assign(test_images=10_000_000)
    found = analysis.level(table, 0.9, analysis.originals(table))
    assert found.leads
    first, second = sorted(found.means, key=found.means.__getitem__)[:-3:-1]
    one, other = (table[table["series"] == name]["accuracy"].to_numpy() for name in (first, second))
    assert stats.ttest_rel(one, other).pvalue < 0.05
    assert found.means[first] - found.means[second] < found.limits[second]
    assert "more than the noise" in compare_words.leader(table)
    assert "luckiest" not in compare_words.leader(table)
    assert "only that the best one leads" in compare_words.noise(table)


def test_a_lead_and_its_noise_are_not_shown_as_the_same_figure():
    """Of 100,000 test images, 0.04 points are more than 0.02."""
    table = grid({"prospr": (0.9004,), "snip": (0.9,)}, sparsities=(0.9,), spread=0.00005)
    found = compare_words.leader(table.assign(test_images=100_000))
    claim = r"([\d.]+) points ahead of .*: more than the noise \(([\d.]+) points\)"
    figures = re.search(claim, found)
    assert figures
    assert float(figures[1]) > float(figures[2])


@pytest.mark.parametrize("draw", range(20))
def test_no_sentence_calls_a_difference_more_than_a_larger_noise(draw: int):
    """Each pair has its own limit: a third series that scatters says nothing of the first two."""
    rng = np.random.default_rng(draw)
    cells = [
        cell(method, 0.9, seed, float(np.clip(rng.normal(mean, spread), 0, 1)))
        for method, mean, spread in (
            ("prospr", 0.8, 0.002),
            ("snip", 0.7, 0.01),
            ("random", 0.3, 0.1),
        )
        for seed in range(4)
    ]
    found = compare_words.leader(frame(cells))
    claim = r"([\d.]+) points ahead of .*: more than the noise \(([\d.]+) points\)"
    figures = re.search(claim, found)
    if figures:
        assert float(figures[1]) > float(figures[2])
    else:
        assert "within the noise" in found


def test_with_one_seed_a_lead_is_measured_by_the_test():
    output = compare_words.leader(grid(TWO, seeds=(0,)))
    assert "more than the noise of the test set" in output
    output = compare_words.leader(grid(THREE, seeds=(0,)))
    # q(0.05; 3, infinite), and one image.
    limit = 100 * (3.314 / math.sqrt(2) * math.sqrt(2 * 0.8 * 0.2 / 400) + 1 / 400)
    assert f"but SNIP is within the noise of the test set ({limit:.1f} points)" in output
    assert output.startswith("From one seed: ")
    assert "Another seed may give another order." in output
    assert "one seed" not in compare_words.leader(grid(THREE))


def test_a_control_of_one_seed_says_so():
    table = controlled(0.9, 0.5)
    (output,) = compare_words.controls(table[table["seed"] == 1])
    assert output.endswith(", but this is one seed.")
    assert "one seed" not in "".join(compare_words.controls(table))


def test_series_that_share_no_seed_have_no_leader():
    table = grid(TWO, seeds=(0, 1))
    table.loc[table["method"] == "prospr", "seed"] += 2
    assert compare_words.leader(table) == f"At 95{NBSP}% the series share no seed, so none leads."
    assert compare_words.noise(table).startswith("No two seeds are shared by all series, so")


def test_the_level_compared_is_one_that_all_have():
    table = grid(TWO)
    table = table[(table["method"] == "prospr") | (table["sparsity"] < 0.9)]
    assert compare_words.leader(table).startswith(f"At 80{NBSP}%")


def test_where_no_level_is_common_nobody_leads():
    table = grid(TWO)
    table = table[(table["method"] == "prospr") == (table["sparsity"] < 0.9)]
    assert "No sparsity has results for every series" in compare_words.leader(table)


def test_only_seeds_that_both_have_are_compared():
    """A seed that is hard for everybody must not count against the one who has it."""
    rows = [cell(m, 0.9, 0, a) for m, a in (("prospr", 0.9), ("snip", 0.8))]
    rows.append(cell("prospr", 0.9, 1, 0.3))
    assert analysis.level(frame(rows), 0.9, ["ProsPr", "SNIP"]).means == {
        "ProsPr": 0.9,
        "SNIP": 0.8,
    }


def test_controls_do_not_compete():
    assert compare_words.leader(controlled(0.9, 0.95)) == ""


def test_one_alone_does_not_lead():
    assert compare_words.leader(grid({"prospr": (0.9, 0.8)})) == ""


# Where it breaks


def test_where_each_falls_to_guessing():
    table = grid(
        {"prospr": (0.95, 0.9, 0.8), "snip": (0.94, 0.5, 0.12), "magnitude": (0.9, 0.1, 0.1)},
        sparsities=(0.8, 0.95, 0.98),
    )
    assert compare_words.near_guessing(table) == (
        f"Near guessing (10{NBSP}%): SNIP at 98{NBSP}% and Magnitude from 95{NBSP}% on."
    )


def test_a_dip_from_which_it_recovers_is_no_break():
    table = grid({"prospr": (0.95, 0.1, 0.8)}, sparsities=(0.8, 0.95, 0.98))
    assert compare_words.near_guessing(table) == (
        f"It is still well above guessing (10{NBSP}%) at 98{NBSP}%."
    )


def test_where_all_are_guessing_nobody_leads():
    table = grid({"prospr": (0.9, 0.1), "snip": (0.8, 0.11)})
    assert compare_words.leader(table).startswith(f"At 80{NBSP}%, the highest at which any still")
    table = grid({"prospr": (0.1, 0.1), "snip": (0.1, 0.11)})
    assert "none leads" in compare_words.leader(table)


def test_without_the_number_of_classes_nothing_is_said_of_guessing():
    table = grid({"prospr": (0.95, 0.5)}, data="upload")
    assert compare_words.near_guessing(table) == ""
    assert "Near guessing (50" in compare_words.near_guessing(table, classes=2)


# Controls


@pytest.mark.parametrize("name", ["shuffle", "reinit", "random"])
def test_a_control_that_does_as_well_is_the_fields_own_warning(name: str):
    (output,) = compare_words.controls(controlled(0.9, 0.901, name))
    assert "ProsPr is within the noise on average over 2 sparsities (1.0 point); " in output
    assert output.endswith(f"nothing shows that it mattered {CONTROLS[name].chance}.")


def test_a_control_that_does_worse_shows_that_the_choice_mattered():
    (output,) = compare_words.controls(controlled(0.9, 0.85))
    assert output == (
        "With its mask shuffled inside each layer, ProsPr is 5.0 points worse on average "
        "over 2 sparsities (noise: 1.0 point); it did matter which weights each layer keeps."
    )


def test_a_control_that_does_better_is_reported_without_a_reason():
    (output,) = compare_words.controls(controlled(0.85, 0.9, "reinit"))
    assert output == (
        "With new initial weights under the same mask, ProsPr is 5.0 points better on "
        "average over 2 sparsities (noise: 1.0 point)."
    )


def test_controls_of_several_methods_are_reported_together_by_what_they_show():
    table = pd.concat(
        [controlled(0.9, 0.901), controlled(0.9, 0.8999, method="snip"),
         controlled(0.9, 0.7, method="grasp")]
    )  # fmt: skip
    output = compare_words.controls(table)
    assert len(output) == 2
    assert output[0].startswith(
        "With their mask shuffled inside each layer, ProsPr and SNIP are within the noise"
    )
    assert "GraSP is 20.0 points worse" in output[1]


def test_a_control_is_compared_where_there_is_something_to_lose_only():
    """Where both only guess, they are alike whatever the mask is."""
    broken = controlled(0.1, 0.1)
    broken["sparsity"] = broken["sparsity"].replace({0.8: 0.98, 0.9: 0.99})
    (output,) = compare_words.controls(pd.concat([controlled(0.9, 0.8), broken]))
    assert "10.0 points worse" in output
    assert compare_words.controls(broken) == []


def test_a_control_without_what_it_controls_says_nothing():
    table = controlled(0.9, 0.8)
    assert compare_words.controls(table[table["control"] != "none"]) == []


def test_a_control_is_compared_with_its_own_method_only():
    table = controlled(0.9, 0.8)
    table.loc[table["control"] == "none", "steps"] = 1
    assert compare_words.controls(table) == []


# What is missing, and what cannot be compared


def test_failed_and_waiting_runs_do_not_disturb_the_rest():
    rows = [cell("synflow", s, 0, 0.9) for s in (0.8, 0.9, 0.95, 0.98)]
    failed = [without(row, "failed", "The loss is not a number.") for row in rows[:2]]
    table = frame([*failed, without(rows[2], "waiting"), rows[3]])
    assert "above guessing" in sentences(table)


def test_nothing_is_said_where_nothing_is_done():
    waiting = frame([without(cell("snip", 0.9, 0, 0.9), "waiting")])
    assert compare_words.leader(waiting) == ""
    assert compare_words.near_guessing(waiting) == ""
    assert compare_words.controls(waiting) == []
    assert compare_words.warnings(waiting) == []


def test_the_same_data_give_no_warning():
    assert compare_words.warnings(grid(THREE)) == []  # digests differ by seed: splits do


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"data": "cifar10"},
            "different data sets (Digits and CIFAR-10), so their accuracies",
        ),
        ({"digest": "other images"}, "used different images or splits"),
        ({"model": "resnet20"}, "The networks differ (Small CNN and ResNet-20)"),
        ({"epochs": 9}, "trained for 3 to 9 epochs"),
        ({"given": True}, "Some runs start from given weights and were fine-tuned ("),
        ({"test_images": 99, "digest": ""}, "tested on 99 to 400 images"),
    ],
)
def test_what_cannot_be_compared_is_reported(changes: dict[str, object], warning: str):
    (output,) = compare_words.warnings(frame([cell("snip", 0.9, 0, 0.9),
                                          cell("prospr", 0.9, 0, 0.9, **changes)]))  # fmt: skip
    assert warning in output


def test_nobody_leads_over_different_tasks():
    table = frame([cell("snip", 0.9, 0, 0.9), cell("prospr", 0.9, 0, 0.8, data="cifar10")])
    output = sentences(table)
    assert "is best" not in output
    assert "guessing" not in output


def test_rankings_that_cannot_be_trusted_are_reported():
    table = grid(TWO)
    table["trusted"] = [method != "prospr" for method in table["method"]]
    assert compare_words.doubtful(table) == (
        "In 6 runs (ProsPr) the ranking of the weights cannot be trusted; their pages say why."
    )
    assert compare_words.doubtful(grid(TWO)) == ""


def test_the_axis_and_the_training_are_named():
    assert compare_words.axis_start(0.75) == (
        f"The accuracy axis starts at 75{NBSP}%, not at zero."
    )
    assert compare_words.caveats(grid(TWO)).startswith("Trained for 3 epochs: ")
    given = compare_words.caveats(grid(TWO, given=True))
    assert given.startswith("Given weights, fine-tuned for 3 epochs: ")
    assert compare_words.axis_start(0.0) == ""


def test_networks_that_were_not_trained_say_nothing_about_methods():
    output = sentences(grid(TWO, epochs=0))
    assert "No network was trained: these accuracies say nothing about the criteria." in output
    assert "is best" not in output
    assert "guessing" not in output


# Details


def result(kept: tuple[int, ...] = (50, 10), classes: int = 2, right: int = 8) -> RunRecord:
    return record({
        "layers": [{"name": f"{i}.weight", "total": 100, "kept": k} for i, k in enumerate(kept)],
        "per_class": {"images": [10] * classes, "dense": [9] * classes,
                      "pruned": [max(0, right - i % 7) for i in range(classes)]},
        "data": {"classes": [f"class {i}" for i in range(classes)]},
    })  # fmt: skip


def test_collapsed_layers_are_reported_by_series():
    rows = layers_chart.table(
        analysis.layers(
            {"A": [result((0, 5)), result((0, 0))], "B": [result((3, 0))], "C": [result()]}
        )
    )
    output = detail_words.layers(rows)
    assert "✕ A keeps no weight of Layer 1 and Layer 2 in 1 of 2 runs." in output
    assert "✕ B keeps no weight of Layer 2." in output
    assert not any("C keeps" in sentence for sentence in output)


def test_layers_that_all_kept_something_are_reported_so():
    assert "Every layer keeps at least one weight." in detail_words.layers(
        layers_chart.table(analysis.layers({"A": [result()]}))
    )


def test_classes_say_what_one_image_is_and_which_are_not_shown():
    lines = {"A": [result(classes=50)]}
    rows = classes_chart.table(analysis.classes(lines))
    output = " ".join(
        detail_words.classes(rows, classes_chart.left_out(analysis.classes(lines), rows))
    )
    assert "only the 10 that lose most and the 10 that gain most or lose least" in output
    assert (
        "With 10 test images per class, one image is 10.0 points: small changes are noise" in output
    )
    few = detail_words.classes(classes_chart.table(analysis.classes({"A": [result()]})))
    assert not any("by chance" in sentence for sentence in few)
    assert (
        "no counts by class" in detail_words.classes(classes_chart.table(analysis.classes({})))[0]
    )


def test_masks_that_share_no_more_than_chance_are_reported():
    found = (
        MaskOverlap("A", "B", "", 0.5, 0.1, 2),
        MaskOverlap("A", "C", "", 0.1, 0.1, 2),
        MaskOverlap("A", "C", "0.weight", 0.1, 0.1, 2),
    )
    output = " ".join(detail_words.overlap(overlap_chart.table(found, ["A", "B", "C"])))
    assert f"Most similar: A and B (50{NBSP}%; by chance 10{NBSP}%)." in output
    assert "Little or no more overlap than by chance: A and C." in output
    layers = overlap_chart.layers_table(found, "C", "A")
    assert detail_words.overlap_layers(layers, "C", "A")[1] == (
        "In 1 of 1 layers the overlap is hardly more than that."
    )
    none = overlap_chart.table((), ["A", "B"])
    assert "only runs with the same network and seed" in detail_words.overlap(none)[0]


def test_curves_that_still_rise_are_reported():
    rows = pd.DataFrame(
        {"series": ["A", "A", "B", "B"], "epoch": [1, 2, 1, 2], "accuracy": [0.5, 0.9, 0.9, 0.9]}
    )
    output = detail_words.curves(rows)
    assert f"Still rising by more than 1{NBSP}% per epoch at the end: A." in output[1]
    assert len(detail_words.curves(rows[rows["series"] == "B"])) == 1


def test_no_difference_is_larger_than_all_there_is():
    wild = grid({"prospr": (0.9,), "snip": (0.1,)}, sparsities=(0.99,), seeds=(0, 1), spread=0.4)
    assert "differences below about 100 points may be noise" in compare_words.noise(wild)


# Weights and channels


def both(budget: str = "parameters") -> pd.DataFrame:
    """One criterion, weights and channels, at two sparsities from three seeds."""
    return frame(
        cell("prospr", sparsity, seed, mean + 0.002 * seed, kind=kind)
        | ({"channel_budget": budget} if kind == "channels" else {})
        for kind, mean in (("weights", 0.95), ("channels", 0.9))
        for sparsity in (0.8, 0.9)
        for seed in (0, 1, 2)
    )


def test_kinds_are_compared_where_both_remove_the_same_share_of_the_weights():
    assert "ProsPr is best with 95.2" in compare_words.leader(both())
    assert compare_words.warnings(both()) == []
    assert "channels that are removed do not" in compare_words.caveats(both())
    assert "channels" not in compare_words.caveats(grid(TWO))


def test_shares_of_different_things_are_not_compared():
    table = both("operations")
    assert compare_words.leader(table) == ""
    (warning,) = compare_words.warnings(table)
    assert warning.startswith("Percentages are shares of the weights and the multiply-adds")
    channels = table[table["kind"] == "channels"]
    assert compare_words.warnings(channels) == []


def test_channels_are_no_control():
    assert analysis.controlled(both(), 10) == []
    assert analysis.originals(both()) == ["ProsPr", "ProsPr, channels"]


def test_a_criterion_that_trains_twice_as_long_is_called_a_reference():
    table = grid({"prospr": (0.95, 0.9), "magnitude_trained": (0.96, 0.95)})
    words = compare_words.caveats(table)
    assert "Magnitude after training is a reference, not a rival" in words
    assert "twice the training of the others" in words
    assert "twice" not in compare_words.caveats(grid(TWO))
