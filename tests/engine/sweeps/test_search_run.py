"""A search runs what bisection asks for, once, and goes on where it was broken off."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from processes import kill_in_third_run

import prospr_engine as pe
from prospr_engine.errors import ConfigError, DataError, ScoringError, Stopped
from prospr_engine.events import CellEnded, CellStarted, StageStarted
from prospr_engine.pipeline import run as pipeline
from prospr_engine.sweeps.search import Probed

QUICK = {
    "model": "mlp",
    "epochs": 1,
    "loading": {"train_limit": 200, "test_limit": 50},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """What a real run says."""
    return pe.run(pe.RunConfig.from_dict(QUICK), out=tmp_path_factory.mktemp("real")).to_dict()


@pytest.fixture
def runs(monkeypatch, template):
    """Runs that take no time: accuracy falls and the file shrinks steadily. The list of those
    that were done; ``fails`` on it holds what some raise, by sparsity and seed."""

    class Runs(list):
        fails: dict = {}  # noqa: RUF012

    done = Runs()

    def run(config, on_event, should_stop, out, overwrite, shared):
        if error := done.fails.get((config.sparsity, config.seed)):
            raise error
        done.append((config.sparsity, config.seed))
        lost = config.sparsity**8 * (0.9 + 0.2 * config.seed)
        output = json.loads(json.dumps(template))
        output["fingerprint"], output["config"] = config.fingerprint, config.to_dict()
        output["accuracy"] = {"dense": 0.95, "pruned": 0.95 - lost - 0.02}  # must not decide
        for epoch in output["history"]:
            epoch["validation_accuracy"] = 0.9 - lost * (epoch["network"] == "pruned")
        output["onnx"]["zipped"] = round(1_000_000 * (1 - config.sparsity)) + 500 * config.seed
        out.mkdir(parents=True, exist_ok=True)
        (out / "result.json").write_text(json.dumps(output), "utf-8")
        return SimpleNamespace(to_dict=lambda: output)

    monkeypatch.setattr(pipeline, "run", run)
    return done


def test_the_sparsest_network_that_loses_no_more_than_allowed(runs, tmp_path):
    heard = []
    found = pe.search(
        **QUICK, most_lost=0.1, seeds=(0, 1), out=tmp_path / "out", on_event=heard.append
    )
    threshold = 0.1 ** (1 / 8)  # mean of the seeds: s ** 8
    assert threshold - 0.03 < found.found <= threshold
    assert found.outcome.value == pytest.approx(found.found**8)
    assert found.outcome.tested == pytest.approx(found.found**8 + 0.02)
    probes = [event for event in heard if isinstance(event, Probed)]
    assert [event.probe["sparsity"] for event in probes] == [p.sparsity for p in found.trail]
    assert [event.number for event in probes] == list(range(1, len(probes) + 1))
    assert runs == [(p.sparsity, seed) for p in found.trail for seed in (0, 1)]
    assert sum(isinstance(event, CellStarted) for event in heard) == len(runs)
    assert all(event.row["state"] == "done" for event in heard if isinstance(event, CellEnded))
    best = [Path(run) for run in found.outcome.runs]
    assert [json.loads((run / "result.json").read_text())["config"]["seed"] for run in best] == [
        0,
        1,
    ]
    json.dumps(found.to_dict())


def test_the_least_sparse_network_that_fits(runs, tmp_path):
    # These sizes are far from those of the network, and so is the first guess: it takes more tries.
    found = pe.search(
        **QUICK, most_bytes=50_000, seeds=(0, 1), most_probes=12, out=tmp_path / "out"
    )
    assert 0.9505 <= found.found < 0.956
    assert found.outcome.value <= 50_000


def test_settings_of_layers_bound_the_search(runs, tmp_path):
    """Where one layer keeps all of its weights, more than the rest of them cannot go."""
    from prospr_engine.models.outline import outline

    weights = {
        n: p.numel() for n, p in outline("mlp", (1, 8, 8), 10).named_parameters() if p.dim() > 1
    }
    name = max(weights, key=weights.__getitem__)
    most = 1 - weights[name] / sum(weights.values())
    found = pe.search(**QUICK, layers={name: "dense"}, most_lost=0.1, out=tmp_path / "out")
    assert found.config.highest == pytest.approx(most, abs=1e-4)
    assert found.config.highest <= most
    assert found.found == found.config.highest  # everything there loses less
    with pytest.raises(ConfigError, match="change one of the two"):
        pe.search(**QUICK, layers={name: "dense"}, most_lost=0.1, lowest=0.99, out=tmp_path / "no")
    with pytest.raises(ConfigError, match="There is no layer called"):
        pe.search(**QUICK, layers={f"{name}x": "dense"}, most_lost=0.1, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_guess_is_taken_where_one_can_be_had(tmp_path):
    """A real search: its first try is already close to the size that was asked for."""
    found = pe.search(**QUICK, most_bytes=30_000, out=tmp_path / "out")
    assert found.trail[0].value == pytest.approx(30_000, rel=0.25)
    assert len(found.trail) <= 5
    zipped = tmp_path / "model.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(Path(found.outcome.runs[0], "model.onnx"), "model.onnx")
    assert zipped.stat().st_size == pytest.approx(found.outcome.value, rel=0.01)


def test_the_folder_contains_the_trail(runs, tmp_path):
    found = pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    with (tmp_path / "out" / "trail.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["sparsity"]) for row in rows] == [p.sparsity for p in found.trail]
    assert [row["met"] == "True" for row in rows] == [p.met for p in found.trail]
    assert float(rows[0]["accuracy_lost"]) == found.trail[0].value
    assert float(rows[0]["tested_lost"]) == found.trail[0].tested
    assert (tmp_path / "out" / "cells" / rows[0]["runs"] / "result.json").is_file()
    assert pe.SearchConfig.read(tmp_path / "out" / "search.json") == found.config


def test_what_is_known_is_not_computed_again(runs, tmp_path):
    first = pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    done = len(runs)
    again = pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    assert (again.trail, len(runs)) == (first.trail, done)
    shutil.rmtree(first.trail[-1].runs[0])
    assert pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out").trail == first.trail
    assert len(runs) == done + 1
    other = pe.search(**QUICK, most_lost=0.2, out=tmp_path / "out")  # first try: the same
    assert other.found > first.found
    assert len(set(runs)) == len(runs) - 1


def test_a_run_that_fails_is_a_try_that_did_not_meet_the_goal(runs, tmp_path):
    first = pe.search(**QUICK, most_lost=0.1, seeds=(0, 1), out=tmp_path / "a")
    runs.clear()
    runs.fails[first.found, 0] = ScoringError("Too hot.")
    second = pe.search(**QUICK, most_lost=0.1, seeds=(0, 1), out=tmp_path / "b")
    assert second.found < first.found
    (failed,) = [probe for probe in second.trail if probe.error]
    assert (failed.sparsity, failed.met, failed.value) == (first.found, False, None)
    assert failed.error == "Too hot."
    assert len(failed.runs) == 1, "its other seeds are not waited for"
    assert "Too hot." in second.outcome.text
    runs.fails.clear()
    mended = pe.search(**QUICK, most_lost=0.1, seeds=(0, 1), out=tmp_path / "b")
    assert mended.found == first.found, "the next start tries again"


def test_a_fault_of_the_engine_is_reported_like_any_failure(runs, tmp_path, caplog):
    runs.fails[0.9684, 0] = ZeroDivisionError("oh")
    found = pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    assert found.found
    assert "broke off unexpectedly (ZeroDivisionError: oh)" in found.trail[0].error
    assert "ZeroDivisionError" in caplog.text


def test_stopping(runs, tmp_path):
    def stop(event):
        if isinstance(event, Probed) and event.number == 2:
            asked.append(event)

    asked = []
    with pytest.raises(Stopped):
        pe.search(
            **QUICK,
            most_lost=0.1,
            out=tmp_path / "out",
            on_event=stop,
            should_stop=lambda: bool(asked),
        )
    assert len((tmp_path / "out" / "trail.csv").read_text().splitlines()) == 3
    found = pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    assert len(runs) == len(set(runs)) == len(found.trail)


def test_a_listener_that_fails_ends_the_search(runs, tmp_path):
    def angry(event):
        if isinstance(event, CellStarted):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out", on_event=angry)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"most_lost": 0.1, "data": "no/such"}, DataError, "no/such"),
        ({"most_lost": 0.1, "model": "smal_cnn"}, ConfigError, "did you mean 'small_cnn'"),
        ({"most_bytes": 9, "model": "smal_cnn"}, ConfigError, "did you mean 'small_cnn'"),
        ({"most_lost": 0.1, "most_probe": 3}, ConfigError, "did you mean 'most_probes'"),
        ({"most_lost": 0.1, "sparsity": 0.5}, ConfigError, "no setting 'sparsity'"),
        ({}, ConfigError, "one goal"),
        ({"run": pe.RunConfig(), "most_lost": 0.1}, ConfigError, "either run or"),
    ],
)
def test_what_no_try_could_do_without_is_reported_at_once(
    runs, tmp_path, settings, error, sentence
):
    with pytest.raises(error, match=sentence):
        pe.search(**{**QUICK, **settings}, out=tmp_path / "out")
    assert runs == []


def test_a_folder_is_one_search_and_one_process(runs, tmp_path):
    pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="a different epochs: 1 there, 2 here"):
        pe.search(**{**QUICK, "epochs": 2}, most_lost=0.1, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="is not the folder of a sweep"):
        pe.sweep(**QUICK, out=tmp_path / "out")
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(ConfigError, match="Another process"):
        pe.search(**QUICK, most_lost=0.1, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="not both"):
        pe.search(pe.SearchConfig(most_lost=0.1), seeds=(1,))


def test_killed_and_started_again(tmp_path):
    """For real: SIGKILL in the middle, and nothing that was done is done again."""
    goal = {**QUICK, "most_lost": 0.05, "most_probes": 4, "out": str(tmp_path / "out")}
    kill_in_third_run(f"import prospr_engine as pe; pe.search(**{goal!r}, on_event=hold)")
    results = (tmp_path / "out").glob("cells/*/result.json")
    before = {path: path.stat().st_mtime_ns for path in results}
    assert len(before) == 2
    heard = []
    found = pe.search(**goal, on_event=heard.append)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert found.outcome.ended
    known = [event for event in heard if isinstance(event, CellEnded) and event.known]
    assert len(known) == len(before)
    assert not [e for e in heard if isinstance(e, StageStarted) and "Scoring" in e.text]
