"""Criteria of the caller's own: functions, and rows registered without editing the package."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ConfigError, DataError, ScoringError
from prospr_engine.identity import run_key
from prospr_engine.registry import Option
from prospr_engine.saliency import METHODS, STEPS, MethodSpec
from prospr_engine.saliency.base import Saliency, Scores

BATCH = (torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def squared(network, batches, on_step):
    """As magnitude ranks, but by the square of each weight."""
    weights = dict(zip(network.names, network.start, strict=True))
    return {name: weights[name] ** 2 for name in network.prunable}


def slope(network, batches, on_step, *, power: float = 1.0) -> Saliency:
    """SNIP, raised to a power."""
    on_step(0, 1, "Gradient")
    _, gradient = network.gradient(network.start, batches[0], 0)
    slopes = dict(zip(network.names, gradient, strict=True))
    weights = dict(zip(network.names, network.start, strict=True))
    return Saliency.of({n: weights[n] * slopes[n] for n in network.prunable})


def test_a_function_is_a_criterion(model):
    found = pe.score(model, method=squared)
    for name, weight in (("0.weight", model[0].weight), ("2.weight", model[2].weight)):
        assert torch.equal(found[name], weight.detach() ** 2)
    theirs = pe.score(model, method="magnitude").masks(0.7)
    assert all(torch.equal(mask, theirs[name]) for name, mask in found.masks(0.7).items())
    assert (found.method, found.options, found.target) == ("squared", {}, None)


def test_a_function_gets_the_batches_and_its_options(model, tmp_path):
    found = pe.score(model, [BATCH], method=slope, power=2.0)
    theirs = pe.score(model, [BATCH], method="snip")
    for name, scores in theirs.items():
        assert torch.equal(found[name], scores)
    assert found.options == {"power": 2.0}
    found.save(tmp_path / "scores.safetensors")
    assert Scores.load(tmp_path / "scores.safetensors").method == "slope"


def test_what_only_the_function_understands_is_saved_as_text(model, tmp_path):
    found = pe.score(model, method=lambda n, b, s, shape: squared(n, b, s), shape=torch.Size([2]))
    found.save(tmp_path / "scores.safetensors")
    assert found.options == {"shape": "torch.Size([2])"}


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda network, batches, on_step: None, "returned NoneType"),
        (lambda network, batches, on_step: {}, "has no scores of '0.weight'"),
        (
            lambda network, batches, on_step: {
                **squared(network, batches, on_step),
                "2.bias": torch.zeros(3),
            },
            "scored '2.bias'",
        ),
        (
            lambda network, batches, on_step: {n: torch.zeros(1) for n in network.prunable},
            r"gave \(1,\) for 0.weight.*\(5, 6\)",
        ),
        (
            lambda network, batches, on_step: dict.fromkeys(network.prunable, 1.0),
            "gave float for 0.weight",
        ),
    ],
    ids=["nothing", "no weight", "a bias", "shape", "no tensor"],
)
def test_a_function_that_scores_something_else_is_refused(model, function, words):
    with pytest.raises(ScoringError, match=words):
        pe.score(model, method=function)


def test_misfitting_calls_are_answered_with_a_sentence(model):
    with pytest.raises(ConfigError, match="unexpected keyword argument 'powr'"):
        pe.score(model, [BATCH], method=slope, powr=2)
    with pytest.raises(ConfigError, match="give sparsity to masks"):
        pe.score(model, [BATCH], method=slope, sparsity=0.5)


def test_runs_need_a_name():
    with pytest.raises(ConfigError, match="register"):
        pe.RunConfig(method=squared)
    with pytest.raises(ConfigError, match="register"):
        pe.SweepConfig(methods=[squared])
    with pytest.raises(ConfigError, match="register"):
        pe.sweep(methods=squared)


def test_a_registered_criterion_is_one_like_the_others(tables, model, tmp_path):
    """In a sweep beside another one, with its option checked, and from the command line."""
    METHODS.register(
        MethodSpec(
            "slope",
            "Slope",
            "SNIP under another name.",
            target=slope,
            options=(Option("power", 1.0, "power", minimum=0.0),),
        )
    )
    loading = pe.LoadingConfig(train_limit=300, test_limit=100)
    table = pe.sweep(
        methods=["snip", "slope"], model="mlp", epochs=0, loading=loading, out=tmp_path / "sweep"
    )
    assert list(table["method"]) == ["snip", "slope"]
    assert list(table["state"]) == ["done", "done"]
    assert table["effective_sparsity"].nunique() == 1
    with pytest.raises(ConfigError, match="at least 0"):
        pe.score(model, [BATCH], method="slope", power=-1)
    with pytest.raises(DataError, match="batch"):
        pe.score(model, method="slope")

    from prospr_engine.cli.main import main

    arguments = ["--model", "mlp", "--method", "slope", "-o", "power=2", "--train-limit", "300"]
    assert main(["score", *arguments, "--quiet", "--json", "--out", str(tmp_path / "one")]) == 0
    saved = Scores.load(tmp_path / "one" / "scores.safetensors")
    assert (saved.method, saved.options["power"]) == ("slope", 2.0)


def test_steps_are_recognised_by_their_role(tables):
    """Whatever the option is called: the list of a sweep, the table and the estimate use it."""
    from prospr_engine.pipeline.estimate import DOUBLE, gradients

    METHODS.register(
        MethodSpec(
            "ahead",
            "Ahead",
            "Looks ahead.",
            target=slope,
            looks_ahead=True,
            options=(Option("horizon", 2, "steps", minimum=0, maximum=5, role=STEPS),),
        )
    )
    config = pe.SweepConfig(methods=("ahead", "prospr"), steps=(1, 4))
    options = [cell.scoring.options for cell in config.cells()]
    assert options == [{"horizon": 1}, {"horizon": 4}, {"steps": 1}, {"steps": 4}]
    assert config.size == 4
    assert [gradients(cell) for cell in config.cells()[:2]] == [2 * DOUBLE, 5 * DOUBLE]
    assert gradients(pe.RunConfig(method="ahead")) == 3 * DOUBLE


def test_a_row_that_looks_ahead_says_how_far():
    with pytest.raises(ConfigError, match="role 'steps'"):
        MethodSpec("ahead", "Ahead", "Looks ahead.", target=slope, looks_ahead=True)


def by_position(sign: float):
    """A criterion that ranks by position: the first weights of each layer, or the last."""

    def criterion(network, batches, on_step):
        criterion.calls += 1
        shapes = dict(zip(network.names, network.start, strict=True))
        return {
            name: sign
            * torch.arange(shapes[name].numel(), dtype=torch.float32).view_as(shapes[name])
            for name in network.prunable
        }

    criterion.calls = 0
    return criterion


def test_what_was_computed_under_a_name_does_not_outlive_its_code(tables, tmp_path):
    first, second = by_position(1.0), by_position(-1.0)
    settings = {
        "methods": "mine",
        "sparsities": [0.5, 0.9],
        "model": "mlp",
        "epochs": 0,
        "loading": pe.LoadingConfig(train_limit=100, test_limit=50),
        "out": tmp_path,
    }

    def masks() -> list[bytes]:
        return [(tmp_path / out / "masks.safetensors").read_bytes() for out in found["out"]]

    METHODS.register(MethodSpec("mine", "Mine", "By position.", target=first))
    found = pe.sweep(**settings)
    assert list(found["state"]) == ["done", "done"]
    assert first.calls == 1  # while it is registered, its scores are shared
    before = masks()
    METHODS.register(MethodSpec("mine", "Mine", "By position.", target=second), replace=True)
    found = pe.sweep(**settings)
    assert second.calls == 1
    assert all(old != new for old, new in zip(before, masks(), strict=True))


def test_runs_of_a_registered_row_are_never_the_same(tables):
    METHODS.register(MethodSpec("mine", "Mine", "By position.", target=by_position(1.0)))
    assert run_key(pe.RunConfig(method="magnitude"))
    assert run_key(pe.RunConfig(method="mine")) is None
