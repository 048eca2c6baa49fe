"""Magnitude after training: trained, then pruned, then trained again."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

import prospr_engine as pe
from prospr_engine.events import EpochEnded, StageStarted
from prospr_engine.models.measures import measure
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.pipeline.cache import Shared
from prospr_engine.pipeline.checkpoint import load_network
from prospr_engine.pipeline.course import course
from prospr_engine.pipeline.estimate import cell_seconds
from prospr_engine.pipeline.images import Images
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.saliency import METHODS

METHOD = next(name for name, spec in METHODS.items() if spec.after_training)


def config(**changes) -> pe.RunConfig:
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    values = {"model": "lenet5", "method": METHOD, "epochs": 2, "loading": loading}
    return pe.RunConfig(**{**values, "device": "cpu", "sparsity": 0.8, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "out"
    heard: list = []
    return pe.run(config(), heard.append, out=out), heard, out


def globally_pruned(network: nn.Module, sparsity: float) -> dict[str, torch.Tensor]:
    """The masks of PyTorch's own global magnitude pruning."""
    names = list(prunable_weights(network))
    layers = [network.get_submodule(name.rpartition(".")[0]) for name in names]
    total = sum(layer.weight.numel() for layer in layers)
    kept = -(-total * round(1000 * (1 - sparsity)) // 1000)
    torch_prune.global_unstructured(
        [(layer, "weight") for layer in layers], torch_prune.L1Unstructured, amount=total - kept
    )
    return {n: layer.weight_mask.bool() for n, layer in zip(names, layers, strict=True)}


def test_the_masks_are_those_of_torch_on_the_trained_network(finished):
    _, _, out = finished
    dense, _ = load_network(out / "dense.safetensors")
    masks = pe.Masks.load(out / "masks.safetensors")
    expected = globally_pruned(dense, 0.8)
    assert masks.keys() == expected.keys()
    assert all(torch.equal(masks[name], expected[name]) for name in masks)
    # Weights of before the training would give others.
    fresh = pe.score(load_fresh(), method="magnitude").masks(0.8)
    assert any(not torch.equal(masks[name], fresh[name]) for name in masks)


def load_fresh() -> nn.Module:
    from prospr_engine.models.build import build

    return build("lenet5", (1, 8, 8), 10, seed=0)


def test_it_starts_from_the_trained_weights(tmp_path):
    """Without any step of the second training, what is kept is what the dense network has."""
    never = pe.TrainingConfig(lr=0.0)
    pe.run(config(training=never, epochs=1), out=tmp_path / "still")
    dense, pruned = (
        load_network(tmp_path / "still" / f"{name}.safetensors")[0] for name in ("dense", "pruned")
    )
    masks = pe.Masks.load(tmp_path / "still" / "masks.safetensors")
    for name, mask in masks.items():
        assert torch.equal(pruned.get_parameter(name), dense.get_parameter(name) * mask)


def test_the_accuracies_on_the_way(finished):
    result, _, out = finished
    found = result.accuracy_at_pruning
    assert found["dense"] == result.accuracy["dense"]
    dense, label = load_network(out / "dense.safetensors")
    pe.Masks.load(out / "masks.safetensors").apply_to(dense)
    from prospr_engine.data.load import load

    data = load("digits", result.config.loading, 0)
    scale = label["preprocessing"]
    x = (data.test.images.float() / 255 - scale["mean"][0]) / scale["std"][0]
    right = (dense.eval()(x).argmax(1) == data.test.labels).double().mean().item()
    assert found["pruned"] == pytest.approx(right)
    figures = result.record.figures
    assert figures["accuracy_before_pruning"] == found["dense"]
    assert figures["accuracy_after_pruning"] == found["pruned"]
    assert RunRecord.from_dict(result.to_dict()).accuracy_at_pruning == found


def test_the_dense_network_is_trained_before_anything_is_scored(finished):
    result, heard, _ = finished
    stages = list(dict.fromkeys(e.stage for e in heard if isinstance(e, StageStarted)))
    assert stages == ["data", "model", "dense", "score", "prune", "train", "test", "export"]
    epochs = [(e.network, e.epoch) for e in heard if isinstance(e, EpochEnded)]
    assert epochs == [("dense", 1), ("dense", 2), ("pruned", 1), ("pruned", 2)]
    assert epochs == [(e.network, e.epoch) for e in result.history]
    words = course(result.record)
    assert "trained for 2 epochs, then pruned, then trained again for 2 epochs" in words
    assert "twice the training" in words


def test_the_dense_network_is_that_of_every_other_method(finished, tmp_path):
    _, _, out = finished
    pe.run(config(method="random", epochs=2), out=tmp_path)
    files = [folder / "dense.safetensors" for folder in (tmp_path, out)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_runs_share_the_dense_network_and_the_scores(finished, tmp_path):
    _, _, out = finished
    shared = Shared(tmp_path / "shared")
    pe.run(config(method="random"), out=tmp_path / "other", shared=shared)
    for number, changes in enumerate(({}, {"sparsity": 0.5})):
        heard: list = []
        again = pe.run(config(**changes), heard.append, out=tmp_path / str(number), shared=shared)
        assert again.seconds_of["training_dense"] == 0
        assert bool(again.seconds_of["scoring"]) == (number == 0)
    files = [folder / "pruned.safetensors" for folder in (tmp_path / "0", out)]
    assert files[0].read_bytes() == files[1].read_bytes()
    longer: list = []
    pe.run(config(epochs=1), longer.append, out=tmp_path / "longer", shared=shared)
    words = " ".join(e.text for e in longer if isinstance(e, StageStarted))
    assert "scores of another run" not in words, "they are of weights trained for 2 epochs"


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "channels", "sparsity": 0.5},
        {"layers": {"10": "dense"}},
        {"control": "shuffle"},
        {"control": "reinit"},
        {"encodings": ("compact", "int8")},
        {"epochs": 0},
    ],
    ids=lambda changes: next(iter(changes)) + str(next(iter(changes.values()))),
)
def test_it_works_with_everything_else(changes, tmp_path):
    result = pe.run(config(**{"epochs": 1, **changes}), out=tmp_path)
    assert all(export.proof.ok for export in result.exports.values())
    assert bool(result.accuracy_at_pruning) == (changes.get("control") != "reinit")
    if changes.get("kind"):
        network, _ = load_network(tmp_path / "pruned.safetensors")
        before = result.record.pruning.structure.parameters.before
        assert sum(p.numel() for n, p in network.named_parameters() if p.ndim > 1) < before


def test_a_sweep_has_it_beside_the_others(tmp_path):
    table = pe.sweep(
        methods=["random", METHOD],
        sparsities=[0.5],
        run=dataclasses.replace(config(epochs=1), method="prospr", sparsity=0.9),
        out=tmp_path,
    )
    by_method = table.set_index("method")
    assert by_method["dense_accuracy"].nunique() == 1
    assert by_method["accuracy_after_pruning"].notna().to_dict() == {"random": False, METHOD: True}


def test_a_plan_of_a_sweep_counts_scores_by_training():
    images, size = Images(1, 8, 10, 300, 100), measure("lenet5", 1, 8, 10)
    cells = [config(), config(sparsity=0.5), config(epochs=3)]
    seconds = cell_seconds(cells, images, size)
    assert seconds[0] > seconds[1]


def test_a_model_of_the_users_own_is_scored_as_it_is():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    masks = pe.score(model, method=METHOD).masks(0.75)
    expected = globally_pruned(model, 0.75)
    assert all(torch.equal(masks[name], expected[name]) for name in masks)


def test_others_say_that_they_are_pruned_before_training(finished):
    result, _, _ = finished
    record = dataclasses.replace(
        result.record, config=config(method="snip"), accuracy_at_pruning={}
    )
    assert course(record) == "The network was pruned before training, then trained for 2 epochs."
