"""Networks that others wrote: what they may do, and the sentence where they fail."""

from __future__ import annotations

import re

import pytest
import torch
from helpers import batch, seeded
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

import prospr_engine as pe
from prospr_engine.errors import EngineError, ModelError
from prospr_engine.models.validate import check
from prospr_engine.training.evaluate import evaluate


def mlp():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


class Own(nn.Module):
    """A network whose forward is ``run(layers, x)``."""

    def __init__(self, run, layers=mlp):
        super().__init__()
        self.layers, self.run = layers(), run

    def forward(self, x):
        return self.run(self.layers, x)


# A network that changes its input

IN_PLACE = {
    "subtracts": (lambda net, x: net(x.sub_(0.5)), lambda net, x: net(x - 0.5)),
    "scales": (lambda net, x: net(x.mul_(2).add_(1)), lambda net, x: net(x * 2 + 1)),
    "rectifies": (lambda net, x: net(x.relu_()), lambda net, x: net(x.relu())),
}


def convnet():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    )


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("method", ["snip", "prospr", "prospr_first_order", "grasp", "force",
                                    "iterative_snip", "synflow"])  # fmt: skip
def test_changing_the_input_in_place_changes_no_score(change, method):
    towards = {"sparsity": 0.5, "rounds": 4} if pe.METHODS[method].iterative else {}
    x, y = batch((1, 6, 6), dtype=torch.float32)
    before, scores = x.clone(), []
    for run in IN_PLACE[change]:
        model = seeded(lambda run=run: Own(run, convnet)).float()
        for precision in (None, "float64"):
            scores.append(pe.score(model, [(x, y)], method, precision=precision, **towards))
            assert torch.equal(x, before)
    for changing, plain in zip(scores[:2], scores[2:], strict=True):
        assert all(torch.equal(changing[name], plain[name]) for name in plain)


def test_evaluation_leaves_stored_images_alone():
    class Examples:
        images, labels = torch.rand(4, 6), torch.arange(4) % 3

        def batches(self, chunks):
            return (self.images[chunk] for chunk in chunks)

    before = Examples.images.clone()
    found = [
        evaluate(seeded(lambda run=run: Own(run)).float(), Examples(), lambda x: x, "cpu").loss
        for run in IN_PLACE["subtracts"]
    ]
    assert torch.equal(Examples.images, before)
    assert found[0] == found[1]


# What a forward may raise


class Broken:
    """A message that cannot be read."""


def raising(error):
    def run(net, x):
        raise error

    return run


def reads(net, x):
    return net.nothing(x)


@pytest.mark.parametrize(
    "run",
    [
        raising(AssertionError()), raising(AssertionError("not so")), raising(IndexError("far")),
        raising(KeyError("a")), raising(StopIteration()), raising(ZeroDivisionError("by zero")),
        raising(RecursionError("deep")), raising(NotImplementedError()), raising(OSError(2, "no")),
        raising(UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")), raising(LookupError()), reads,
    ],
)  # fmt: skip
def test_whatever_a_layer_raises_names_the_layer(run):
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 6), Own(run)))
    for method in ("snip", "prospr"):
        with pytest.raises(ModelError, match=r"in layer '1' \(Own\).*What to do: ") as error:
            pe.score(model, [batch((6,))], method)
        assert error.value.__cause__ is not None
    assert check(Own(run, lambda: nn.Linear(2, 2)), (1, 2, 2), 3)[0].fatal


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), MemoryError(), torch.OutOfMemoryError("no room")]
)
def test_interrupts_and_lack_of_memory_pass_through(error):
    with pytest.raises(type(error)):
        pe.score(seeded(lambda: Own(raising(error))), [batch((6,))], "snip")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda out: out[:, :, None, None], r"\(8, 3, 1, 1\).*flatten\(1\)"),
        (lambda out: out[:, None].repeat(1, 2, 1), r"\(8, 2, 3\).*mean"),
        (lambda out: out.flatten(), r"\(24,\).*flatten"),
        (lambda out: out.reshape(-1, 1), r"\(24, 1\).*flatten"),
        (lambda out: out.reshape(4, -1), r"\(4, 6\)"),
        (lambda out: out.sum(), r"shape \(\)"),
        (lambda out: (out, out), "tuple"),
        (lambda out: {"logits": out}, "dict"),
        (lambda out: None, "NoneType"),
    ],
)
def test_answers_of_another_shape_are_refused(change, says):
    model = seeded(lambda: Own(lambda net, x: change(net(x))))
    for method in ("snip", "prospr", "force"):
        towards = {"sparsity": 0.5} if pe.METHODS[method].iterative else {}
        with pytest.raises(ModelError, match=says):
            pe.score(model, [batch((6,))], method, **towards)


def reentrant(net, x):
    return net[2](checkpoint(net[:2], x, use_reentrant=True))


def reentrant_later(net, x):
    return checkpoint(net[1:], net[0](x), use_reentrant=True)


@pytest.mark.parametrize(
    "run", [reentrant_later, lambda net, x: reentrant(net, x * net[0].bias[0])]
)
@pytest.mark.parametrize("method", ["snip", "prospr"])
def test_reentrant_checkpoints_are_refused_and_others_change_nothing(run, method):
    with pytest.raises(EngineError, match="use_reentrant=False"):
        pe.score(seeded(lambda: Own(run)), [batch((6,))], method)
    other = Own(lambda net, x: checkpoint(net[1:], net[0](x), use_reentrant=False))
    model = seeded(lambda: Own(lambda net, x: net(x)))
    other.load_state_dict(model.state_dict())
    first, second = (pe.score(m.double(), [batch((6,))], method) for m in (model, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


# What a model may be


def traced():
    return torch.jit.trace(mlp(), torch.zeros(2, 6))


def exported():
    return torch.export.export(mlp(), (torch.zeros(2, 6),))


def on_meta():
    with torch.device("meta"):
        return mlp()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (traced, "TorchScript.*traced from"),
        (exported, "ExportedProgram.*exported from"),
        (lambda: exported().module(), "exported from"),
        (lambda: nn.DataParallel(mlp()), r"model\.module"),
        (on_meta, "meta device.*to_empty"),
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.LazyBatchNorm1d(), nn.Linear(4, 3)),
         "'1' is lazy.*run one batch"),
        (lambda: nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 3)), "'0' is lazy.*run one batch"),
        (lambda: mlp, "type function"),
        (lambda: {"0.weight": torch.zeros(3)}, "type dict"),
    ],
)  # fmt: skip
def test_what_is_no_plain_module_gets_a_remedy(make, says):
    with pytest.raises(ModelError, match=says):
        pe.score(make(), [batch((6,), dtype=torch.float32)], "snip")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (lambda layer: prune.random_unstructured(layer, "weight", 0.5), prune.remove),
        (lambda layer: nn.utils.weight_norm(layer), nn.utils.remove_weight_norm),
        (lambda layer: nn.utils.spectral_norm(layer),
         lambda layer, _: nn.utils.remove_spectral_norm(layer)),
        (parametrizations.weight_norm, parametrize.remove_parametrizations),
        (parametrizations.orthogonal, parametrize.remove_parametrizations),
    ],
)  # fmt: skip
def test_computed_weights_are_refused_with_what_undoes_them(spoil, mend):
    model = seeded(mlp).float()
    spoil(model[0])
    x, y = batch((6,), dtype=torch.float32)
    model(x)
    with pytest.raises(ModelError) as error:
        pe.score(model, [(x, y)], "snip")
    call = re.search(r"call (torch[\w.]+)\(", str(error.value)).group(1)
    function = torch
    for part in call.split(".")[1:]:
        function = getattr(function, part)
    mend(model[0], "weight")
    assert function is mend or mend.__name__ == "<lambda>"
    assert pe.score(model, [(x, y)], "snip")["0.weight"].any()


def plain_scores(method="snip"):
    return pe.score(seeded(lambda: Own(lambda net, x: net(x))), [batch((6,))], method)


def test_a_train_of_the_models_own():
    class Loop(Own):
        def train(self, loader, epochs):
            raise AssertionError("never called")

    class Quiet(Own):
        def train(self, mode=True):
            super().train(mode)  # and returns nothing

    for kind in (Loop, Quiet):
        model = seeded(lambda kind=kind: kind(lambda net, x: net(x)))
        found = pe.score(model, [batch((6,))], "snip")
        assert all(torch.equal(found[name], values) for name, values in plain_scores().items())


def test_a_model_that_keeps_what_it_computed():
    def run(net, x):
        run.model.kept = [net(x)]
        run.model.last = {"a": (run.model.kept[0],)}
        return run.model.kept[0]

    model = seeded(lambda: Own(run))
    run.model = model
    model(batch((6,))[0])
    del run.model
    run.model = nn.Module()  # the copy's forward must not reach the original
    found = pe.score(model, [batch((6,))], "snip")
    assert all(torch.equal(found[name], values) for name, values in plain_scores().items())


def test_complex_buffers_stay_complex():
    """A filter of frequencies, as a matrix product and as an FFT."""

    class Filter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("gain", torch.polar(torch.ones(4), torch.arange(4.0)))
            self.layers = mlp()

        def forward(self, x):
            return self.layers(torch.fft.irfft(torch.fft.rfft(x) * self.gain, n=6))

    model = seeded(Filter).float()
    x, y = batch((6,), dtype=torch.float32)
    unit = torch.eye(6, dtype=torch.float64)
    matrix = torch.fft.irfft(torch.fft.rfft(unit) * model.gain.to(torch.complex128), n=6)
    found = pe.score(model, [(x, y)], "snip")
    plain = pe.score(model.layers, [(x.double() @ matrix, y)], "snip")
    for name, values in plain.items():
        assert torch.allclose(found[f"layers.{name}"], values, rtol=1e-5, atol=1e-9)
