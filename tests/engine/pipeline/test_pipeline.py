"""The whole job on real digits, small enough to take seconds."""

from __future__ import annotations

import dataclasses
import errno
import json

import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

import prospr_engine as pe
from prospr_engine.data.load import load
from prospr_engine.errors import (
    ConfigError,
    DataError,
    ModelError,
    ResourceError,
    Stopped,
    TrainingError,
)
from prospr_engine.events import EpochEnded, Event, Finished, Progress, Pruned, StageStarted
from prospr_engine.io import files
from prospr_engine.pipeline.checkpoint import export_again, load_network
from prospr_engine.pipeline.prune import prune
from prospr_engine.pipeline.setup import prepare


def config(**changes) -> pe.RunConfig:
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    values = {"model": "mlp", "epochs": 2, "loading": loading, "device": "cpu"}
    return pe.RunConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, with all that it told."""
    out = tmp_path_factory.mktemp("run") / "out"
    heard: list[Event] = []
    result = pe.run(config(sparsity=0.95), heard.append, out=out)
    return result, heard, out


def test_the_result_is_complete_and_consistent(finished):
    result, _, out = finished
    output = result.to_dict()
    assert json.loads((out / "result.json").read_text()) == output
    assert set(output["accuracy"]) == {"dense", "pruned"}
    assert output["accuracy"]["dense"] > 0.7  # ten classes: chance is 0.1
    assert output["sparsity"]["requested"] == 0.95
    total = sum(layer["total"] for layer in output["layers"])
    kept = sum(layer["kept"] for layer in output["layers"])
    assert kept == pytest.approx(total * 0.05, abs=1)
    assert output["sparsity"]["achieved"] == pytest.approx(1 - kept / total)
    assert output["onnx"]["zeros"] == total - kept
    assert output["onnx"]["ok"]
    assert output["onnx"]["max_abs_error"] < 1e-3
    assert output["onnx"]["bytes"] == (out / "model.onnx").stat().st_size
    assert output["seconds"] > 0
    assert len(output["predictions"]["pruned"]) == 100


def test_the_accuracy_is_that_of_the_saved_networks(finished):
    result, _, out = finished
    data = load("digits", result.config.loading, 0)
    x = (data.test.images.float() / 255 - data.mean[0]) / data.std[0]
    for name in ("dense", "pruned"):
        model, label = load_network(out / f"{name}.safetensors")
        predicted = model.eval()(x).argmax(1)
        assert (predicted == data.test.labels).float().mean().item() == pytest.approx(
            result.accuracy[name]
        )
        output = {"dense": result.accuracy["dense"]} if name == "dense" else result.accuracy
        assert label["accuracy"] == output
        assert predicted.tolist() == result.predictions[name]


def test_zeros_in_the_mask_in_the_network_and_in_the_file_are_the_same(finished):
    _, _, out = finished
    masks = pe.Masks.load(out / "masks.safetensors")
    weights = load_file(out / "pruned.safetensors")
    stored = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(out / "model.onnx").graph.initializer
    }
    for name, mask in masks.items():
        assert ((weights[name] != 0) == mask).all()
        assert torch.equal(torch.from_numpy(stored[name].copy()), weights[name])
    dense = load_file(out / "dense.safetensors")
    assert all(dense[name].all() for name in masks)


def test_both_networks_start_from_the_same_weights_and_see_the_same_batches(tmp_path):
    # With nothing pruned, the pruned network is the dense one.
    result = pe.run(config(sparsity=0.0, epochs=1), out=tmp_path)
    dense, pruned = (e for e in result.history)
    assert dense.network == "dense"
    assert dataclasses.replace(dense, network="pruned", seconds=pruned.seconds) == pruned
    assert result.accuracy["dense"] == result.accuracy["pruned"]


def test_events_come_in_the_order_of_the_stages(finished):
    _, heard, _ = finished
    stages = [event.stage for event in heard if isinstance(event, StageStarted)]
    assert stages == ["data", "model", "score", "prune", "train", "test", "export"]
    assert any(isinstance(e, Progress) and e.stage == "score" for e in heard)
    (pruned,) = (event for event in heard if isinstance(event, Pruned))
    epochs = [(e.network, e.epoch) for e in heard if isinstance(e, EpochEnded)]
    assert epochs == [("dense", 1), ("pruned", 1), ("dense", 2), ("pruned", 2)]
    assert isinstance(heard[-1], Finished)
    assert heard[-1].result["layers"] == pruned.layers
    assert heard.index(pruned) < next(
        i for i, e in enumerate(heard) if isinstance(e, EpochEnded)
    ), "what pruning does must be known before any training"
    for event in heard:
        json.dumps(event.to_dict(), allow_nan=False)


def test_the_same_config_gives_the_same_files(finished, tmp_path):
    result, _, out = finished
    pe.run(result.config, out=tmp_path)
    for name in ("scores", "masks", "dense", "pruned"):
        file = f"{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (out / file).read_bytes(), name
    assert (tmp_path / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()


def test_another_seed_gives_another_run(finished, tmp_path):
    result, _, out = finished
    pe.run(dataclasses.replace(result.config, seed=1), out=tmp_path)
    assert (tmp_path / "masks.safetensors").read_bytes() != (out / "masks.safetensors").read_bytes()


def test_the_label_of_the_file(finished):
    result, _, out = finished
    proof = pe.verify(out / "model.onnx")
    assert proof.ok
    label = proof.provenance
    assert label["method"] == "prospr"
    assert label["seed"] == 0
    assert label["accuracy"] == result.accuracy
    assert label["sparsity"]["requested"] == 0.95
    assert label["fingerprint"] == result.config.fingerprint
    assert label["data"]["name"] == "digits"
    assert label["classes"] == [str(i) for i in range(10)]
    assert len(label["preprocessing"]["mean"]) == 1


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_other_methods_run_too(method, tmp_path):
    result = pe.run(config(method=method, epochs=0, layer_floor=3), out=tmp_path)
    assert all(layer.kept >= 3 for layer in result.pruning.health.layers)
    assert result.history == ()
    assert result.proof.ok


@pytest.mark.parametrize("method", ["magnitude", "synflow"])
def test_layers_keep_to_their_own_settings(method, tmp_path):
    layers = {"10": "dense", "12": 0.98}
    made = config(model="lenet5", method=method, epochs=0, sparsity=0.8, layers=layers)
    result = pe.run(made, out=tmp_path)
    rows = {row["name"]: row for row in result.to_dict()["layers"]}
    assert (rows["10.weight"]["kept"], rows["10.weight"]["setting"]) == (10_080, "dense")
    assert (rows["12.weight"]["kept"], rows["12.weight"]["setting"]) == (17, 0.98)  # of 840
    assert "setting" not in rows["1.weight"]
    assert [layer.setting for layer in result.record.pruning.layers][-2:] == ["dense", 0.98]
    assert sum(row["kept"] for row in rows.values()) == 12_294  # of 61,470
    scores = pe.Scores.load(tmp_path / "scores.safetensors")
    assert scores.target_layers == (
        {"10.weight": "dense", "12.weight": 0.98} if method == "synflow" else {}
    )
    assert json.loads((tmp_path / "config.json").read_text())["layers"] == layers


def test_a_contradiction_between_layers_ends_the_run_before_the_scores(tmp_path):
    heard = []
    for layers, words in (
        ({"8": "dense"}, "at most"),
        ({"88": "dense"}, "did you mean '8'"),
    ):
        with pytest.raises(ConfigError, match=words):
            pe.run(config(model="lenet5", layers=layers), heard.append, out=tmp_path)
    stages = {event.stage for event in heard if isinstance(event, StageStarted)}
    assert stages == {"data", "model"}


def test_the_seed_of_the_run_is_the_seed_of_a_random_method(tmp_path):
    runs = [prune(prepare(config(method="random", model="lenet5", seed=seed))) for seed in (0, 1)]
    assert runs[0].scores.options["seed"] == 0
    assert runs[1].scores.options["seed"] == 1


def test_stop_ends_the_run_at_once_and_keeps_what_was_found(tmp_path):
    heard = []

    def stop():
        return any(isinstance(event, EpochEnded) for event in heard)

    with pytest.raises(Stopped, match="was stopped"):
        pe.run(config(epochs=50), heard.append, stop, out=tmp_path)
    assert len([e for e in heard if isinstance(e, EpochEnded)]) == 1
    assert pe.Masks.load(tmp_path / "masks.safetensors").kept
    assert not (tmp_path / "result.json").exists()


def test_a_finished_run_is_not_overwritten_by_another(tmp_path):
    quick = config(epochs=0)
    pe.run(quick, out=tmp_path)
    with pytest.raises(ConfigError, match="already contains the result of another run"):
        pe.run(dataclasses.replace(quick, seed=2), out=tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["config"]["seed"] == 0
    pe.run(quick, out=tmp_path)  # the same run again is no loss
    pe.run(dataclasses.replace(quick, seed=2), out=tmp_path, overwrite=True)
    assert json.loads((tmp_path / "result.json").read_text())["config"]["seed"] == 2


def test_an_overwriting_run_that_fails_leaves_nothing_of_the_earlier_one(tmp_path):
    pe.run(config(epochs=0), out=tmp_path)
    explode = config(model="small_cnn", training=pe.TrainingConfig(lr=100.0))
    with pytest.raises(TrainingError):
        pe.run(explode, out=tmp_path, overwrite=True)
    assert not (tmp_path / "model.onnx").exists()
    assert not (tmp_path / "pruned.safetensors").exists()


def test_without_a_folder_the_results_lie_in_a_temporary_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = pe.run(config(epochs=0))
    assert result.out.parent == tmp_path
    assert (result.out / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "resnet21"}, ConfigError, "did you mean"),
        ({"data": "digit"}, ConfigError, "did you mean 'digits'"),
        ({"method": "prosper"}, ConfigError, "did you mean 'prospr'"),
        ({"data": "/nowhere/at/all.zip"}, DataError, "nowhere"),
        ({"device": "cuda:99"}, ConfigError, "no device"),
        ({"device": "toaster"}, ConfigError, "no device"),
        ({"scoring": pe.ScoringConfig(options={"stepz": 1})}, ConfigError, "did you mean 'steps'"),
        ({"layer_floor": 100_000}, ConfigError, "floor"),
        ({"model": "torchvision/inception_v3"}, ModelError, "image"),
        (
            {"training": pe.TrainingConfig(lr=100.0), "model": "small_cnn"},
            TrainingError,
            "Set a lower learning rate",
        ),
    ],
)
def test_bad_input_is_answered_with_a_sentence(changes, error, words, tmp_path):
    with pytest.raises(error, match=words):
        pe.run(config(**changes), out=tmp_path)


def test_a_full_disk_is_said_so_and_earlier_results_stay(tmp_path, monkeypatch):
    written = []
    real = files.write_atomically

    def fill_up(path, data):
        if path.name == "pruned.safetensors":
            raise files.disk_error(path, OSError(errno.ENOSPC, "No space left on device"))
        written.append(path.name)
        return real(path, data)

    monkeypatch.setattr("prospr_engine.io.tensors.write_atomically", fill_up)
    with pytest.raises(ResourceError, match=r"disk is full.*MB free.*run again"):
        pe.run(config(), out=tmp_path)
    assert {"scores.safetensors", "masks.safetensors", "dense.safetensors"} <= set(written)
    assert not (tmp_path / "result.json").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_written_is_said_so_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    heard = []
    with pytest.raises(ResourceError, match="could not be written"):
        pe.run(config(), heard.append, out=tmp_path / "file")
    assert heard == []


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_no_memory_left_says_what_to_change(failure, monkeypatch, tmp_path):
    def fail(*args, **options):
        raise failure

    monkeypatch.setattr("prospr_engine.pipeline.prune.score", fail)
    with pytest.raises(ResourceError, match=r"not enough memory for scoring; set a smaller"):
        pe.run(config(), out=tmp_path)


def test_a_saved_network_is_exported_again(finished, tmp_path):
    _, _, out = finished
    proof = export_again(out, "pruned", tmp_path / "again.onnx")
    assert proof.ok
    assert (tmp_path / "again.onnx").read_bytes() == (out / "model.onnx").read_bytes()
    dense = export_again(out, "dense", tmp_path / "dense.onnx")
    assert dense.ok
    assert dense.zeros == 0
    assert dense.provenance["sparsity"]["achieved"] == 0
    beside = export_again(out, "dense", out / "dense.onnx")  # masks.safetensors is not its own
    assert beside.ok
    assert pe.verify(out / "dense.onnx").ok
    with pytest.raises(DataError, match="contains no trained network"):
        export_again(tmp_path, "pruned", tmp_path / "x.onnx")
    (tmp_path / "pruned.safetensors").write_bytes((out / "masks.safetensors").read_bytes())
    with pytest.raises(DataError, match="does not match its label"):
        load_network(tmp_path / "pruned.safetensors")


def test_real_photographs_as_a_person_brings_them(shared_cifar10, tmp_path):
    result = pe.run(
        config(
            model="lenet5",
            data=str(shared_cifar10),
            loading=pe.LoadingConfig(train_limit=400, test_limit=200),
            sparsity=0.9,
            epochs=1,
        ),
        out=tmp_path,
    )
    assert result.data["shape"] == [3, 32, 32]
    assert result.data["split"]["test"] == 200
    assert result.proof.ok
