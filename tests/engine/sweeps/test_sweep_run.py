"""A sweep computes every cell once, shares what cells have in common, and survives what comes."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from processes import kill_in_third_run, python

import prospr_engine as pe
from prospr_engine.errors import (
    ConfigError,
    DataError,
    DiskError,
    ResourceError,
    ScoringError,
    Stopped,
)
from prospr_engine.events import CellEnded, CellStarted, EpochEnded, Event, StageStarted
from prospr_engine.pipeline import run as pipeline
from prospr_engine.sweeps import table

QUICK: dict[str, Any] = {
    "model": "mlp",
    "epochs": 1,
    "loading": {"train_limit": 200, "test_limit": 50},
    "device": "cpu",
}
GRID: dict[str, Any] = {
    **QUICK,
    "methods": ("prospr", "random"),
    "sparsities": (0.5, 0.9),
    "seeds": (0, 1),
}


class Heard(list[Event]):
    """A listener that remembers."""

    def of(self, kind: type) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]

    def scorings(self) -> int:
        return sum("Scoring" in event.text for event in self.of(StageStarted))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Heard]:
    """A finished sweep of 2 methods, 2 sparsities and 2 seeds: not to be written to."""
    out, heard = tmp_path_factory.mktemp("swept") / "out", Heard()
    return out, pe.sweep(**GRID, out=out, on_event=heard.append), heard


@pytest.fixture
def broken_off(swept, tmp_path: Path) -> Path:
    """A copy of the sweep in which the runs of "random" from seed 1 are still to be done."""
    shutil.copytree(swept[0], tmp_path / "out")
    for path in tmp_path.glob("out/cells/random-*-seed1-*"):
        shutil.rmtree(path)
    return tmp_path / "out"


def test_the_table_has_a_row_for_every_cell_in_their_order(swept):
    out, frame, _ = swept
    assert list(frame.columns) == table.columns()
    assert frame.index.tolist() == list(range(8))
    assert frame["fingerprint"].tolist() == [
        cell.fingerprint for cell in pe.SweepConfig.of(**GRID).cells()
    ]
    assert (frame["state"] == "done").all()
    assert frame["steps"].isna().tolist() == [False, False, True, True] * 2
    assert frame["achieved_sparsity"].to_numpy() == pytest.approx(frame["sparsity"], abs=1e-3)
    assert (frame["change"] == frame["accuracy"] - frame["dense_accuracy"]).all()
    assert (frame["kept_weights"] < frame["total_weights"]).all()
    assert frame.attrs["out"] == str(out)
    assert frame.attrs["seconds"] > 0


def test_a_cell_is_what_its_run_alone_would_be(swept, tmp_path):
    _, frame, _ = swept
    cell = pe.SweepConfig.of(**GRID).cells()[3]  # shares the dense network and the scores
    alone = pe.run(cell, out=tmp_path)
    assert alone.accuracy == {
        "dense": frame.loc[3, "dense_accuracy"],
        "pruned": frame.loc[3, "accuracy"],
    }
    assert alone.loss["pruned"] == frame.loc[3, "loss"]
    for name in ("model.onnx", "masks.safetensors"):
        assert (tmp_path / name).read_bytes() == Path(frame.loc[3, "out"], name).read_bytes()


def test_what_cells_share_is_computed_once(swept):
    _, _, heard = swept
    assert heard.scorings() == 4  # methods × seeds, not × sparsities
    training = [e.network for e in heard.of(EpochEnded) if e.seconds]
    seconds = [r["seconds_of"] for r in results(swept[0])]
    assert sum(s["training_dense"] > 0 for s in seconds) == 2  # seeds
    assert sum(s["scoring"] > 0 for s in seconds) == 4
    assert Counter(training)["pruned"] == 8
    dense = swept[1].groupby("seed")["dense_accuracy"].nunique()
    assert dense.tolist() == [1, 1]


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text("utf-8")) for p in sorted(out.glob("cells/*/result.json"))]


def test_every_cell_reports_its_start_and_end(swept):
    _, frame, heard = swept
    assert [(e.number, e.cells) for e in heard.of(CellStarted)] == [(i + 1, 8) for i in range(8)]
    assert [e.config["sparsity"] for e in heard.of(CellStarted)] == frame["sparsity"].tolist()
    assert [e.row["accuracy"] for e in heard.of(CellEnded)] == frame["accuracy"].tolist()
    assert not any(e.known for e in heard.of(CellEnded))
    assert all(json.dumps(e.to_dict()) for e in heard.of(CellEnded))


def test_the_table_on_disk_is_the_same_to_the_last_digit(swept):
    out, frame, _ = swept
    pd.testing.assert_frame_equal(table.read(out / "cells.csv"), frame)
    plain = table.records(frame)
    assert json.loads(json.dumps(plain)) == plain
    assert plain[2]["steps"] is None
    assert plain[0]["trusted"] is True


def test_a_finished_sweep_answers_at_once_and_without_torch(swept):
    out, frame, _ = swept
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")}
    code = (
        "import json, sys, prospr_engine as pe\n"
        f"frame = pe.sweep(**{GRID!r}, out={str(out)!r})\n"
        "assert 'torch' not in sys.modules\n"
        "from prospr_engine.sweeps import table; print(json.dumps(table.records(frame)))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == table.records(frame)
    assert {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")} == before


def test_a_larger_grid_computes_only_what_is_new(swept, tmp_path):
    shutil.copytree(swept[0], tmp_path / "out")
    heard = Heard()
    larger = {**GRID, "sparsities": (0.9, 0.7), "methods": ("magnitude", "random"), "seeds": (1,)}
    frame = pe.sweep(**larger, out=tmp_path / "out", on_event=heard.append)
    assert [(e.config["method"], e.config["sparsity"]) for e in heard.of(CellStarted)] == [
        ("magnitude", 0.9),
        ("magnitude", 0.7),
        ("random", 0.7),
    ]
    assert heard.scorings() == 1  # those of "random" lie there
    assert [e.known for e in heard.of(CellEnded)] == [False, False, True, False]
    assert (frame["state"] == "done").all()
    again = Heard()
    pe.sweep(**GRID, out=tmp_path / "out", on_event=again.append)
    assert again.of(CellStarted) == []


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
def test_a_killed_sweep_goes_on_where_it_was(swept, tmp_path):
    _, whole, _ = swept
    out, grid = tmp_path / "out", {**GRID, "seeds": (0,)}
    kill_in_third_run(
        f"import prospr_engine as pe; pe.sweep(**{grid!r}, out={str(out)!r}, on_event=hold)"
    )
    finished = {path.parent.name for path in out.glob("cells/*/result.json")}
    assert len(finished) == 2
    kept = table.read(out / "cells.csv")  # never half a file
    assert len(kept) == 4
    assert set(kept["state"]) == {"done", "waiting"}
    heard = Heard()
    frame = pe.sweep(**grid, out=out, on_event=heard.append)
    assert len(heard.of(CellStarted)) == 2
    assert sum(e.known for e in heard.of(CellEnded)) == 2
    assert heard.scorings() == 0  # the run that was killed had scored already
    pd.testing.assert_frame_equal(
        frame.drop(columns=["seconds", "out"]), whole[:4].drop(columns=["seconds", "out"])
    )


def test_only_one_process_works_on_a_folder(tmp_path):
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(ConfigError, match="Another process"),
    ):
        pe.sweep(**QUICK, out=tmp_path)
    assert not (tmp_path / "sweep.json").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"config.json": "{}", "result.json": "{}"},
            "(it contains config.json)",
        ),
        ({"photo.jpg": ""}, "(it contains photo.jpg)"),
        ({"sweep.json": "{"}, "contains a sweep that cannot be read"),
        ({"sweep.json": '{"run": {"model": "mlp"}}'}, "a different epochs: 3 there, 1 here"),
        ({"search.json": "{}"}, "(it contains search.json)"),
    ],
    ids=str,
)
def test_a_folder_that_holds_something_else_is_refused(tmp_path, content, words):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as output:
        pe.sweep(**QUICK, out=tmp_path)
    assert words in str(output.value)
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == set(content)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        pe.sweep(**QUICK, out=tmp_path / "out")


def failing(sparsity: float, error: Exception) -> Any:
    run = pipeline.run

    def fail(config, *arguments):
        if config.sparsity == sparsity:
            raise error
        return run(config, *arguments)

    return fail


@pytest.mark.parametrize(
    ("error", "words", "logged"),
    [
        (ResourceError("Too little memory."), "Too little memory.", False),
        (ZeroDivisionError("oh"), "broke off unexpectedly (ZeroDivisionError: oh)", True),
        (MemoryError(), "broke off unexpectedly (MemoryError)", True),
    ],
    ids=["memory", "fault", "fault without words"],
)
def test_the_sentence_of_a_cell_that_fails(broken_off, monkeypatch, caplog, error, words, logged):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(pipeline, "run", fail)
    frame = pe.sweep(**GRID, out=broken_off)
    assert frame["state"].tolist() == ["done"] * 6 + ["failed"] * 2
    assert words in frame.loc[6, "error"]
    assert np.isnan(frame.loc[6, "accuracy"])
    assert frame.loc[6, "kept_weights"] is pd.NA
    assert bool([r for r in caplog.records if r.levelno >= logging.ERROR]) == logged
    pd.testing.assert_frame_equal(table.read(broken_off / "cells.csv"), frame)


def test_a_cell_that_failed_does_not_stop_the_rest_and_is_tried_again(broken_off, monkeypatch):
    monkeypatch.setattr(pipeline, "run", failing(0.5, ScoringError("conv1: no derivative.")))
    frame = pe.sweep(**GRID, out=broken_off)
    assert frame["state"].tolist() == ["done"] * 6 + ["failed", "done"]
    assert frame.loc[6, "error"] == "conv1: no derivative."
    monkeypatch.undo()
    heard = Heard()
    again = pe.sweep(**GRID, out=broken_off, on_event=heard.append)
    assert (again["state"] == "done").all()
    assert [e.number for e in heard.of(CellStarted)] == [7]


def test_a_criterion_that_cannot_serve_a_network_fails_in_its_own_cells(tmp_path):
    overflow = {"lr": 100.0, "steps": 40}
    steep = {"options": overflow, "batch_size": 32, "precision": "float32"}
    grid = {**QUICK, "epochs": 0, "methods": ("prospr", "random"), "scoring": steep}
    frame = pe.sweep(**grid, out=tmp_path)
    assert frame["state"].tolist() == ["failed", "done"]
    assert "finite" in frame.loc[0, "error"]


def test_stopping_ends_the_sweep_and_keeps_what_is_done(broken_off):
    heard = Heard()
    with pytest.raises(Stopped):
        pe.sweep(
            **GRID, out=broken_off, on_event=heard.append,
            should_stop=lambda: len(heard.of(CellEnded)) == 7,
        )  # fmt: skip
    assert table.read(broken_off / "cells.csv")["state"].tolist() == ["done"] * 7 + ["waiting"]
    assert (pe.sweep(**GRID, out=broken_off)["state"] == "done").all()  # the lock is free


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("the listener's")])
def test_ctrl_c_and_a_listener_that_fails_end_the_sweep(tmp_path, error):
    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise error

    with pytest.raises(type(error)):
        pe.sweep(**QUICK, out=tmp_path, on_event=listen)
    assert table.read(tmp_path / "cells.csv")["state"].tolist() == ["waiting"]


def test_a_full_disk_ends_the_sweep_with_the_table_so_far(broken_off, monkeypatch):
    monkeypatch.setattr(pipeline, "run", failing(0.9, DiskError("The disk is full.")))
    with pytest.raises(DiskError, match="full"):
        pe.sweep(**GRID, out=broken_off)
    assert table.read(broken_off / "cells.csv")["state"].tolist() == ["done"] * 7 + ["waiting"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "resnet21"}, "did you mean"),
        ({"data": "no/such/folder"}, "no/such/folder"),
        ({"device": "cuda:99"}, "no device"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
    ids=str,
)
def test_what_no_cell_can_do_without_is_reported_once(tmp_path, settings, words):
    heard = Heard()
    with pytest.raises(pe.EngineError) as output:
        pe.sweep(**{**QUICK, **settings}, out=tmp_path / "out", on_event=heard.append)
    assert words in str(output.value)
    assert not heard.of(CellEnded)


def images_in(folder: Path, shade: int) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for number, name in enumerate(("cat", "dog")):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = generator.integers(0, 100, (8, 8)) + 100 * number + shade
                path = folder / part / name / f"{i}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)


def test_other_images_under_the_same_name_are_not_taken_for_the_same(tmp_path):
    grid = {"model": "mlp", "epochs": 1, "methods": "random", "data": str(tmp_path / "pictures")}
    images_in(tmp_path / "pictures", 0)
    before = pe.sweep(**grid, out=tmp_path / "out")
    heard = Heard()
    same = pe.sweep(**grid, out=tmp_path / "out", on_event=heard.append)
    assert heard.of(CellStarted) == []
    pd.testing.assert_frame_equal(same, before)
    images_in(tmp_path / "pictures", 20)
    after = pe.sweep(**grid, out=tmp_path / "out", on_event=heard.append)
    assert len(heard.of(CellStarted)) == 1
    assert after.loc[0, "digest"] != before.loc[0, "digest"]


def test_a_damaged_result_is_computed_again(broken_off, swept):
    (whole,) = broken_off.glob("cells/prospr-0.9-seed1-*/result.json")
    whole.write_text(whole.read_text("utf-8")[:300])
    for path in swept[0].glob("cells/random-*-seed1-*"):
        shutil.copytree(path, broken_off / "cells" / path.name)
    heard = Heard()
    frame = pe.sweep(**GRID, out=broken_off, on_event=heard.append)
    assert [e.number for e in heard.of(CellStarted)] == [6]
    assert frame["accuracy"].equals(swept[1]["accuracy"])


def test_a_config_or_its_keywords_but_not_both(tmp_path):
    with pytest.raises(ConfigError, match="not both"):
        pe.sweep(pe.SweepConfig(), out=tmp_path, epochs=1)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        pe.sweep(out=tmp_path, epoch=1)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_there_is_a_new_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frame = pe.sweep(pe.SweepConfig.of(**QUICK, methods="random"))
    assert (Path(frame.attrs["out"]) / "cells.csv").is_file()
    assert Path(frame.attrs["out"]).parent == tmp_path


@pytest.mark.parametrize(
    "text",
    [None, "a,b\n1,2\n", "model\n\x00", b"\xff"],
    ids=["no file", "other columns", "binary", "not UTF-8"],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "cells.csv").write_bytes(content)
    with pytest.raises(DataError):
        table.read(tmp_path / "cells.csv")
