"""What runs leave for others changes no result, only the time."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

import prospr_engine as pe
from prospr_engine.data.load import load
from prospr_engine.events import EpochEnded, Progress, StageStarted
from prospr_engine.io.tensors import load_tensors
from prospr_engine.pipeline.cache import Shared

CLOCKS = ("seconds", "seconds_of", "out")


def config(**changes) -> pe.RunConfig:
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    values = {"model": "mlp", "epochs": 2, "loading": loading, "device": "cpu"}
    return pe.RunConfig(**{**values, **changes})


def output(result) -> dict:
    """The result without clocks and paths."""
    values = {k: v for k, v in result.to_dict().items() if k not in CLOCKS}
    exports = {"onnx": values["onnx"], **values.pop("exports")}
    for name, export in exports.items():
        values[name] = {k: v for k, v in export.items() if k != "path"}
    values["history"] = [{**epoch, "seconds": 0} for epoch in values["history"]]
    return values


def stages(heard) -> list[str]:
    return [event.text for event in heard if isinstance(event, StageStarted)]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, dict]:
    """The folder of a run and of what it left for others; and what it says. Not to be changed."""
    folder = tmp_path_factory.mktemp("first")
    result = pe.run(config(), out=folder / "one", shared=Shared(folder / "shared"))
    return folder, output(result)


@pytest.fixture
def shared(first, tmp_path) -> Shared:
    """A copy of what the first run left."""
    shutil.copytree(first[0] / "shared", tmp_path / "shared")
    return Shared(tmp_path / "shared")


FILES = ("scores", "masks", "dense", "pruned", "gallery")


@pytest.mark.parametrize("changes", [{}, {"control": "shuffle"}, {"control": "reinit"}])
def test_a_run_that_uses_what_others_left_gives_the_same_files(shared, changes, tmp_path):
    changes = {"sparsity": 0.5, **changes}
    heard = []
    alone = pe.run(config(**changes), out=tmp_path / "alone")
    second = pe.run(config(**changes), heard.append, out=tmp_path / "second", shared=shared)
    assert any("scores of another run" in text for text in stages(heard))
    assert any("reusing the dense one" in text for text in stages(heard))
    assert output(second) == output(alone)
    for name in [*(f"{file}.safetensors" for file in FILES), "model.onnx"]:
        one, other = (tmp_path / folder / name for folder in ("alone", "second"))
        assert one.read_bytes() == other.read_bytes(), name
    assert second.seconds_of["scoring"] == second.seconds_of["training_dense"] == 0
    assert second.seconds_of["training_pruned"] > 0


def test_epochs_of_a_known_dense_network_are_reported_beside_the_pruned_one(shared, tmp_path):
    heard = []
    pe.run(config(sparsity=0.5), heard.append, out=tmp_path / "two", shared=shared)
    epochs = [(e.network, e.epoch) for e in heard if isinstance(e, EpochEnded)]
    assert epochs == [("dense", 1), ("pruned", 1), ("dense", 2), ("pruned", 2)]
    batches = [e for e in heard if isinstance(e, Progress) and e.stage == "train"]
    assert all(event.done < event.total for event in batches)
    each = next(e for e in heard if isinstance(e, EpochEnded)).epochs
    assert batches[-1].total % each == 0


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"sparsity": 0.5}, (True, True)),
        ({"method": "magnitude"}, (False, True)),
        ({"scoring": pe.ScoringConfig(options={"steps": 1})}, (False, True)),
        ({"scoring": pe.ScoringConfig(batch_size=32)}, (False, True)),
        ({"epochs": 1}, (True, False)),
        ({"training": pe.TrainingConfig(lr=0.01)}, (True, False)),
        ({"seed": 1}, (False, False)),
        ({"model": "lenet5"}, (False, False)),
        ({"loading": pe.LoadingConfig(train_limit=200, test_limit=100)}, (False, False)),
    ],
)
def test_only_what_must_be_the_same_is_shared(shared, changes, known, tmp_path):
    heard = []
    pe.run(config(**changes), heard.append, out=tmp_path / "two", shared=shared)
    words = " ".join(stages(heard))
    assert ("scores of another run" in words, "reusing the dense one" in words) == known


def test_iterative_criteria_share_scores_only_at_their_sparsity(tmp_path):
    shared = Shared(tmp_path / "shared")
    scoring = pe.ScoringConfig(options={"rounds": 2})
    one = config(method="synflow", scoring=scoring, epochs=0)
    pe.run(one, out=tmp_path / "one", shared=shared)
    for changes, known in (({"sparsity": 0.5}, False), ({"control": "shuffle"}, True)):
        heard = []
        other = dataclasses.replace(one, **changes)
        pe.run(other, heard.append, out=tmp_path / str(changes), shared=shared)
        assert ("scores of another run" in " ".join(stages(heard))) == known


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_damaged_files_count_as_absent(first, shared, damage, tmp_path):
    for file in shared.folder.iterdir():
        content = file.read_bytes()
        file.unlink()
        if damage == "cut":
            file.write_bytes(content[: len(content) // 2])
        elif damage == "other":
            file.write_bytes(b"{}")
    second = pe.run(config(), out=tmp_path / "two", shared=shared)
    assert output(second) == first[1]


def test_a_folder_that_cannot_be_written_to_costs_only_time(tmp_path):
    (tmp_path / "shared").write_text("a file, no folder")
    result = pe.run(config(), out=tmp_path / "run", shared=Shared(tmp_path / "shared"))
    assert result.proof.ok


def test_a_finished_run_is_not_changed_by_who_uses_its_files(tmp_path):
    shared = Shared(tmp_path / "shared")
    pe.run(config(), out=tmp_path / "one", shared=shared)
    before = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    pe.run(config(control="random"), out=tmp_path / "two", shared=shared)
    pe.run(config(control="random"), out=tmp_path / "two", overwrite=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()} == before


def test_images_are_loaded_once_and_not_longer_kept_than_of_use(tmp_path, monkeypatch):
    import prospr_engine.pipeline.setup as module

    loads = []
    true_load = module.load
    monkeypatch.setattr(module, "load", lambda *a: loads.append(a[2]) or true_load(*a))
    shared = Shared(tmp_path)
    for seed in (0, 0, 1, 0):
        module.prepare(config(seed=seed), shared=shared)
    assert loads == [0, 1, 0]


def test_images_of_a_path_are_loaded_again_when_it_changed(tmp_path):
    data = tmp_path / "images.zip"
    data.write_bytes(b"one")
    shared = Shared(tmp_path / "shared")
    images = load("digits", pe.LoadingConfig(train_limit=100), 0)
    shared.keep_images(config(data=str(data)), images)
    assert shared.images(config(data=str(data))) is images
    data.write_bytes(b"other")
    assert shared.images(config(data=str(data))) is None


def test_the_label_of_a_dense_network_says_nothing_of_the_pruned_one(tmp_path):
    pe.run(config(sparsity=0.5), out=tmp_path)
    _, dense = load_tensors(tmp_path / "dense.safetensors")
    _, pruned = load_tensors(tmp_path / "pruned.safetensors")
    assert dense["method"] is None
    assert set(dense["accuracy"]) == {"dense"}
    assert dense["fingerprint"] == config().fingerprint
    assert pruned["fingerprint"] == config(sparsity=0.5).fingerprint


def test_classes_and_the_size_of_a_zip_are_counted(tmp_path):
    import zipfile

    result = pe.run(config(), out=tmp_path)
    per_class = result.per_class
    assert sum(per_class["images"]) == 100
    for network in ("dense", "pruned"):
        right = sum(per_class[network])
        assert right / 100 == pytest.approx(result.accuracy[network])
        assert all(a <= b for a, b in zip(per_class[network], per_class["images"], strict=True))
    # Both are right, or neither, in all other images, so the counts give the difference.
    alone = result.right_alone
    difference = result.accuracy["pruned"] - result.accuracy["dense"]
    assert (alone["pruned"] - alone["dense"]) / 100 == pytest.approx(difference)
    answers = zip(*(result.predictions[name] for name in ("dense", "pruned")), strict=True)
    assert sum(alone.values()) <= sum(dense != pruned for dense, pruned in answers)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / "model.onnx", "model.onnx")
    assert result.zipped == (tmp_path / "a.zip").stat().st_size
    read = json.loads((tmp_path / "result.json").read_text())
    assert read["onnx"]["zipped"] == result.zipped
    assert torch.tensor(read["predictions"]["dense"]).shape == (100,)
