"""The bundle of a run: what is in it, and a program that does what the run recorded."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file

import prospr_engine as pe
from prospr_engine.cli.main import main
from prospr_engine.config import LoadingConfig
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.guard import limits
from prospr_engine.guard.limits import EXPLORED_SCORES
from prospr_engine.pipeline.gallery import Gallery
from prospr_engine.pipeline.pruning_record import Amount, StructureRecord, Width
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.report.bundle import bundle, write_bundle
from prospr_engine.report.charts import image_file
from prospr_engine.report.model_card import card
from prospr_engine.report.pictures import pictures
from prospr_engine.report.tables import classes_csv, table

NBSP = "\N{NO-BREAK SPACE}"
FILES = {
    "README.md",
    "classes.csv",
    "classify.py",
    "config.json",
    "dense.safetensors",
    "figures.csv",
    "layers.csv",
    "masks.safetensors",
    "model-compact.onnx",
    "model.onnx",
    "pruned.safetensors",
    "result.json",
    "training.csv",
}
CHARTS = {
    "file-size.png",
    "training-accuracy.png",
    "training-loss.png",
    "weights-kept.png",
}


def colours(folder: Path) -> Path:
    """Class folders of small photographs in colour: red above blue, or blue above red."""
    random = np.random.default_rng(0)
    for name, first in (("red", 0), ("blue", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 90, (12, 12, 3), dtype=np.uint8)
            pixels[:6, :, first] = 220
            pixels[6:, :, 2 - first] = 220
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module", params=["digits", "colours"])
def finished(request, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("bundle")
    data = "digits" if request.param == "digits" else str(colours(folder / "colours"))
    config = pe.RunConfig(
        data=data,
        epochs=2,
        sparsity=0.7,
        encodings=("dense", "compact"),
        loading=LoadingConfig(test_limit=60),
        scoring=pe.ScoringConfig(batch_size=32),
    )
    pe.run(config, out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def opened(finished, tmp_path_factory) -> Path:
    """The folder in the bundle of that run."""
    folder = tmp_path_factory.mktemp("opened")
    bundle(finished, folder / "bundle.zip")
    with zipfile.ZipFile(folder / "bundle.zip") as archive:
        archive.extractall(folder)
    (inside,) = (path for path in folder.iterdir() if path.is_dir())
    return inside


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode())))


def test_everything_is_there_and_as_the_run_wrote_it(finished, opened):
    assert {path.name for path in opened.iterdir()} == FILES | {"charts"}
    assert {path.name for path in (opened / "charts").iterdir()} == CHARTS
    for name in ("model.onnx", "model-compact.onnx", "pruned.safetensors", "masks.safetensors"):
        assert (opened / name).read_bytes() == (finished / name).read_bytes()
    assert pe.RunConfig.read(opened / "config.json") == pe.RunConfig.read(finished / "config.json")
    assert pe.verify(opened / "model.onnx").ok


def test_no_folder_of_this_machine_is_in_the_result(finished, opened):
    result = json.loads((opened / "result.json").read_text())
    assert result["out"] == "."
    assert result["exports"]["compact"]["path"] == "model-compact.onnx"
    assert str(finished) not in (opened / "result.json").read_text()
    assert RunRecord.from_dict(result).accuracy == RunRecord.read(finished / "result.json").accuracy


@pytest.mark.parametrize("encoding", ["dense", "compact"])
def test_the_program_answers_as_the_run_did(finished, encoding, tmp_path):
    """In an interpreter of its own, which knows nothing of this software."""
    bundle(finished, tmp_path / "bundle.zip", [encoding])
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path)
    (program,) = tmp_path.glob("*/classify.py")
    assert f'"{pe.RunConfig.read(finished / "config.json").data}"' not in program.read_text()
    result = json.loads((finished / "result.json").read_text())
    gallery = Gallery.load(finished / "gallery.safetensors")
    names, predictions = result["data"]["classes"], result["predictions"]["pruned"]
    chosen = {predictions[number]: place for place, number in enumerate(gallery.numbers)}
    assert len(chosen) > 1, "a network that always gives the same answer would prove nothing"
    for expected, place in list(chosen.items())[:3]:
        pixels = gallery.images[place]
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        picture.save(tmp_path / "image.png")
        done = subprocess.run(
            [sys.executable, "-I", str(program), str(tmp_path / "image.png")],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout.strip() == names[expected]


def test_the_program_has_five_lines_besides_its_imports(opened):
    _, _, rest = (opened / "classify.py").read_text().partition("ImageOps\n")
    assert len(rest.split("\n\n")[-1].strip().splitlines()) == 5
    assert all(len(line) <= 100 for line in rest.splitlines())


def test_the_card_says_what_the_result_says(finished, opened):
    text = (opened / "README.md").read_text()
    result = json.loads((finished / "result.json").read_text())
    for network in ("Dense", "Pruned"):
        share = 100 * result["accuracy"][network.lower()]
        (line,) = re.findall(rf"\| {network} \| ([\d.]+)\s%", text)
        assert float(line) == pytest.approx(share, abs=0.06)
    kept = sum(layer["kept"] for layer in result["layers"])
    assert f"{kept:,} of " in text
    assert result["data"]["digest"] in text
    assert result["fingerprint"] in text
    for name in set(re.findall(r"`([\w-]+\.(?:onnx|json|csv|py|safetensors))`", text)):
        assert (opened / name).is_file()


def test_the_tables_agree_with_the_files(finished, opened):
    result = json.loads((finished / "result.json").read_text())
    figures = {row["name"]: float(row["value"]) for row in rows(opened / "figures.csv")}
    assert figures["accuracy"] == result["accuracy"]["pruned"]
    assert figures["file_bytes"] == (opened / "model.onnx").stat().st_size
    masks = load_file(opened / "masks.safetensors")
    layers = rows(opened / "layers.csv")
    assert {row["name"]: int(row["kept"]) for row in layers} == {
        name: int(mask.sum()) for name, mask in masks.items()
    }
    classes = rows(opened / "classes.csv")
    assert sum(int(row["images"]) for row in classes) == result["data"]["split"]["test"]
    right = sum(int(row["pruned"]) for row in classes)
    assert right / result["data"]["split"]["test"] == pytest.approx(result["accuracy"]["pruned"])


def test_the_same_run_gives_the_same_bytes(finished, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(finished, copy)
    os.utime(copy / "model.onnx", (1, 1))
    first = bundle(finished, tmp_path / "a.zip")
    bundle(copy, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist()) == list(first.files)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {i.filename: i.file_size for i in archive.infolist()} == first.files
    assert first.bytes == (tmp_path / "a.zip").stat().st_size


def test_charts_are_shown_in_the_card(finished, opened, tmp_path):
    links = re.findall(r"!\[([\w ]+)\]\((.+?)\)", (opened / "README.md").read_text())
    assert [name for name, _ in links] == [
        "Weights kept", "File size", "Training accuracy", "Training loss"
    ]  # fmt: skip
    for _, link in links:
        with Image.open(opened / unquote(link)) as image:
            assert image.width == image_file.WIDTH * image_file.SCALE
            assert len(image.convert("L").getcolors()) > 50, "an empty picture"
    files = {path.name: path for path in finished.iterdir()}
    drawn = {"a.png": b"one", "b.png": b"two"}
    written = write_bundle(tmp_path / "x.zip", files, ["dense"], draw=lambda *_: drawn)
    assert [name for name in written.files if name.endswith(".png")] == [
        f"{next(iter(written.files)).partition('/')[0]}/charts/{name}" for name in drawn
    ]


def test_a_chart_of_sizes_needs_scores_that_can_be_ranked(finished, tmp_path, monkeypatch):
    record = RunRecord.read(finished / "result.json")
    files = {path.name: path for path in finished.iterdir()}
    assert {*pictures(record, files)} == CHARTS
    without = {name: path for name, path in files.items() if name != "scores.safetensors"}
    assert {*pictures(record, without)} == CHARTS - {"file-size.png"}
    damaged = {**files, "scores.safetensors": tmp_path / "scores"}
    (tmp_path / "scores").write_bytes(b"no scores")
    assert {*pictures(record, damaged)} == CHARTS - {"file-size.png"}
    monkeypatch.setattr(limits, "EXPLORED_SCORES", dataclasses.replace(EXPLORED_SCORES, value=9))
    assert {*pictures(record, files)} == CHARTS - {"file-size.png"}


def test_removed_channels_have_a_chart_of_their_own(finished):
    record = RunRecord.read(finished / "result.json")
    widths = (Width("conv1", 16, 8), Width("conv2", 32, 32))
    structure = StructureRecord(
        "channels", 0.5, 0.5, Amount(48, 40), Amount(9, 5), Amount(9, 5), widths
    )
    record = dataclasses.replace(
        record, pruning=dataclasses.replace(record.pruning, structure=structure)
    )
    files = {path.name: path for path in finished.iterdir()}
    assert {*pictures(record, files)} == CHARTS - {"file-size.png"} | {"channels-kept.png"}


def test_figures_of_a_file_are_in_the_card_when_they_are_known(finished):
    record = RunRecord.read(finished / "result.json")
    exports = [("dense", "model.onnx")]
    plain = dataclasses.replace(record.onnx, accuracy=None, latency_ms=None)
    bare = dataclasses.replace(record, exports={"dense": plain})
    assert "Time per image" not in card(bare, exports)
    timed = dataclasses.replace(plain, accuracy=0.5, latency_ms=1.25)
    text = card(dataclasses.replace(record, exports={"dense": timed}), exports)
    assert "| Time per image |" in text
    assert "| 1.25\N{NO-BREAK SPACE}ms |" in text


def test_a_network_without_some_channels_says_so(finished):
    record = RunRecord.read(finished / "result.json")
    assert f"{NBSP}% of the weights removed\n" in card(record, [("dense", "model.onnx")])
    structure = StructureRecord(
        "channels", 0.5, 0.5, Amount(1200, 500), Amount(9, 5), Amount(9, 5), ()
    )
    pruning = dataclasses.replace(record.pruning, structure=structure)
    record = dataclasses.replace(record, pruning=pruning)
    assert ", 700 of 1,200 channels removed\n" in card(record, [("dense", "model.onnx")])


def test_names_of_a_user_are_no_markdown_and_no_formula(finished):
    record = RunRecord.read(finished / "result.json")
    names = ("=HYPERLINK(1)", "a|b [x](http://example.org) <b>", *record.data.classes[2:])
    data = dataclasses.replace(record.data, classes=names)
    record = dataclasses.replace(record, data=data)
    assert "[x](http" not in card(record, [("dense", "model.onnx")])
    first = next(csv.DictReader(io.StringIO(classes_csv(record).decode())))
    assert first["class"] == "'=HYPERLINK(1)"
    assert table([{"a": -1.5}], ["a"]) == b"a\r\n-1.5\r\n"


def test_the_command_says_what_it_wrote(finished, tmp_path, capsys):
    out = tmp_path / "new" / "x.zip"
    arguments = ["bundle", str(finished), "--out", str(out), "--encodings", "compact", "--json"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["path"] == str(out)
    assert said["bytes"] == out.stat().st_size
    names = {file["name"].partition("/")[2] for file in said["files"]}
    assert names == FILES - {"model.onnx"} | {f"charts/{name}" for name in CHARTS}
    model = next(file["name"] for file in said["files"] if file["name"].endswith(".onnx"))
    with zipfile.ZipFile(out) as archive:
        onnx.load_model_from_string(archive.read(model))
        (code,) = (archive.read(n).decode() for n in archive.namelist() if n.endswith(".py"))
    assert '"model-compact.onnx"' in code
    assert main(["bundle", str(finished), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out


def test_what_is_missing_is_said(finished, tmp_path, capsys):
    with pytest.raises(DataError, match=r"no finished run \(result.json is missing\)"):
        bundle(tmp_path, tmp_path / "x.zip")
    with pytest.raises(ConfigError, match="no ONNX file in the encoding 'int9'; it has dense and"):
        bundle(finished, tmp_path / "x.zip", ["dense", "int9"])
    with pytest.raises(ConfigError, match="at least one ONNX file"):
        bundle(finished, tmp_path / "x.zip", [])
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "model-compact.onnx").unlink()
    with pytest.raises(DataError, match=r"lacks model-compact.onnx\. Start it again"):
        bundle(copy, tmp_path / "x.zip")
    bundle(copy, tmp_path / "y.zip", ["dense"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "y.zip"]
    assert main(["bundle", str(finished), "--out", str(tmp_path / "x.tar")]) == 2
    assert "must have a name that ends in .zip" in capsys.readouterr().err
