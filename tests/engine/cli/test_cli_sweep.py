"""``sweep`` on the command line: what it asks, tells, and leaves."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from engine.jobs.jobs_fakes import DIES, FINISHES, WORKER, end_workers
from processes import python

import prospr_engine as pe
from prospr_engine.cli import main as cli
from prospr_engine.cli import render_sweep
from prospr_engine.cli.render_sweep import Left, line, name, noise_sentence
from prospr_engine.errors import ScoringError
from prospr_engine.events import CellEnded, CellStarted
from prospr_engine.pipeline import run as pipeline
from prospr_engine.saliency import METHODS
from prospr_engine.store.store import Store
from prospr_engine.sweeps import table
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.table import row

QUICK = ["--model", "mlp", "--train-limit", "200", "--test-limit", "50", "--epochs", "1"]
GRID = [*QUICK, "--methods", "snip,random", "--sparsities", "0.5,95%", "--seeds", "0,1"]


def sweep(capsys: Any, *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["sweep", *map(str, arguments)])
    output = capsys.readouterr()
    return code, output.out.replace("\N{NO-BREAK SPACE}", " "), output.err.replace("\xa0", " ")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A finished sweep: its folder and what it wrote to standard output and error."""
    folder = tmp_path_factory.mktemp("cli") / "out"
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        assert cli.main(["sweep", *GRID, "--out", str(folder), "--json"]) == 0
    return folder, out.getvalue(), error.getvalue()


def test_a_sweep_prints_one_object_with_what_was_promised(swept):
    out, printed, _ = swept
    shown = json.loads(printed)
    assert set(shown) == {"out", "cells", "summary", "noise", "failed", "seconds", "estimate"}
    assert shown["out"] == str(out)
    assert shown["failed"] == 0
    assert len(shown["cells"]) == 8
    assert shown["cells"] == table.records(table.read(out / "cells.csv"))
    assert {cell["sparsity"] for cell in shown["cells"]} == {0.5, 0.95}
    assert [(g["method"], g["sparsity"], g["count"]) for g in shown["summary"]] == [
        ("snip", 0.5, 2), ("snip", 0.95, 2), ("random", 0.5, 2), ("random", 0.95, 2),
    ]  # fmt: skip
    first = shown["summary"][0]
    assert first["accuracy_low"] <= first["accuracy_mean"] <= first["accuracy_high"]
    assert shown["noise"] > 0
    assert shown["estimate"] > 0


def test_the_command_as_people_type_it(tmp_path):
    """In a process of its own, nothing but the object comes to standard output."""
    run = ["--methods", "random", "--epochs", 0, "--out", tmp_path / "out", "--json"]
    done = python("-m", "prospr_engine", "sweep", *QUICK, *run)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["state"] == "done"
    assert Path(cell["out"], "model.onnx").is_file()
    assert "1 cell" in done.stderr


def test_it_says_what_it_will_take_and_then_cell_by_cell_how_it_goes(swept):
    lines = swept[2].replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert lines[0] == "8 cells: 2 methods, 2 sparsities, 2 seeds."
    assert lines[1].startswith("2 dense networks to train, 4 scorings; about ")
    assert len(lines) == 2 + 8
    assert lines[2].startswith("[1 of 8] SNIP at 50 %, seed 0: ")
    assert lines[-1].startswith("[8 of 8] Random at 95 %, seed 1: ")
    assert "left" not in lines[-1]


def test_a_finished_sweep_is_printed_again(swept, capsys):
    out, printed, _ = swept
    code, shown, error = sweep(capsys, *GRID, "--out", out)
    assert code == 0
    assert error == "8 cells: 2 methods, 2 sparsities, 2 seeds.\n8 of them are already done.\n"
    rows = {line.split("  ")[0]: line for line in shown.splitlines() if "  " in line}
    assert set(rows) == {"Test accuracy", "SNIP", "Random", "dense network"}
    mean = json.loads(printed)["summary"][0]["accuracy_mean"]
    assert f"{100 * mean:.1f} ± " in rows["SNIP"]
    # Of two seeds and few test images.
    assert "2 seeds are too few: any difference may be noise" in shown
    assert f"{out}/cells.csv" in shown
    code, again, _ = sweep(capsys, *GRID, "--out", out, "--json", "--quiet")
    assert json.loads(again)["cells"] == json.loads(printed)["cells"]


def test_a_dry_run_only_prints_the_plan(swept, capsys, tmp_path):
    code, shown, error = sweep(capsys, *GRID, "--out", tmp_path / "new", "--dry-run", "--json")
    plan = json.loads(shown)
    assert code == 0
    assert {cell["state"] for cell in plan["cells"]} == {"waiting"}
    assert (len(plan["cells"]), plan["known"], plan["dense"], plan["scorings"]) == (8, 0, 2, 4)
    assert plan["estimate"] > 4
    assert "2 dense networks to train, 4 scorings" in error
    assert not (tmp_path / "new").exists()
    larger = [*GRID, "--seeds", "0,1,2", "--methods", "snip,random,synflow"]
    code, shown, _ = sweep(capsys, *larger, "--out", swept[0], "--dry-run", "--json")
    plan = json.loads(shown)
    assert (len(plan["cells"]), plan["known"], plan["dense"]) == (18, 8, 1)
    assert plan["scorings"] == 2 + 3 * 2  # of seed 2, and for each sparsity of SynFlow
    code, shown, _ = sweep(capsys, *GRID, "--out", swept[0], "--dry-run")
    assert (code, shown) == (0, "")


def test_everything_can_be_compared(capsys, tmp_path):
    arguments = ["--methods", "all", "--controls", "all", "--steps", "1,3", "--dry-run", "--json"]
    code, shown, error = sweep(capsys, *QUICK, *arguments, "--out", tmp_path)
    cells = json.loads(shown)["cells"]
    assert code == 0
    assert {cell["method"] for cell in cells} == set(METHODS)
    assert {cell["control"] for cell in cells} == {"none", "shuffle", "reinit", "random"}
    assert len(cells) == (len(METHODS) + 3) * 4  # three look ahead, each at two distances
    assert "M of 1, 3, 4 controls." in error


def test_settings_come_from_a_file_and_flags_go_before_them(swept, capsys, tmp_path):
    config = ["--config", swept[0] / "sweep.json", "--seeds", "5", "-o", "seed=3"]
    code, shown, _ = sweep(capsys, *config, "--out", tmp_path, "--dry-run", "--json")
    cells = json.loads(shown)["cells"]
    assert code == 0
    assert {(cell["model"], cell["seed"], cell["epochs"]) for cell in cells} == {("mlp", 5, 1)}
    assert {cell["method"]: cell["options"] for cell in cells} == {
        "snip": "",
        "random": '{"seed": 3}',
    }


def test_without_out_the_folder_is_named_by_the_settings(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, shown, _ = sweep(capsys, *QUICK, "--dry-run", "--json")
    assert json.loads(shown)["out"].startswith("runs/sweep-")


def test_a_failed_cell_is_listed_and_the_exit_code_is_1(capsys, tmp_path, monkeypatch):
    run = pipeline.run

    def fail(config, *arguments):
        if config.method == "snip":
            raise ScoringError("fc1: no [derivative].")
        return run(config, *arguments)

    monkeypatch.setattr(pipeline, "run", fail)
    arguments = [*QUICK, "--methods", "snip,random", "--out", tmp_path]
    code, shown, error = sweep(capsys, *arguments)
    assert code == 1
    assert "[1 of 2] SNIP at 90 %, seed 0: failed. fc1: no [derivative].\n" in error
    assert "1 cell of 2 failed:" in shown
    assert "✗ SNIP at 90 %, seed 0: fc1: no [derivative]." in shown
    assert "try them again" in shown
    assert "With 1 seed the noise is unknown; give more seeds." in shown
    code, shown, _ = sweep(capsys, *arguments, "--json")
    assert (code, json.loads(shown)["failed"], json.loads(shown)["noise"]) == (1, 1, None)
    assert json.loads(shown)["cells"][0]["accuracy"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "prosper"], "did you mean 'prospr'"),
        (["--methods", ""], "methods is empty"),
        (["--seeds", "0,0"], "seeds contains 0 more than once"),
        (["--seeds", "0-4"], "whole number"),
        (["--sparsities", "0.9,90%"], "sparsities contains 0.9 more than once"),
        (["--sparsities", "95"], "give 0.95"),
        (["--steps", "1", "--methods", "snip"], "looks ahead"),
        (["--steps", "1", "-o", "steps=2"], "remove one of them"),
        (["--controls", "shuffel"], "did you mean 'shuffle'"),
        (["-o", "temperature"], "name and a value"),
        (["--model", "resnet21"], "did you mean"),
        (["--data", "no/such/folder"], "no/such/folder"),
        (["--config", "nowhere.json"], "cannot be read"),
        (["--store", "x"], "leave out --out"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, capsys):
    arguments = [*QUICK, *arguments, "--quiet", "--json", "--out", tmp_path / "out"]
    code, shown, error = sweep(capsys, *arguments)
    assert code == 2
    assert words in error
    assert error.startswith("error: ")
    assert words in json.loads(shown)["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_the_folder_of_something_else_is_refused_before_anything_starts(tmp_path, capsys):
    (tmp_path / "result.json").write_text("{}")
    code, _, error = sweep(capsys, *QUICK, "--out", tmp_path)
    assert code == 2
    assert "is not the folder of a sweep" in error
    assert "cells" not in error


def test_the_help_lists_what_can_be_compared(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sweep", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--methods", "--sparsities", "--dry-run", "--train-lr"))
    assert not any(f"{flag} " in shown for flag in ("--method", "--sparsity", "--seed"))


# In the store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    yield store
    end_workers(store)


def stored(child, *arguments):
    code = (
        "import sys\n"
        "from prospr_engine.cli.main import main; from prospr_engine.jobs import spawn\n"
        f"spawn.COMMAND = (sys.executable, '-c', {WORKER.format(child=child)!r})\n"
        "sys.exit(main())"
    )
    return python("-c", code, "sweep", *arguments)


def test_a_sweep_in_the_store_reads_like_one_that_is_computed_here(store):
    arguments = ["--sparsities", "0.5,0.9", "--store", store.folder, "--name", "mine", "--json"]
    done = stored(FINISHES, *arguments)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    (study,) = store.studies()
    assert (study.name, shown["out"], shown["failed"]) == ("mine", None, 0)
    assert [cell["run"] for cell in shown["cells"]] == [
        run.id for run in store.study_runs(study.id)
    ]
    assert [cell["accuracy"] for cell in shown["cells"]] == [0.8, 0.8]
    assert "[2 of 2] ProsPr (M = 3) at 90" in done.stderr


def test_cells_in_the_store_that_do_not_end_well_are_exit_code_1(store):
    done = stored(DIES, "--sparsities", "0.5,0.9", "--store", store.folder)
    assert done.returncode == 1, done.stderr
    assert "2 cells of 2 failed" in done.stdout


# Words


def cell(**changes: Any) -> dict[str, Any]:
    return row(SweepConfig().cells()[0], None) | {"test_images": 360} | changes


@pytest.mark.parametrize(
    ("seeds", "noise", "words"),
    [
        ((0, 1, 2), 0.0123, "3 seeds: differences above 1.3 points are more than noise"),
        ((0, 1), 0.013, "2 seeds: differences above 1.3 points are more than noise"),
        ((0, 1), 0.0, "differences above 0.3 points"),  # a single image of 360
        ((0, 1), 1.3, "2 seeds are too few: any difference may be noise"),
        ((0,), None, "With 1 seed the noise is unknown; give more seeds."),
        ((0, 1), None, "no two seeds are done in every row"),
    ],
)
def test_what_is_said_of_noise(seeds, noise, words):
    assert words in noise_sentence([cell(seed=seed) for seed in seeds], noise)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "ProsPr (M = 3) at 90 %, seed 0"),
        ({"method": "snip", "steps": None, "sparsity": 0.9684}, "SNIP at 96.84 %, seed 0"),
        ({"control": "shuffle"}, "ProsPr (M = 3), mask shuffled at 90 %, seed 0"),
        ({"method": "of another version", "steps": None}, "of another version at 90 %, seed 0"),
    ],
)
def test_names_of_cells(changes, words):
    assert name(cell(**changes)).replace("\xa0", " ") == words


def test_the_time_left_follows_what_cells_took():
    left = Left([3.0, 1.0, 1.0, 0.0])
    assert left.seconds(4) is None
    left.ended(4, 0.0)  # known
    left.began(1, 0.0)
    left.ended(1, 6.0)
    assert left.seconds(4) == pytest.approx(2 * 2.0)
    left.began(2, 6.0)
    left.ended(2, 6.1, failed=True)
    assert left.seconds(4) == pytest.approx(2.0)
    unknown = Left(None)
    unknown.began(1, 0.0)
    unknown.ended(1, 5.0)
    assert unknown.seconds(3) == pytest.approx(10.0)


def test_a_line_says_how_a_cell_ended():
    done = cell(state="done", accuracy=0.931, dense_accuracy=0.964)
    shown = line(CellEnded(2, 36, done), 200.0).replace("\xa0", " ")
    assert shown == (
        "[2 of 36] ProsPr (M = 3) at 90 %, seed 0: 93.1 %, dense 96.4 %; about 3 min left"
    )
    failed = CellEnded(36, 36, cell(state="failed", error="No."), known=False)
    assert line(failed, 0.0).endswith("failed. No.")


def test_a_terminal_shows_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    done = cell(state="done", accuracy=0.9, dense_accuracy=0.9)
    with render_sweep.progress([1.0, 1.0]) as on_event:
        for number in (1, 2):
            on_event(CellStarted(number, 2, {}))
            on_event(CellEnded(number, 2, done))
    assert "2 of 2" in capsys.readouterr().err


def test_a_missing_cell_leaves_fewer_seeds_to_compare():
    rows = [cell(seed=seed) for seed in range(3)]
    assert "done in every row" not in noise_sentence(rows, 0.01)
    rows[2] = {**rows[2], "state": "failed"}
    assert "over the seeds that are done in every row" in noise_sentence(rows, 0.01)


def test_weights_and_channels_in_one_plan(capsys, tmp_path):
    lists = ["--methods", "snip,grasp", "--kinds", "all", "--controls", "none,shuffle"]
    command = [*QUICK, *lists, "--out", tmp_path / "out", "--dry-run", "--json"]
    code, shown, error = sweep(capsys, *command)
    assert code == 0
    plan = json.loads(shown)
    assert [(cell["method"], cell["kind"], cell["control"]) for cell in plan["cells"]] == [
        ("snip", "weights", "none"),
        ("snip", "weights", "shuffle"),
        ("snip", "channels", "none"),
        ("grasp", "weights", "none"),
        ("grasp", "weights", "shuffle"),
    ]
    # Both kinds rank by the same scores.
    assert (plan["dense"], plan["scorings"]) == (1, 2)
    lines = error.splitlines()
    assert lines[0].endswith("2 controls, weights and channels removed.")
    assert lines[1] == (
        "Left out where channels are removed: GraSP (it ranks single weights only) and controls "
        "(they move single weights)."
    )
    code, shown, _ = sweep(capsys, *QUICK, "--methods", "grasp", "--kinds", "channels", "--json")
    assert code == 2
    assert "add one of prospr" in json.loads(shown)["error"]["message"]


def test_channels_are_a_line_of_their_own(capsys):
    rows = [
        row(pe.RunConfig(method="snip", kind=kind, seed=seed), None, "failed", "No.")
        for kind in ("weights", "channels")
        for seed in (0, 1)
    ]
    assert [render_sweep.series(each) for each in rows[1:3]] == ["SNIP", "SNIP, channels"]
    assert name(rows[2]).replace("\N{NO-BREAK SPACE}", " ") == "SNIP, channels at 90 %, seed 0"
