"""``search`` on the command line: what it asks, tells, and leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine.jobs.jobs_fakes import FINISHES, WORKER, end_workers
from processes import python

import prospr_engine as pe
from prospr_engine.cli import main as cli
from prospr_engine.cli.search import milliseconds, operations, points, size
from prospr_engine.errors import ConfigError, ScoringError
from prospr_engine.jobs import spawn
from prospr_engine.pipeline import run as pipeline
from prospr_engine.store.store import Store

QUICK = ["--model", "mlp", "--train-limit", "200", "--test-limit", "50", "--epochs", "1"]


def search(capsys, *arguments):
    code = cli.main(["search", *map(str, arguments)])
    output = capsys.readouterr()
    return code, output.out.replace("\N{NO-BREAK SPACE}", " "), output.err.replace("\xa0", " ")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    settings = {"model": "mlp", "epochs": 0, "loading": {"train_limit": 200, "test_limit": 50}}
    return pe.run(pe.RunConfig.from_dict(settings), out=tmp_path_factory.mktemp("real")).to_dict()


@pytest.fixture
def runs(monkeypatch, template):
    """Runs that take no time: what is lost is the square of the sparsity."""
    done = []

    def run(config, on_event, should_stop, out, overwrite, shared):
        done.append(config)
        shown = {**template, "fingerprint": config.fingerprint}
        shown["accuracy"] = {"dense": 1.0, "pruned": 1 - config.sparsity**2}
        for epoch in shown["history"]:
            lost = config.sparsity**2 if epoch["network"] == "pruned" else 0.0
            epoch["validation_accuracy"] = 1 - lost
        shown["onnx"] = template["onnx"] | {
            "zipped": round(200_000 * (1 - config.sparsity)),
            "latency_ms": 2 * (1 - config.sparsity),
        }
        shown["operations"] = {"dense": 10**6, "pruned": round(10**6 * (1 - config.sparsity))}
        out.mkdir(parents=True)
        (out / "result.json").write_text(json.dumps(shown), "utf-8")
        return SimpleNamespace(to_dict=lambda: shown)

    monkeypatch.setattr(pipeline, "run", run)
    return done


def test_the_command_as_people_type_it(tmp_path):
    out = tmp_path / "out"
    command = [*QUICK, "--max-size", "30kB", "--max-tries", 2, "--out", out, "--json"]
    done = python("-m", "prospr_engine", "search", *command)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert {"out", "found", "value", "runs", "text", "trail", "config", "seconds"} <= set(shown)
    assert shown["value"] <= 30_000 < shown["trail"][0]["value"] * 1.5
    assert shown["config"]["most_bytes"] == 30_000
    assert (Path(shown["runs"][0]) / "model.onnx").is_file()
    assert done.stderr.count("Try ") == len(shown["trail"])
    for name in ("search.json", "trail.csv"):
        assert (out / name).is_file()


def test_the_trail_goes_to_standard_error_and_the_answer_to_standard_output(runs, capsys, tmp_path):
    code, out, err = search(
        capsys, *QUICK, "--max-loss", 4, "--seeds", "0,1", "--out", tmp_path / "out"
    )
    assert code == 0
    lines = err.splitlines()
    assert (
        lines[0] == "Try 1 of at most 8: 96.84 % of the weights removed: 93.8 points lost, too much"
    )
    assert "good enough" in err
    assert out.strip().startswith("Found: ")
    assert "at most 4 points of accuracy lost" in out
    assert "All tries are in" in out
    assert [config.seed for config in runs[:2]] == [0, 1]
    _, _, quiet = search(capsys, *QUICK, "--max-loss", 4, "--quiet", "--out", tmp_path / "other")
    assert quiet == ""


def test_a_goal_that_nothing_meets_ends_with_1(runs, capsys, tmp_path):
    code, out, _ = search(capsys, *QUICK, "--max-size", 100, "--out", tmp_path / "out", "--json")
    assert code == 1
    shown = json.loads(out)
    assert shown["found"] is None
    assert shown["ended"] == "never"
    assert shown["text"].startswith("Nothing found")


def test_settings_reach_the_runs_and_come_back_from_the_file(runs, capsys, tmp_path):
    flags = ["--method", "random", "--control", "shuffle", "--lowest", "20%", "--highest", "0.95"]
    flags += ["--max-tries", 3, "--max-loss", "0.5", "-o", "seed=4"]
    search(capsys, *QUICK, *flags, "--out", tmp_path / "a")
    first = pe.SearchConfig.read(tmp_path / "a" / "search.json")
    assert (first.run.method, first.run.control) == ("random", "shuffle")
    assert (first.lowest, first.highest, first.most_probes) == (0.2, 0.95, 3)
    assert first.most_lost == 0.005
    file = tmp_path / "a" / "search.json"
    search(capsys, "--config", file, "--max-size", "1MB", "--out", tmp_path / "b")
    second = pe.SearchConfig.read(tmp_path / "b" / "search.json")
    assert second.run == first.run
    assert (second.most_lost, second.most_bytes) == (None, 1_000_000)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "--max-loss 1 (points of accuracy), --max-size 100kB"),
        (["--max-loss", "1", "--most-ms", "2"], "give either --max-loss or --most-ms"),
        (["--most-operations", "few"], "give a number of multiply-adds, e.g. 20000000 or 20M"),
        (["--most-operations", "0.2"], "give a number of multiply-adds"),
        (["--most-operations", "nan"], "give a number of multiply-adds"),
        (["--most-ms", "0"], "--most-ms is '0'; give milliseconds"),
        (["--most-ms", "inf"], "give milliseconds"),
        (["--most-ms", "2"], "remove channels (kind='channels')"),
        (["--most-operations", "20M", "--kind", "weights"], "remove channels (kind='channels')"),
        (["--most-ms", "2", "--kind", "channels", "--method", "grasp"], "ranks single weights"),
        (["--max-loss", "1", "--max-size", "1MB"], "one goal; give either"),
        (["--max-loss", "a little"], "--max-loss is 'a little'; give points of accuracy"),
        (["--max-loss", "101"], "from 0 to 100"),
        (["--max-loss", "nan"], "from 0 to 100"),
        (["--max-size", "100 KiB"], "--max-size is '100 KiB'; give a size such as 100kB"),
        (["--max-size", "0"], "give a size such as"),
        (["--max-loss", "1", "--seeds", ""], "seeds is empty"),
        (["--max-loss", "1", "--seeds", "1,1"], "1 more than once"),
        (["--max-loss", "1", "--seeds", "one"], "give a whole number"),
        (["--max-loss", "1", "--lowest", "95%", "--highest", "0.5"], "lowest below the highest"),
        (["--max-loss", "1", "--max-tries", "0"], "at least 1"),
        (["--max-loss", "1", "--model", "mpl"], "did you mean 'mlp'"),
        (["--max-loss", "1", "--method", "prosper"], "did you mean 'prospr'"),
        (["--max-loss", "1", "--store", "x", "--out", "y"], "leave out --out"),
        (["--config", "none.json"], "none.json cannot be read"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(
    runs, capsys, tmp_path, monkeypatch, flags, sentence
):
    monkeypatch.chdir(tmp_path)
    code, out, err = search(capsys, "--model", "mlp", *flags, "--json")
    assert code == 2
    assert sentence in json.loads(out)["error"]["message"]
    assert "Traceback" not in err
    assert runs == []


@pytest.mark.parametrize(
    ("text", "bytes"),
    [
        ("100kB", 100_000),
        ("0.1MB", 100_000),
        ("100000", 100_000),
        (" 100 KB ", 100_000),
        (".1mb", 100_000),
        ("100000B", 100_000),
        ("2GB", 2_000_000_000),
        ("1.5kB", 1500),
    ],
)
def test_sizes(text, bytes):
    assert size(text) == bytes


@pytest.mark.parametrize("text", ["", "kB", "-1kB", "1,5kB", "100 KiB", "1e5", "0.0001kB", "1kB2"])
def test_what_is_no_size(text):
    with pytest.raises(ConfigError, match="give a size such as"):
        size(text)


def test_multiply_adds_and_milliseconds():
    assert [operations(text) for text in ("20000000", " 20M ", "20e6", "0.02g", "3k")] == [
        20_000_000, 20_000_000, 20_000_000, 20_000_000, 3000,
    ]  # fmt: skip
    assert [milliseconds(text) for text in ("2", " 0.5ms", "1e1")] == [2.0, 0.5, 10.0]


@pytest.mark.parametrize(
    ("flags", "found", "column"),
    [
        (["--most-operations", "300k"], 0.7, "operations"),
        (["--most-ms", "0.5"], 0.75, "latency_ms"),
    ],
)
def test_a_search_that_removes_channels(runs, capsys, tmp_path, flags, found, column):
    command = [*QUICK, *flags, "--kind", "channels", "--max-tries", 12, "--out", tmp_path, "--json"]
    code, out, _ = search(capsys, *command)
    assert code == 0
    shown = json.loads(out)
    assert found <= shown["found"] < 1 - (1 - found) / 1.1
    assert {config.kind for config in runs} == {"channels"}
    assert (tmp_path / "trail.csv").read_text().startswith(f"sparsity,met,{column},error,runs\n")


def test_points():
    assert [points(text) for text in ("1", " 0.5 ", "2%", "0")] == [1.0, 0.5, 2.0, 0.0]


def test_failures_are_in_the_trail(monkeypatch, capsys, tmp_path):
    def fail(*_):
        raise ScoringError("Too hot [bold].")

    monkeypatch.setattr(pipeline, "run", fail)
    code, out, err = search(capsys, *QUICK, "--max-loss", 1, "--out", tmp_path / "out")
    assert code == 1
    assert err.count("failed. Too hot [bold].") == 3
    assert "Nothing found: all 3 tries failed. " in " ".join(out.split("\n"))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    yield store
    end_workers(store)


def test_in_the_store(capsys, store, monkeypatch):
    worker = (sys.executable, "-c", WORKER.format(child=FINISHES))
    monkeypatch.setattr(spawn, "COMMAND", worker)
    code, out, err = search(
        capsys, *QUICK, "--max-loss", 10, "--store", store.folder, "--name", "mine", "--json"
    )
    shown = json.loads(out)
    assert (code, shown["out"], shown["found"]) == (0, None, 0.999), err
    (study,) = store.studies()
    assert (study.name, study.kind) == ("mine", "search")
    ids = [run.id for run in store.study_runs(study.id)]
    assert [run for probe in shown["trail"] for run in probe["runs"]] == ids
    assert err.count("Try ") == len(shown["trail"]) == 2
    _, out, _ = search(capsys, *QUICK, "--max-loss", 10, "--store", store.folder)
    again = [run.id for run in store.study_runs(store.studies()[0].id)]
    assert f"The network is in run {again[-1][:8]}." in out
