"""What is said of a run while it works, and of its files: pure functions."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import pytest
from app_fakes import finished, record

from app.run import stages
from app.run.files import file_name
from app.services import Check
from app.services.run_events import RunEvents
from app.ui.code import command, program, uploads
from app.ui.proof import explained
from app.ui.time_left import AFTER, seconds_left
from prospr_engine.config import RunConfig
from prospr_engine.report.tables import layers_csv, training_csv
from prospr_engine.store.store import Store

START = 1000.0  # seconds since 1970, when the first stage began


def stage(name: str, at: float) -> dict[str, Any]:
    return {"event": "StageStarted", "stage": name, "text": name, "time": START + at}


def trained(done: int, at: float, total: int = 100) -> dict[str, Any]:
    return {"event": "Progress", "stage": "train", "done": done, "total": total,
            "unit": "batches", "text": "", "time": START + at}  # fmt: skip


def left(*events: dict[str, Any], now: float, **known: float) -> float | None:
    return seconds_left(RunEvents().extended(events), START + now, **known)


def position(*events: dict[str, Any]) -> stages.Position:
    return stages.position(RunEvents().extended(events), epochs=3)


def test_nothing_is_said_when_nothing_is_known():
    assert left(now=5) is None
    assert left(now=5, estimate=60) is None  # the engine has not even started
    assert left(stage("data", 0), now=5) is None
    assert left(stage("data", 0), stage("train", 5), trained(0, 5), now=6) is None
    assert left(stage("data", 0), stage("train", 5), trained(1, 5.1), now=6) is None


def test_before_the_training_the_estimate_counts_down():
    assert left(stage("data", 0), now=10, estimate=60) == pytest.approx(50)
    assert left(stage("data", 0), stage("score", 9), now=59, estimate=60) == pytest.approx(1)


def test_an_estimate_that_is_used_up_says_nothing_any_more():
    assert left(stage("data", 0), now=61, estimate=60) is None
    assert left(stage("data", 0), stage("test", 50), now=50 + AFTER, estimate=99) is None


def test_training_tells_by_its_own_pace_whatever_was_expected():
    events = (stage("data", 0), stage("train", 10), trained(25, 20))
    # 10 s for a quarter, and 2 s have passed since it was told
    assert left(*events, now=22) == pytest.approx(28 + AFTER)
    assert left(*events, now=22, estimate=9999) == pytest.approx(28 + AFTER)


def test_after_the_training_there_is_what_test_and_export_usually_take():
    events = (stage("data", 0), stage("train", 10), trained(100, 50), stage("test", 50))
    assert left(*events, now=52, estimate=9999) == pytest.approx(AFTER - 2)


def test_it_is_never_negative():
    """A batch that takes longer than all before it together."""
    events = (stage("data", 0), stage("train", 0), trained(99, 10))
    for now in (10, 11, 1000):
        output = left(*events, now=now)
        assert output is not None
        assert output >= 0


def test_a_steady_training_is_reported_steadily():
    """By the second, what is left falls by a second, whenever the last event came."""
    for now in range(20, 60):
        done = now - 10 - now % 3  # told every three seconds
        events = (stage("data", 0), stage("train", 10), trained(done, 10 + done))
        assert left(*events, now=now) == pytest.approx(110 - now + AFTER)


# Stages


BOTH_ORDERS = [stages.of_method(name) for name in ("prospr", "magnitude_trained")]


def test_a_network_that_is_trained_first_has_a_stage_for_it():
    before, after = map(list, BOTH_ORDERS)
    assert "dense" not in before
    assert after.index("dense") < after.index("score") < after.index("train")


@pytest.mark.parametrize("known", BOTH_ORDERS, ids=("before", "after"))
def test_the_stages_have_words_and_shares(known: stages.Stages):
    assert sum(share for _, share in known.values()) == pytest.approx(1)


@pytest.mark.parametrize("known", BOTH_ORDERS, ids=("before", "after"))
def test_progress_never_falls_from_stage_to_stage(known: stages.Stages):
    shares = []
    for name in known:
        for done in (0, 50, 100):
            events = [stage(name, 0), {**trained(done, 1), "stage": name}]
            found = stages.position(RunEvents().extended(events), 3, known)
            shares.append(found.share)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, pytest.approx(1))


@pytest.mark.parametrize(("done", "epoch"), [(0, 1), (32, 1), (34, 2), (99, 3), (100, 3)])
def test_training_tells_its_epoch(done: int, epoch: int):
    assert position(stage("train", 0), trained(done, 1)).text == f"train: epoch {epoch} of 3"


def test_a_stage_that_nobody_knows_is_reported_in_its_own_words():
    assert position(stage("polish", 0)) == stages.Position("polish", 0.0, "polish")
    assert "**" not in stages.row("polish")


# The proof


NAMES = ("file", "onnx", "record", "graph", "weights", "zeros", "masks", "logits", "sample")
CHECKS = [Check(name, True, f"Technical {name}.") for name in NAMES]


def test_a_proof_that_holds_is_reported_in_four_sentences():
    lines = explained(CHECKS)
    assert len(lines) == 4
    assert all(ok for ok, _, _ in lines)
    behind = " ".join(technical for _, _, technical in lines)
    assert all(check.text in behind for check in CHECKS)


def test_what_failed_comes_first_and_is_not_explained_away():
    checks = [dataclasses.replace(c, ok=c.name != "logits") for c in CHECKS]
    lines = explained(checks)
    assert lines[0] == (False, "Technical logits.", "")
    assert "It gives the same answers as the trained network." not in [text for _, text, _ in lines]


def test_a_check_without_plain_words_keeps_its_own():
    assert explained([Check("new", True, "Fine too.")]) == [(True, "Fine too.", "")]


# Files


def test_downloads_are_called_by_what_they_are_of(store: Store):
    one, other = (finished(store, config=RunConfig(sparsity=0.985, seed=s)) for s in (1, 2))
    name = file_name(one, "model.onnx")
    assert name == f"small_cnn-digits-98.5-{one.id[:6]}-model.onnx"
    assert file_name(other, "model.onnx") != name


def test_no_name_of_an_upload_or_a_model_breaks_a_file_name(store: Store):
    token = f"upload:{'a' * 64}/ça & là.zip"
    run = finished(store, config=RunConfig(model="torchvision/resnet18", data=token))
    name = file_name(run, "model.onnx")
    assert name == f"torchvision_resnet18-ça_là-90-{run.id[:6]}-model.onnx"


def test_tables_hold_what_the_result_holds():
    layers = list(csv.DictReader(io.StringIO(layers_csv(record()).decode())))
    assert [row["name"] for row in layers] == ["0.0.weight", "1.0.weight", "6.weight"]
    assert [int(row["kept"]) for row in layers] == [113, 1489, 0]
    epochs = list(csv.DictReader(io.StringIO(training_csv(record()).decode())))
    assert len(epochs) == 6
    assert float(epochs[-1]["validation_accuracy"]) == 0.93


# Code


def test_code_calls_uploads_by_their_own_names():
    token = f"upload:{'a' * 64}/cats.zip"
    config = RunConfig(data=token)
    assert uploads(config) == ["cats.zip"]
    assert uploads(RunConfig()) == []
    assert "--data cats.zip" in command(config, 1)
    assert "data='cats.zip'" in program(config, 1)
    assert token not in command(config, 1) + program(config, 1)
