"""A row says what its cell is and what was found, under the same names whatever is known."""

from __future__ import annotations

import json

import pytest

from prospr_engine.config import RunConfig, ScoringConfig
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.sweeps.table import columns, frame, read, row

SUMMARY = {
    "accuracy": {"dense": 0.96, "pruned": 0.94},
    "loss": {"dense": 0.1, "pruned": 0.2},
    "sparsity": {"requested": 0.9, "achieved": 0.9001, "effective": 0.92},
    "kept": 100,
    "total": 1001,
    "bytes": 9000,
    "zipped": 3000,
    "seconds": 4.5,
    "test_images": 360,
    "trusted": True,
    "digest": "d1",
}


def test_a_row_has_every_column_in_order():
    for summary in (SUMMARY, None):
        assert list(row(RunConfig(), summary)) == columns()


SINCE = (
    "accuracy_before_pruning",
    "accuracy_after_pruning",
    "balanced_accuracy",
    "dense_balanced_accuracy",
    "rarest_images",
    "commonest_share",
    "dense_right_alone",
    "pruned_right_alone",
    "validation_accuracy",
    "dense_validation_accuracy",
    "operations",
    "dense_operations",
    "latency_ms",
    *(
        f"{figure}_{name.replace('-', '_')}"
        for figure in ("file_bytes", "zipped_bytes", "latency_ms")
        for name in ENCODINGS
        if name != "dense"
    ),
)
"""Figures that the summary lacks, being of an earlier version."""


def test_what_was_found_stands_in_its_column():
    config = RunConfig(model="mlp", sparsity=0.9, seed=4, epochs=2, control="shuffle")
    output = row(config, SUMMARY)
    assert output["change"] == pytest.approx(-0.02)
    assert {name: value for name, value in output.items() if name != "change"} == {
        "model": "mlp",
        "data": "digits",
        "method": "prospr",
        "steps": 3,
        "control": "shuffle",
        "kind": "weights",
        "channel_budget": "",
        "options": "",
        "seed": 4,
        "given": False,
        "epochs": 2,
        "sparsity": 0.9,
        "state": "done",
        "error": "",
        "achieved_sparsity": 0.9001,
        "effective_sparsity": 0.92,
        "total_weights": 1001,
        "kept_weights": 100,
        "accuracy": 0.94,
        "dense_accuracy": 0.96,
        **dict.fromkeys(SINCE),
        "loss": 0.2,
        "dense_loss": 0.1,
        "file_bytes": 9000,
        "zipped_bytes": 3000,
        "seconds": 4.5,
        "trusted": True,
        "test_images": 360,
        "digest": "d1",
        "fingerprint": config.fingerprint,
        "out": "",
    }


def test_steps_have_a_column_of_their_own_and_other_options_are_json():
    config = RunConfig(scoring=ScoringConfig(options={"steps": 1, "lr": 0.5, "momentum": 0.9}))
    output = row(config, None)
    assert output["steps"] == 1
    assert json.loads(output["options"]) == {"lr": 0.5, "momentum": 0.9}
    assert row(RunConfig(method="random"), None)["steps"] is None


def test_what_is_not_known_is_left_open():
    output = row(RunConfig(), None, "failed", "The scores are not finite.")
    assert (output["state"], output["error"]) == ("failed", "The scores are not finite.")
    assert (
        output["accuracy"]
        is output["change"]
        is output["kept_weights"]
        is output["trusted"]
        is None
    )
    assert output["digest"] == ""


def test_summaries_of_earlier_versions_and_methods_that_are_gone_still_make_a_row():
    old = {name: SUMMARY[name] for name in SUMMARY if name not in {"loss", "zipped", "digest"}}
    output = row(RunConfig(method="of another version"), old)
    assert (output["accuracy"], output["loss"], output["zipped_bytes"]) == (0.94, None, None)
    assert (output["digest"], output["steps"]) == ("", None)


def test_a_row_says_what_was_removed_and_what_its_sparsity_counts():
    output = row(RunConfig(kind="channels", channel_budget="operations"), None)
    assert (output["kind"], output["channel_budget"]) == ("channels", "operations")
    # A budget of channels says nothing of weights.
    output = row(RunConfig(channel_budget="operations"), None)
    assert (output["kind"], output["channel_budget"]) == ("weights", "")


def test_given_weights_are_in_the_table_without_their_path(tmp_path):
    table = frame([row(RunConfig(weights="/home/me/best.pt"), None, "waiting")])
    table.to_csv(tmp_path / "cells.csv", index=False)
    assert "best" not in (tmp_path / "cells.csv").read_text()
    assert read(tmp_path / "cells.csv")["given"].tolist() == [True]


def test_a_table_of_an_earlier_version_is_of_weights(tmp_path):
    now = frame([row(RunConfig(), None, "waiting")])
    path = tmp_path / "cells.csv"
    now.drop(columns=["kind", "channel_budget", "given", "operations"]).to_csv(path, index=False)
    again = read(path)
    assert again["kind"].tolist() == ["weights"]
    assert again["channel_budget"].tolist() == [""]
    assert again["given"].tolist() == [False]
    assert again["operations"].isna().all()
    assert list(again.columns) == columns()
