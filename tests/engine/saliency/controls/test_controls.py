"""Controls change which weights are kept, never how many of a layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, ScoringError
from prospr_engine.io.tensors import load_tensors
from prospr_engine.pipeline.setup import check
from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.controls import CONTROLS, ControlSpec, seed_of
from prospr_engine.saliency.controls.rearrange import rearrange

REARRANGED = [name for name, spec in CONTROLS.items() if spec.rearranges_scores]


@pytest.fixture
def scores() -> Scores:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5), nn.Linear(5, 3)
    )
    return pe.score(model, method="magnitude")


def test_a_name_that_is_not_in_the_table_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'shuffle'"):
        check(pe.RunConfig(control="shufle"))
    with pytest.raises(ConfigError, match="did you mean 'shuffle'"):
        pe.SweepConfig(controls=("none", "shufle"))
    check(pe.RunConfig(control="none"))


def row(**changes) -> ControlSpec:
    usual = {"name": "reversed", "label": "Reversed", "description": "Worst first."}
    usual |= {"target": lambda scores, seed: dict(scores), "chance": "anything"}
    return ControlSpec(**{"rearranges_scores": True} | usual | changes)


def test_a_control_of_ones_own_runs_like_the_others(tables, tmp_path):
    """Registered, not edited into the package; a known result: the lowest scores are kept."""
    CONTROLS.register(row(target=lambda scores, seed: {n: -s for n, s in scores.items()}))
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    shared = {"model": "mlp", "method": "magnitude", "sparsity": 0.5, "epochs": 0}
    table = pe.sweep(
        **shared_lists(shared), loading=loading, controls=["none", "reversed"], out=tmp_path
    )
    assert list(table["control"]) == ["none", "reversed"]
    assert list(table["state"]) == ["done", "done"]
    plain, other = (load_tensors(Path(out) / "masks.safetensors")[0] for out in table["out"])
    total = sum(mask.numel() for mask in plain.values())
    both = sum(int((plain[name] & other[name]).sum()) for name in plain)
    # Half of them are kept either way, and hardly a weight is in both halves.
    assert both <= total % 2
    scores = Scores.load(Path(table["out"][1]) / "scores.safetensors")
    assert scores.options["control"] == "reversed"


def shared_lists(settings):
    return {
        {"method": "methods", "sparsity": "sparsities"}.get(name, name): value
        for name, value in settings.items()
    }


def test_new_weights_of_ones_own(tables, tmp_path):
    CONTROLS.register(
        row(rearranges_scores=False, new_weights=True, target=lambda draw, seed: draw(123))
    )
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    config = pe.RunConfig(model="mlp", epochs=0, loading=loading, control="reversed")
    pe.run(config, out=tmp_path)
    begun = pe.build_model("mlp", (1, 8, 8), 10, 123)
    masks = load_tensors(tmp_path / "masks.safetensors")[0]
    saved = load_tensors(tmp_path / "pruned.safetensors")[0]
    for name, mask in masks.items():
        assert torch.equal(saved[name], begun.state_dict()[name] * mask)


@pytest.mark.parametrize("flags", [{}, {"new_weights": True}], ids=["neither", "both"])
def test_a_control_changes_one_thing(flags):
    with pytest.raises(ConfigError, match="one of rearranges_scores and new_weights"):
        row(**{"rearranges_scores": bool(flags)} | flags)


def test_none_is_no_name_for_a_control(tables):
    with pytest.raises(ConfigError, match="no control"):
        CONTROLS.register(row(name="none"))


def test_a_control_has_to_score_every_weight(scores):
    with pytest.raises(ScoringError, match="every weight"):
        rearrange(row(target=lambda scores, seed: {}), scores, seed=0)


@pytest.mark.parametrize("control", REARRANGED)
@pytest.mark.parametrize("floor", [0, 3])
def test_layers_keep_as_many_weights_at_every_sparsity(scores, control, floor):
    other = rearrange(CONTROLS[control], scores, seed=0)
    for sparsity in (0.0, 0.3, 0.9, 0.99):
        mine, theirs = (s.masks(sparsity, floor) for s in (scores, other))
        assert [layer.kept for layer in mine.layers] == [layer.kept for layer in theirs.layers]


@pytest.mark.parametrize("control", REARRANGED)
def test_ties_do_not_move_weights_between_layers(scores, control):
    flat = {name: (score * 3).round() for name, score in scores.items()}
    tied = Scores(flat, {}, scores.diagnostics, "magnitude")
    other = rearrange(CONTROLS[control], tied, seed=0)
    for sparsity in (0.3, 0.6, 0.9):
        mine, theirs = (s.masks(sparsity) for s in (tied, other))
        assert [layer.kept for layer in mine.layers] == [layer.kept for layer in theirs.layers]


@pytest.mark.parametrize("control", REARRANGED)
def test_places_are_drawn_by_chance_from_the_seed(scores, control):
    spec = CONTROLS[control]
    masks = {seed: rearrange(spec, scores, seed).masks(0.5) for seed in range(4)}
    again = rearrange(spec, scores, 0).masks(0.5)
    original = scores.masks(0.5)
    name = "3.weight"
    assert torch.equal(masks[0][name], again[name])
    for one, other in ((masks[0], masks[1]), (masks[0], original), (masks[2], original)):
        # Of n places, each mask keeps a share; by chance they agree on the product of the shares.
        share = original[name].double().mean().item()
        both = (one[name] & other[name]).double().mean().item()
        assert both == pytest.approx(share**2, abs=0.05)


@pytest.mark.parametrize("control", REARRANGED)
def test_controls_of_two_criteria_have_no_more_in_common_than_chance(scores, control):
    twin = Scores(scores.values_by_name, {}, scores.diagnostics, "snip")
    other = Scores(scores.values_by_name, {}, scores.diagnostics, "snip", {"steps": 2})
    masks = [
        rearrange(CONTROLS[control], s, 0).masks(0.5)["3.weight"] for s in (scores, twin, other)
    ]
    share = masks[0].double().mean().item()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (masks[i] & masks[j]).double().mean().item() == pytest.approx(share**2, abs=0.05)


def test_controls_draw_from_streams_of_their_own(scores):
    one, other = (rearrange(CONTROLS[name], scores, 0).masks(0.5) for name in REARRANGED)
    assert not torch.equal(one["3.weight"], other["3.weight"])
    assert len({seed_of(name, seed) for name in CONTROLS for seed in range(100)}) == 300


def test_new_weights_keep_the_mask_of_the_old_ones(tmp_path):
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)

    def run(control):
        config = pe.RunConfig(model="mlp", epochs=0, loading=loading, control=control)
        pe.run(config, out=tmp_path / control)
        return {
            name: load_tensors(tmp_path / control / f"{name}.safetensors")[0]
            for name in ("masks", "dense", "pruned", "scores")
        }

    plain, control = run("none"), run("reinit")
    for name, mask in plain["masks"].items():
        assert torch.equal(mask, control["masks"][name])
        old, new = (files["pruned"][name] for files in (plain, control))
        assert not new[~mask].any()
        assert (new[mask] != old[mask]).all()  # untrained: only the draw differs
        # Drawn from the same distribution, on which the comparison rests.
        if mask.sum() > 300:
            assert new[mask].std() == pytest.approx(control["dense"][name].std(), rel=0.25)
        assert torch.equal(plain["dense"][name], control["dense"][name])


def test_files_of_a_control_say_that_they_are_one(tmp_path):
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    config = pe.RunConfig(model="mlp", epochs=0, loading=loading, control="shuffle")
    result = pe.run(config, out=tmp_path)
    assert Scores.load(tmp_path / "scores.safetensors").options["control"] == "shuffle"
    assert result.proof.provenance["control"] == "shuffle"
    assert result.to_dict()["config"]["control"] == "shuffle"
