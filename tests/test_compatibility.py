"""What version 0.3.0 made can be opened, proven and continued, and what it promised still holds.

The files are those of ``tests/data/v0_3_0``; how they were made is told there.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
import torch
from earlier import EXPECTED, open_store, tree, unpack, work_off
from safetensors import safe_open

import prospr_engine as pe

FOLDERS, STORE = EXPECTED["folders"], EXPECTED["store"]
SMALL = [
    *("--model", "small_cnn", "--data", "digits", "--epochs", "1", "--device", "cpu"),
    *("--train-limit", "200", "--test-limit", "60", "--quiet"),
]
LISTS = ["--methods", "prospr,snip", "--sparsities", "0.8,0.95", "--seeds", "0,1"]
SEARCH = ["search", *SMALL, "--max-size", "40kB", "--max-tries", "3"]
SEEN = ("seconds", "seconds_of", "out", "path")
"""Names of what a clock or a folder decides."""


SETTINGS = ("config", "fingerprint", "trust", "findings")
"""What another arithmetic changes besides figures, or what is said of it."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of 0.3.0, to be looked at and not to be changed."""
    return unpack(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test stands as people do who type a command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome_of(*arguments: object) -> tuple[int, str]:
    """The exit code of ``python -m prospr_engine`` and what it writes to standard output."""
    output, code = io.StringIO(), 0
    words = ["prospr_engine", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            runpy.run_module("prospr_engine", run_name="__main__")
        except SystemExit as exit:
            code = int(exit.code or 0)
    return code, output.getvalue()


def do(*arguments: object) -> Any:
    """What a command that works tells as JSON."""
    code, text = outcome_of(*arguments, "--json")
    assert code == 0, text
    return json.loads(text)


def holds(there: Any, wanted: Any) -> bool:
    """Is everything of ``wanted`` in ``there``? Objects may have more names than before."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            name in there and holds(there[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(there) == len(wanted) and all(map(holds, there, wanted))
    return bool(there == wanted)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Tells whether a result was written again."""
    results = sorted(folder.rglob("result.json"))
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in results
    }


def labelled(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Tensors of a file as types, shapes and bytes; and what it says of itself, but for the
    version of this software."""
    with safe_open(str(path), framework="np") as file:
        tensors = {name: packed(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        label = json.loads((file.metadata() or {}).get("prospr", "{}"))
    return tensors, without_words(label)


def in_onnx(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The same of an ONNX file; its operators are in the label."""
    model = onnx.load(path)
    tensors = {t.name: packed(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}
    label = {prop.key: prop.value for prop in model.metadata_props}
    label = {k: json.loads(value) for k, value in label.items() if k != "prospr.seal"}
    nodes = [(node.op_type, list(node.input), list(node.output)) for node in model.graph.node]
    return tensors, without_words(label) | {"nodes": nodes}


def packed(values: np.ndarray) -> bytes:
    return f"{values.dtype} {values.shape} ".encode() + values.tobytes()


def without_words(value: Any) -> Any:
    """Without the version and the sentences, which may be put better."""
    if isinstance(value, dict):
        left_out = ("prospr_engine", "text", "verdict", "notes")
        return {k: without_words(v) for k, v in value.items() if k not in left_out}
    return [without_words(v) for v in value] if isinstance(value, list) else value


# Names, settings, tables


def test_public_names():
    assert set(EXPECTED["names"]) <= set(pe.__all__)


def test_runs_have_the_same_fingerprints():
    shown = [
        [settings, pe.RunConfig.from_dict(settings).fingerprint]
        for settings, _ in EXPECTED["run_configs"]
    ]
    assert shown == EXPECTED["run_configs"]


def test_sweeps_have_the_same_fingerprints():
    shown = [
        [settings, pe.SweepConfig.from_dict(settings).fingerprint]
        for settings, _ in EXPECTED["sweep_configs"]
    ]
    assert shown == EXPECTED["sweep_configs"]


def test_settings_of_searches_can_be_read():
    # Not their fingerprints: 0.3.0 took in all settings, those at their defaults included, so
    # that every new setting changes them. A folder is found by its name nevertheless: see below.
    for settings, _ in EXPECTED["search_configs"]:
        config = pe.SearchConfig.from_dict(settings)
        assert holds(config.to_dict(), settings)
        assert re.fullmatch("[0-9a-f]{16}", config.fingerprint)


@pytest.mark.parametrize("kind", ["run", "sweep", "search"])
def test_settings_have_the_same_names_and_defaults(kind: str):
    now = {
        "run": pe.RunConfig(),
        "sweep": pe.SweepConfig(),
        "search": pe.SearchConfig(most_lost=0.01),
    }[kind]
    shown = EXPECTED["defaults"][kind]
    assert holds(now.to_dict(), shown)
    assert type(now).from_dict(shown) == now


@pytest.mark.parametrize("table", ["methods", "models", "datasets"])
def test_tables_have_all_their_rows(table: str):
    rows = {row["name"]: row for row in do("list", table)[table]}
    for wanted in EXPECTED["tables"][table]:
        row = rows[wanted["name"]]
        options = {option["name"]: option for option in row.get("options", ())}
        retired = pe.METHODS[row["name"]].retired if table == "methods" else ()
        for option in wanted.get("options", ()):
            if option["name"] in retired:
                continue
            assert holds(options[option["name"]], without_text(option))
        assert holds(row, without_text(wanted))


def without_text(row: dict[str, Any]) -> dict[str, Any]:
    """What a sentence says may be said better."""
    return {k: v for k, v in row.items() if k not in ("description", "help", "options")}


# The command line


@pytest.mark.parametrize("command", sorted(EXPECTED["flags"]))
def test_flags(command: str):
    code, text = outcome_of(command, "--help")
    assert code == 0
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert set(EXPECTED["flags"][command]) <= flags


def test_exit_codes(here: Path):
    unpack(here, "run", "store", "photos.zip", "forged.onnx")
    shown = [[words, outcome_of(*words)[0]] for words, _ in EXPECTED["exit_codes"]]
    assert shown == EXPECTED["exit_codes"]


def test_a_search_without_an_answer_ends_with_1(here: Path):
    unpack(here, "unmet")
    before = stamps(here)
    unmet = ["search", *SMALL, "--max-size", "1kB", "--max-tries", "1", "--out", "unmet"]
    assert outcome_of(*unmet)[0] == 1
    assert stamps(here) == before


# Folders of runs


@pytest.mark.parametrize("name", [n for n in tree() if n.endswith("model.onnx")])
def test_every_exported_file_is_proven(kept: Path, name: str):
    proof = pe.verify(kept / name)
    assert proof.ok, [check for check in proof.checks if not check.ok]


def test_a_forged_file_is_found_out(kept: Path):
    assert not pe.verify(kept / "forged.onnx").ok


@pytest.mark.parametrize("network", ["pruned", "dense"])
def test_a_run_is_exported_again(kept: Path, tmp_path: Path, network: str):
    out = tmp_path / "again.onnx"
    proof = do("export", kept / "run", "--network", network, "--out", out)
    assert proof["ok"]
    shutil.copyfile(kept / "run/masks.safetensors", tmp_path / "masks.safetensors")
    assert pe.verify(out).ok
    if network == "pruned":
        assert in_onnx(out)[0] == in_onnx(kept / "run/model.onnx")[0]


@pytest.mark.parametrize("folder", FOLDERS["runs"])
def test_the_settings_of_a_run_are_read(kept: Path, folder: str):
    config = pe.RunConfig.read(kept / folder / "config.json")
    result = json.loads((kept / folder / "result.json").read_text("utf-8"))
    assert config.fingerprint == result["fingerprint"]
    if folder.startswith("runs/"):
        assert folder == f"runs/{config.fingerprint}"
    assert holds(config.to_dict(), result["config"])


def test_masks_of_a_run_are_read(kept: Path):
    masks = pe.Masks.load(kept / "run/masks.safetensors")
    result = json.loads((kept / "run/result.json").read_text("utf-8"))
    shown = {layer["name"]: (layer["total"], layer["kept"]) for layer in result["layers"]}
    assert {layer.name: (layer.total, layer.kept) for layer in masks.layers} == shown
    scores = pe.Scores.load(kept / "run/scores.safetensors")
    again = scores.masks(sparsity=0.9)
    assert all(torch.equal(again[name], mask) for name, mask in masks.items())


def test_a_finished_run_is_not_overwritten_by_another(here: Path):
    unpack(here, "run")
    before = stamps(here)
    assert outcome_of("run", *SMALL, "--seed", 1, "--out", "run")[0] == 2
    assert stamps(here) == before


def test_the_same_run_has_the_same_result(here: Path, kept: Path):
    """To the last bit where all is alike on which bits depend but this software, in the arithmetic
    of the time: today's default computes gradients in float64."""
    result = do("run", *SMALL, "--out", "run", "--score-precision", "float32")
    earlier = json.loads((kept / "run/result.json").read_text("utf-8"))
    assert holds(comparable(result), structure(comparable(earlier)))
    if not same_machine(result["environment"]):
        pytest.skip("this machine, or what is installed here, is not that of the recorded run")
    figures, recorded = (
        {k: v for k, v in without_words(comparable(one)).items() if k not in SETTINGS}
        for one in (result, earlier)
    )
    assert holds(figures, recorded)
    names = ["scores", "masks", "dense", "pruned", "gallery"]
    for name in (f"{name}.safetensors" for name in names):
        written, recorded = (labelled(folder / "run" / name)[0] for folder in (here, kept))
        # What was there is there; the effects of biases and normalisations came later.
        assert {k: v for k, v in written.items() if not k.startswith("rest/")} == recorded, name
    assert in_onnx(here / "run/model.onnx")[0] == in_onnx(kept / "run/model.onnx")[0]


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what a clock or a folder decides."""
    plain = {name: value for name, value in result.items() if name not in SEEN}
    plain["onnx"] = {
        name: value
        for name, value in plain["onnx"].items()
        if name not in ("path", "bytes", "zipped")  # the version stands in the file
    }
    # Counts in the nodes came later.
    plain["onnx"]["checks"] = [c for c in plain["onnx"]["checks"] if c["name"] != "nodes"]
    plain["history"] = [
        {name: value for name, value in epoch.items() if name != "seconds"}
        for epoch in plain["history"]
    ]
    return plain


def structure(shown: Any) -> Any:
    """Objects with their names, and nothing else."""
    if isinstance(shown, dict):
        return {k: structure(v) for k, v in shown.items() if isinstance(v, dict)}
    return shown


def same_machine(environment: dict[str, Any]) -> bool:
    from_record = EXPECTED["machine"]
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpu.read_text("utf-8")) if cpu.exists() else None
    return bool(
        without_words(environment) == without_words(from_record["environment"])
        and (found[1] if found else "") == from_record["processor"]
        and torch.backends.cpu.get_cpu_capability() == from_record["capability"]
    )


# Folders of sweeps and searches


def test_a_finished_sweep_computes_nothing(here: Path):
    unpack(here, FOLDERS["sweep"])
    before = stamps(here)
    shown = do("sweep", *SMALL, *LISTS)  # without --out: its folder is found by its fingerprint
    assert Path(shown["out"]) == Path(FOLDERS["sweep"])
    assert stamps(here) == before
    assert len(before) == len(shown["cells"]) == 8
    assert [path.name for path in Path("runs").iterdir()] == [Path(FOLDERS["sweep"]).name]
    earlier = list(csv.DictReader(io.StringIO(FOLDERS["sweep_table"])))
    with Path(FOLDERS["sweep"], "cells.csv").open(encoding="utf-8", newline="") as file:
        assert holds(list(csv.DictReader(file)), earlier)
    columns = list(earlier[0])
    assert [name for name in shown["cells"][0] if name in columns] == columns


def test_an_unfinished_sweep_computes_what_is_missing(here: Path):
    unpack(here, "unfinished")
    before = stamps(here)
    begun: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []

    def hear(event: Any) -> None:
        shown = event.to_dict()
        begun.extend([shown] if shown["event"] == "CellStarted" else [])
        ended.extend([shown] if shown["event"] == "CellEnded" else [])

    config = pe.SweepConfig.read("unfinished/sweep.json")
    table = pe.sweep(config, out="unfinished", on_event=hear)
    assert len(before) == 2
    assert len(begun) == 2
    assert [shown["known"] for shown in ended] == [True, True, False, False]
    assert list(table["state"]) == ["done"] * 4
    assert list(table["control"]) == ["none", "shuffle", "reinit", "random"]
    assert holds({name: list(stamp) for name, stamp in stamps(here).items()},
                 {name: list(stamp) for name, stamp in before.items()})  # fmt: skip
    assert pe.verify(Path(table["out"].iloc[3], "model.onnx")).ok


def test_a_search_folder_of_0_3_0_is_continued(here: Path):
    # Without --out: its folder is found by the fingerprint that 0.3.0 gave it.
    unpack(here, FOLDERS["search"])
    assert Path(FOLDERS["search"]).name.startswith("search-")
    before = stamps(here)
    shown = do(*SEARCH)
    assert shown["out"] == FOLDERS["search"]
    # Sizes are estimated better since, so other sparsities are tried; what was there is kept.
    assert before.items() <= stamps(here).items()
    assert shown["found"] == pytest.approx(0.9022, abs=0.02)


# The store


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Path]:
    """The store of 0.3.0."""
    yield unpack(tmp_path / "copy", "store") / "store"
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)


def test_the_command_line_lists_the_same_runs(stored: Path):
    runs = do("runs", "--store", stored)["runs"]
    for run in runs:
        run["files"] = {name: Path(path).name for name, path in run["files"].items()}
    assert holds(runs, STORE["runs"])
    assert {run["state"] for run in runs} == {"done", "failed", "stopped", "running", "queued"}


def test_the_files_of_all_runs_are_there(stored: Path):
    store = open_store(stored)
    for shown in STORE["runs"]:
        files = store.files(shown["id"])
        assert {name: file.digest for name, file in files.items()} == shown["files"]
        for file in files.values():
            assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.digest
        if "model.onnx" in files:
            proof = pe.verify(files["model.onnx"].path)
            assert proof.ok
        assert shown["state"] not in ("done", "failed") or store.events(shown["id"])


def test_settings_of_all_runs_and_studies_are_read(stored: Path):
    store = open_store(stored)
    for run in store.runs(studies=True):
        assert holds(run.config.to_dict(), dict(run.settings))
    for study in store.studies():
        assert holds(study.config.to_dict(), dict(study.settings))


def test_studies_have_the_same_runs(stored: Path):
    store = open_store(stored)
    for shown in STORE["studies"]:
        study = store.study(shown["id"])
        assert (study.name, study.owner, study.kind) == (
            shown["name"],
            shown["owner"],
            shown["kind"],
        )
        assert (study.state, dict(study.counts)) == (shown["state"], shown["counts"])
        assert [run.id for run in store.study_runs(study.id)] == shown["runs"]


def test_visitors_find_their_runs_and_uploads(stored: Path):
    store = open_store(stored)
    visitor = STORE["visitor"]
    for kind, token in STORE["uploads"].items():
        (upload,) = store.uploads.of(visitor, kind)
        assert upload.token == token
        assert store.uploads.find(visitor, token).path.is_file()
    mine = [run for run in store.runs(visitor) if run.owner == visitor]
    store.rename(mine[0].id, visitor, "Another name")
    assert store.get(mine[0].id).name == "Another name"
    assert len(mine) == 6


def test_what_waits_or_was_lost_is_computed(stored: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROSPR_KEEP_DAYS", "1000000")
    store = open_store(stored)
    (stopped,) = (study for study in store.studies() if study.state == "stopped")
    store.resume_study(stopped.id, stopped.owner)
    work_off(stored)
    runs = {run.name: run for run in store.runs() if run.name}
    assert {name: run.state for name, run in runs.items()} == {
        shown["name"]: shown["state"].replace("queued", "done").replace("running", "done")
        for shown in STORE["runs"]
        if shown["name"]
    }
    assert store.study(stopped.id).state == "done"
    for run in (runs["Lost"], runs["Waiting"]):
        assert pe.verify(store.files(run.id)["model.onnx"].path).ok
