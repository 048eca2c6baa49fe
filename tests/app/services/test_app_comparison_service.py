"""What is compared: the table of a study or of any runs, and what their masks have in common."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from app_fakes import finished, found, running
from hypothesis import given
from hypothesis import strategies as some
from safetensors.numpy import save

from app.services import RunConfig, SweepConfig, compared_results, comparison, overlap, searches
from app.services.comparison import Comparison, frame, keep
from app.services.overlap import MaskOverlap, mask_overlaps
from benchmarks.made_up import FAILED, swept
from prospr_engine.config import ScoringConfig
from prospr_engine.errors import DataError
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.sweeps.search_config import SearchConfig
from prospr_engine.sweeps.table import columns

TWO = SweepConfig(methods=("prospr", "snip"), sparsities=(0.8, 0.95), seeds=(0, 1))


def of(store: Store, *runs: Run) -> Comparison:
    return comparison.of_runs([run.id for run in runs], "alice")


def names(*configs: RunConfig, store: Store) -> list[str]:
    """The names of the lines that these settings are drawn in, one for each."""
    runs = [store.submit(config, "") for config in configs]
    table = frame(of(store, *runs)).set_index("run")
    return [table.loc[run.id, "series"] for run in runs]


# The table


def test_a_study_is_a_table_with_a_row_per_run(store: Store):
    study = swept(store, "alice", TWO)
    compared = comparison.of_study(study.id, "alice")
    assert compared is not None
    assert compared.study == study
    assert not compared.live
    assert not compared.missing
    table = frame(compared)
    assert list(table.columns) == [*columns(), "run", "series", "order"]
    assert len(table) == len(TWO.cells())
    assert table["run"].tolist() == [run.id for run in store.study_runs(study.id)]
    assert dict(zip(table["series"], table["order"], strict=True)) == {"ProsPr": 0, "SNIP": 1}
    assert set(table["state"]) == {"done"}
    first = json.loads(store.files(compared.runs[0].id)["result.json"].path.read_text())
    assert table["accuracy"][0] == first["accuracy"]["pruned"]
    assert table["zipped_bytes"][0] == first["onnx"]["zipped"]
    assert compared.classes == 10


def test_what_is_not_done_has_a_row_too(store: Store):
    fates = {0.8: "done", 0.95: "failed"}
    study = swept(store, "alice", TWO, fate=lambda c: fates[c.sparsity] if c.seed == 0 else "")
    compared = comparison.of_study(study.id, "alice")
    assert compared
    assert compared.live
    table = frame(compared)
    assert table["state"].tolist() == ["done", "failed"] * 2 + ["waiting"] * 4
    assert set(table["error"]) == {"", FAILED}
    assert table["accuracy"].isna().tolist() == [False, True] * 2 + [True] * 4


def test_the_table_stays_the_same_object_until_a_run_changes(store: Store):
    study = swept(store, "alice", TWO, fate=lambda c: "done" if c.seed == 0 else "")

    def look() -> Any:
        compared = comparison.of_study(study.id, "alice")
        assert compared
        return compared.key, frame(compared)

    (key, table), (again, same) = look(), look()
    assert key == again
    assert table is same
    assert store.claim("test")
    other, changed = look()
    assert other != key
    assert changed["state"].tolist().count("running") == 1


def test_deleted_runs_of_a_sweep_are_counted(store: Store):
    study = swept(store, "alice", TWO)
    gone = store.study_runs(study.id)[3]
    store.delete(gone.id, "alice")
    compared = comparison.of_study(study.id, "alice")
    assert compared
    assert compared.missing == 1
    assert gone.id not in set(frame(compared)["run"])


def test_there_is_no_such_study(store: Store):
    assert comparison.of_study("zzz", "alice") is None
    assert comparison.of_study("'; DROP TABLE studies", "alice") is None


def test_any_runs_are_compared_in_the_order_of_the_address(store: Store):
    first = finished(store)
    second = running(store, config=RunConfig(sparsity=0.5))
    compared = comparison.of_runs([second.id, "0" * 32, first.id], "bob")
    assert [run.id for run in compared.runs] == [second.id, first.id]
    assert compared.missing == 1
    assert frame(compared)["state"].tolist() == ["running", "done"]


def test_an_address_names_each_run_once():
    assert comparison.chosen(" a,b, ,a,,c") == ["a", "b", "c"]
    assert comparison.chosen(",,") == []


def test_no_more_runs_than_an_address_may_name(store: Store):
    compared = comparison.of_runs(["0" * 32] * 5000, "alice")
    assert compared.missing == comparison.MOST


def test_what_another_version_wrote_has_no_row(store: Store):
    run, other = finished(store), finished(store, config=RunConfig(sparsity=0.5))
    compared = of(store, run, other)
    strange = Run(**{**vars(compared.runs[1]), "settings": {"model": "?", "wings": 2}})
    assert len(frame(Comparison((compared.runs[0], strange)))) == 1
    assert frame(Comparison((strange,))).empty


def test_paths_of_others_are_names(store: Store):
    run = store.submit(RunConfig(data="/home/alice/faces"), "alice")
    mine = comparison.of_runs([run.id], "alice")
    theirs = comparison.of_runs([run.id], "bob")
    assert frame(mine)["data"].tolist() == ["/home/alice/faces"]
    assert frame(theirs)["data"].tolist() == ["faces"]


def test_a_result_of_the_version_before_has_a_row(store: Store):
    """It knew neither the zipped size nor the digest."""
    run = finished(store)
    summary = {k: v for k, v in (run.summary or {}).items() if k not in ("zipped", "digest")}
    old = Run(**{**vars(run), "summary": summary})
    (row,) = frame(Comparison((old,))).to_dict("records")
    assert pd.isna(row["zipped_bytes"])
    assert row["digest"] == ""
    assert row["accuracy"] == pytest.approx(0.961)


# The names of lines


def test_a_line_is_called_by_its_criterion_if_that_tells_it(store: Store):
    assert names(RunConfig(), RunConfig(sparsity=0.5, seed=3), store=store) == ["ProsPr"] * 2
    assert names(RunConfig(method="random_erk"), store=store) == ["Random, ERK"]


@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ({"model": "resnet20"}, ["ProsPr, Small CNN", "ProsPr, ResNet-20"]),
        ({"data": "mnist"}, ["ProsPr, Digits", "ProsPr, MNIST"]),
        ({"epochs": 1}, ["ProsPr, 3 epochs", "ProsPr, 1 epoch"]),
        ({"control": "shuffle"}, ["ProsPr", "ProsPr, mask shuffled"]),
        ({"method": "snip"}, ["ProsPr", "SNIP"]),
        ({"kind": "channels"}, ["ProsPr", "ProsPr, channels"]),
        ({"kind": "channels", "channel_budget": "operations"}, ["ProsPr", "ProsPr, channels"]),
        # Budgets of channels do not concern weights.
        ({"channel_budget": "operations"}, ["ProsPr", "ProsPr"]),
        ({"layer_floor": 2}, ["ProsPr, layer floor 0", "ProsPr, layer floor 2"]),
        (
            {"layers": {"conv1": "dense", "fc*": 0.5}},
            ["ProsPr", "ProsPr, layer conv1 dense, layer fc* 50\N{NO-BREAK SPACE}% removed"],
        ),
    ],
)
def test_what_differs_stands_in_the_name(store: Store, settings: dict, called: list[str]):
    assert names(RunConfig(), RunConfig(**settings), store=store) == called


def test_channels_are_called_by_their_budget_where_that_differs(store: Store):
    channels = [
        RunConfig(kind="channels", channel_budget=budget)
        for budget in ("parameters", "operations", "channels")
    ]
    assert names(*channels[:2], RunConfig(layer_floor=2), store=store) == [
        "ProsPr, channels, share of weights",
        "ProsPr, channels, share of multiply-adds",
        "ProsPr",
    ]
    assert names(channels[2], store=store) == ["ProsPr"]


def test_channels_come_after_the_weights_and_controls_of_a_criterion(store: Store):
    configs = [
        RunConfig(method="snip"),
        RunConfig(kind="channels"),
        RunConfig(control="shuffle"),
        RunConfig(),
    ]
    runs = [store.submit(config, "") for config in configs]
    table = frame(of(store, *runs)).sort_values("order")
    assert table["series"].tolist() == ["ProsPr", "ProsPr, mask shuffled", "ProsPr, channels",
                                        "SNIP"]  # fmt: skip
    assert table["kind"].tolist() == ["weights", "weights", "channels", "weights"]


def test_steps_stand_in_the_name_only_of_criteria_that_differ_in_them(store: Store):
    one = RunConfig(scoring=ScoringConfig(options={"steps": 1}))
    three = RunConfig(scoring=ScoringConfig(options={"steps": 3}))
    usual, other = RunConfig(), RunConfig(method="magnitude")
    space = "\N{NO-BREAK SPACE}"
    called = names(one, usual, other, store=store)
    assert called == [f"ProsPr, M{space}={space}1", f"ProsPr, M{space}={space}3", "Magnitude"]
    # Whether the default was given does not matter.
    assert names(three, usual, other, store=store) == ["ProsPr", "ProsPr", "Magnitude"]


def test_options_stand_in_the_name(store: Store):
    fast = RunConfig(scoring=ScoringConfig(options={"lr": 0.5}))
    called = names(fast, RunConfig(), RunConfig(method="random"), store=store)
    assert called == ["ProsPr, lr 0.5", "ProsPr", "Random"]


def test_lines_stand_in_the_order_of_the_criteria(store: Store):
    configs = [
        RunConfig(method=method, control=control)
        for method, control in itertools.product(("random", "snip", "prospr"), ("reinit", "none"))
    ]
    runs = [store.submit(config, "") for config in configs]
    table = frame(of(store, *runs)).sort_values("order")
    assert table["series"].tolist() == [
        "ProsPr", "ProsPr, new weights", "SNIP", "SNIP, new weights", "Random",
        "Random, new weights",
    ]  # fmt: skip


def test_two_lines_never_have_one_name(store: Store):
    """Two uploads may be called alike."""
    configs = [RunConfig(data=f"/{folder}/faces") for folder in "ab"]
    runs = [store.submit(config, "alice") for config in configs]
    table = frame(comparison.of_runs([run.id for run in runs], "alice"))
    assert table["series"].tolist() == ["ProsPr, faces", "ProsPr, faces (2)"]
    assert table["order"].tolist() == [0, 1]


# Filters


def test_what_is_wanted_stays(store: Store):
    study = swept(store, "alice", SweepConfig(methods=("prospr", "snip"), steps=(1, 3)))
    compared = comparison.of_study(study.id, "alice")
    assert compared
    table = frame(compared)
    assert len(keep(table)) == len(keep(table, method=[], seed=())) == 3
    assert set(keep(table, method=["snip"])["series"]) == {"SNIP"}
    # Who looks no steps ahead is not left out by them.
    assert keep(table, steps=[1])["method"].tolist() == ["prospr", "snip"]
    assert keep(table, method=["snip"], seed=[5]).empty


# Masks


def masks(*kept: np.ndarray) -> bytes:
    layers = {f"{number}.weight": mask for number, mask in enumerate(kept)}
    return save(layers, {"prospr": json.dumps({"names": list(layers), "metadata": {}})})


def run_with(store: Store, *kept: np.ndarray, **settings: Any) -> Run:
    files = {"masks.safetensors": masks(*kept)}
    return finished(store, config=RunConfig(**settings), files=files)


def at(*places: int, size: int = 12) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[list(places)] = True
    return mask.reshape(3, -1)


def test_two_masks_by_hand(store: Store):
    one = run_with(store, at(0, 1, 2), at(0, 1))
    other = run_with(store, at(1, 2, 3), at(5), method="snip")
    whole, first, second = mask_overlaps({"A": [one], "B": [other]})
    assert (first.layer, first.jaccard) == ("0.weight", 2 / 4)
    assert (second.layer, second.jaccard) == ("1.weight", 0.0)
    assert (whole.layer, whole.jaccard, whole.seeds) == ("", 2 / 7, 1)
    by_chance = 3 * 3 / 12 + 2 * 1 / 12
    assert whole.chance == pytest.approx(by_chance / (3 + 3 + 2 + 1 - by_chance))
    assert first.chance == pytest.approx(0.75 / (6 - 0.75))


def test_runs_are_paired_by_seed_and_their_mean_is_reported(store: Store):
    lines = {
        name: [run_with(store, at(*kept), method=name, seed=seed) for seed, kept in of_seed]
        for name, of_seed in {
            "prospr": [(0, (0, 1)), (1, (0, 1))],
            "snip": [(1, (0, 1)), (0, (1, 2)), (7, (3,))],
            "random": [(9, (0, 1))],
        }.items()
    }
    found = mask_overlaps(lines)
    assert {(one.first, one.second) for one in found} == {("prospr", "snip")}
    assert found[0].jaccard == pytest.approx((1 / 3 + 1) / 2)
    assert found[0].seeds == 2


def test_masks_of_different_networks_are_not_paired(store: Store):
    one = run_with(store, at(0))
    other = run_with(store, at(0, size=9), method="snip")
    assert mask_overlaps({"A": [one], "B": [other]}) == ()


def test_where_neither_keeps_anything_there_is_nothing_to_share(store: Store):
    one, other = run_with(store, at(), at(1)), run_with(store, at(), at(1), method="snip")
    _, empty, full = mask_overlaps({"A": [one], "B": [other]})
    assert (empty.jaccard, empty.chance, empty.seeds) == (None, None, 0)
    assert full.jaccard == 1.0


def test_a_missing_file_is_a_sentence(store: Store):
    one, other = run_with(store, at(0)), run_with(store, at(1), method="snip")
    store.files(other.id)["masks.safetensors"].path.unlink()
    with pytest.raises(DataError, match="no longer on the server"):
        mask_overlaps({"A": [one], "B": [other]})


@given(some.data())
def test_packed_masks_share_what_sets_share(data: Any):
    size = data.draw(some.integers(1, 40))
    bits = some.lists(some.booleans(), min_size=size, max_size=size).map(lambda b: np.array(b))
    one, other = data.draw(bits), data.draw(bits)
    packed = [{"w": overlap.Packed(m.shape, np.packbits(m), int(m.sum()))} for m in (one, other)]
    ((_, whole), (_, layer)) = overlap._shared(*packed)
    sets = [set(np.flatnonzero(mask)) for mask in (one, other)]
    assert (whole.both, whole.either) == (len(sets[0] & sets[1]), len(sets[0] | sets[1]))
    assert (layer.both, layer.either) == (whole.both, whole.either)


def test_random_masks_share_what_chance_gives(store: Store):
    random = np.random.default_rng(0)
    runs = [run_with(store, random.random((100, 100)) < 0.3, method=m) for m in ("random", "snip")]
    whole, _ = mask_overlaps({"A": [runs[0]], "B": [runs[1]]})
    assert whole.jaccard == pytest.approx(whole.chance, abs=0.01)
    assert isinstance(whole, MaskOverlap)


# Results and searches


def test_results_are_read_as_far_as_they_are_there(store: Store):
    study = swept(store, "alice", TWO)
    runs = store.study_runs(study.id)
    lines = {"ProsPr": [runs[0], runs[4]], "SNIP": [runs[2]]}
    found, gone = compared_results.results(lines)
    assert gone == 0
    assert [result.config.seed for result in found["ProsPr"]] == [0, 1]
    assert found["SNIP"][0].config == runs[2].config
    store.files(runs[2].id)["result.json"].path.unlink()
    found, gone = compared_results.results(lines)
    assert (list(found), gone) == (["ProsPr"], 1)


def test_a_result_of_the_version_before_has_no_counts_by_class(store: Store):
    found, gone = compared_results.results({"ProsPr": [finished(store)]})
    assert gone == 0
    assert found["ProsPr"][0].per_class is None


def test_a_search_says_what_it_found(store: Store):
    from benchmarks.made_up import end

    study = store.submit_study("search", SearchConfig(most_lost=0.05), "alice")
    while run := store.claim("test"):
        end(store, run)
    compared = comparison.of_study(study.id, "alice")
    assert compared
    output = searches.search_result(compared)
    assert output is not None
    assert output.sentences[0].startswith("Found:")
    assert len(output.trail) == len(output.lines) == len(compared.runs)
    assert found(store, output.runs[0]).state == "done"
    sweep = comparison.of_study(swept(store, "alice", TWO).id, "alice")
    assert sweep
    assert searches.search_result(sweep) is None
    assert searches.search_result(of(store, finished(store))) is None
