"""``pe.score``: any model, any criterion of the table."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sized
from typing import Any

import torch
from torch import Tensor, nn

from prospr_engine.config import check_sparsity
from prospr_engine.errors import ConfigError, DataError, ScoringError
from prospr_engine.events import OnEvent, Progress, ignore
from prospr_engine.network.batches import Batch, read
from prospr_engine.network.derivatives import MissingDerivative
from prospr_engine.network.functional import MIXED, Network
from prospr_engine.network.prunable import sizes_of
from prospr_engine.overrides import Override, check_layers, resolve
from prospr_engine.pruning.budget import budget
from prospr_engine.saliency import METHODS, ROUNDS, STEPS, MethodSpec
from prospr_engine.saliency.base import Criterion, OnStep, Saliency, Scores
from prospr_engine.saliency.diagnostics import Arithmetic, diagnose, shared_share
from prospr_engine.saliency.locate import breaks, lacks_second_derivative


def score(
    model: nn.Module,
    batches: Iterable[Batch] = (),
    method: str | Criterion = "prospr",
    *,
    precision: str | None = None,
    on_event: OnEvent = ignore,
    sparsity: float | None = None,
    layer_floor: int = 0,
    layers: Mapping[str, Override] | None = None,
    check_at: float | None = None,
    **options: Any,
) -> Scores:
    """Score every weight of the convolutions and linear layers of ``model``.

    ``batches`` is a sequence of ``(x, y)``: inputs and class indices. Batch i serves step i and
    the next one the outer loss; a single batch serves all, and fewer than needed are used in
    turn; what makes no steps uses the first. Of an iterable that can go on for ever, a loader, only
    as many are read as the criterion needs. ``options`` are those of the method's row in
    ``METHODS``; for ProsPr ``steps``, ``lr``, ``momentum``, ``order`` and ``momentum_graph``.
    ``method`` may also be a function of your own (``saliency.base.Criterion`` says what it gets
    and returns), called with the batches that there are, none if none were given, and with the
    options as they are. ``pe.run`` and ``pe.sweep`` need a name: ``METHODS.register`` gives a
    function one.
    Iterative criteria prune towards ``sparsity`` (the fraction removed), each layer keeping
    at least ``layer_floor`` weights and ``layers`` with a setting of their own keeping to it (see
    ``Scores.masks``), and their scores hold for no other; the rest take none of these, but for the
    floor and the settings of a check.

    ``precision=None`` computes so that rounding does not decide the ranking: losses and gradients
    in float64, Hessian-vector products of a float32 model (or a shorter format) in float32 at the
    same places. The scores of such models are float32. ``"float32"`` and ``"float64"`` compute
    all in that format; SynFlow knows float64 only. A model that insists on its own format is
    scored in it, and the verdict says so. With ``check_at``, a sparsity, the model is scored a
    second time from weights that differ by rounding, and ``diagnostics.agreement`` is the share
    of the weights kept there (with ``layer_floor`` and ``layers``) that were kept both times.
    ``on_event`` receives a ``Progress`` per step or round; if it raises, scoring stops.

    The model comes back untouched: parameters, gradients, buffers, mode and random state.
    Raises ``ConfigError`` for unknown names and options, ``ModelError`` for a model that cannot
    be scored, ``DataError`` for batches that do not fit it, ``ScoringError`` where a derivative
    is missing or the criterion cannot serve the model, with the layer. Scores that are not
    finite are returned with a verdict that says so; ``masks()`` refuses them.
    """
    if callable(method):
        spec, settings = _unregistered(method, batches), dict(options)
    else:
        spec = METHODS.find(method)
        settings = spec.check(options)
    check_at = None if check_at is None else check_sparsity(check_at)
    layers = check_layers(layers or {})
    target = _target(spec, sparsity, layer_floor, layers, checked=check_at is not None)
    if check_at is not None and target and target[0] != check_at:
        raise ConfigError(
            f"The scores are made for the sparsity {target[0]}; check them at the same one."
        )
    network, ready, fixed = _prepared(model, spec, precision, _needed(spec, batches, settings))
    sizes = sizes_of(network.prunable)
    layers = resolve(layers, list(sizes))
    cut_at = target[0] if target else check_at
    if cut_at is not None:  # what does not fit together is refused before the work
        budget(sizes, cut_at, layer_floor, layers)
    towards: dict[str, Any] = {}
    if target:
        own = {"layers": layers} if layers else {}
        towards = {"sparsity": target[0], "layer_floor": target[1]} | own

    total_steps = done_before = 0
    times = 1 if check_at is None or not spec.needs_data else 2
    unit = "rounds" if spec.iterative else "steps"

    def on_step(done: int, total: int, text: str) -> None:
        nonlocal total_steps
        total_steps = times * total
        on_event(Progress("score", done_before + done, total_steps, unit, text))

    with torch.no_grad():
        try:
            saliency = _apply(spec, network, ready, on_step, settings | towards)
            checked = None
            if times == 2 and check_at is not None and _rankable(saliency):
                done_before = total_steps // 2
                again = _apply(spec, network.perturbed(), ready, on_step, settings | towards)
                share = shared_share(saliency.values, again.values, check_at, layer_floor, layers)
                checked = check_at, share
        except MissingDerivative as error:
            raise _without_second_derivative(spec, network, ready[0], error) from error
        channels = {
            name: weight.channel_sums(saliency.signed[name])
            for name, weight in network.prunable.items()
        }
        diagnostics = diagnose(
            saliency.values,
            Arithmetic.of(network.used, fixed),
            saliency.adjoint_norms,
            saliency.losses,
            whole=saliency.whole,
            by_chance=saliency.by_chance,
            doubt=saliency.doubt,
            looks_ahead=spec.looks_ahead,
            breaks=lambda: breaks(network, ready[0]) if spec.needs_data else "",
            checked=checked,
        )
    total_steps = max(total_steps, 1)
    on_event(Progress("score", total_steps, total_steps, unit, "Scores are ready"))
    return Scores(
        # Whatever layout was best for computing, the caller gets the usual one.
        values_by_name={name: v.contiguous() for name, v in saliency.values.items()},
        channels=channels,
        diagnostics=diagnostics,
        method=spec.name,
        options=_recorded(settings) | ({"precision": precision} if precision else {}),
        target=target,
        rest=saliency.rest,
        target_layers=layers if target else {},
    )


def _unregistered(function: Criterion, batches: Iterable[Batch]) -> MethodSpec:
    """A row for a function that is in no table."""
    name = getattr(function, "__name__", type(function).__name__)
    given = not isinstance(batches, Sized) or len(batches) > 0
    return MethodSpec(name, name, "A function of the caller's.", function, needs_data=given)


def _apply(
    spec: MethodSpec,
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    options: Mapping[str, Any],
) -> Saliency:
    """What the criterion returns. Raises ``ConfigError`` if it does not take these options, and
    ``ScoringError`` if it returns something else than a score for every prunable weight."""
    criterion = spec.load()
    try:
        inspect.signature(criterion).bind(network, batches, on_step, **options)
    except TypeError as error:
        raise ConfigError(
            f"{spec.label} cannot be called with these options ({error}). A criterion takes "
            "(network, batches, on_step) and its options by name."
        ) from None
    found = criterion(network, batches, on_step, **options)
    if isinstance(found, Mapping):
        found = Saliency(dict(found), dict(found))
    if not isinstance(found, Saliency):
        raise ScoringError(
            f"{spec.label} returned {type(found).__name__}; a criterion returns a Saliency, or its "
            "scores by the name of the weight."
        )
    for scores in (found.values, found.signed):
        _check_scores(spec, network, scores)
    if network.score_dtype == network.dtype:
        return found
    values, signed, rest = (
        {name: score.to(network.score_dtype) for name, score in scores.items()}
        for scores in (found.values, found.signed, found.rest)
    )
    return dataclasses.replace(found, values=values, signed=signed, rest=rest)


def _check_scores(spec: MethodSpec, network: Network, scores: Mapping[str, Tensor]) -> None:
    differing = sorted(scores.keys() ^ network.prunable.keys())
    if differing:
        lacks = "has no scores of" if differing[0] in network.prunable else "scored"
        raise ScoringError(
            f"{spec.label} {lacks} {differing[0]!r}; give scores of every weight in "
            "network.prunable, and of no other."
        )
    for name, weight in network.prunable.items():
        score = scores[name]
        if not isinstance(score, Tensor) or score.shape != weight.shape:
            shape = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
            raise ScoringError(
                f"{spec.label} gave {shape} for {name}; the scores of a weight are a tensor of its "
                f"shape, {tuple(weight.shape)}."
            )


def _recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can hold them: a function of the caller's may take anything."""
    return {
        name: value if isinstance(value, str | int | float | None) else repr(value)
        for name, value in options.items()
    }


def _target(
    spec: MethodSpec,
    sparsity: float | None,
    layer_floor: int,
    layers: Mapping[str, Override],
    checked: bool,
) -> tuple[float, int] | None:
    if not spec.iterative:
        if sparsity is None and (checked or not (layer_floor or layers)):
            return None
        given = "sparsity" if sparsity is not None else "layer_floor" if layer_floor else "layers"
        raise ConfigError(
            f"{spec.label} ranks the weights once for every sparsity; give {given} to masks() "
            "instead."
        )
    if sparsity is None:
        raise ConfigError(
            f"{spec.label} prunes step by step towards one sparsity; say which, for example "
            "sparsity=0.9."
        )
    return check_sparsity(sparsity), layer_floor


def _needed(
    spec: MethodSpec, batches: Iterable[Batch], options: Mapping[str, Any]
) -> Iterable[Batch]:
    """No more batches than the criterion uses; all, for a function in no table."""
    if not spec.needs_data and not spec.needs_shape:
        return ()
    if METHODS.get(spec.name) is not spec:
        return read(batches)
    steps = spec.value(STEPS, options) or 0
    rounds = spec.value(ROUNDS, options) or 1
    return read(batches, max(steps + 1, rounds))


def _prepared(
    model: nn.Module, spec: MethodSpec, precision: str | None, batches: Iterable[Batch]
) -> tuple[Network, list[Batch], bool]:
    """The network as a function, in the best arithmetic that it takes, the batches in it, and
    whether the network insists on another."""
    mixed = precision is None and spec.needs_data and _narrow(model)
    if mixed:
        network = Network(model, MIXED)
        ready = _batches(spec, network, batches)
        if network.can_take(ready[0]):
            return network, ready, False
    network = Network(model, precision)
    return network, _batches(spec, network, batches), mixed


def _narrow(model: nn.Module) -> bool:
    """Whether the model's weights have fewer digits than float64."""
    return isinstance(model, nn.Module) and any(
        p.is_floating_point() and p.dtype != torch.float64 for p in model.parameters()
    )


def _rankable(saliency: Saliency) -> bool:
    return all(bool(scores.isfinite().all()) for scores in saliency.values.values())


def _batches(spec: MethodSpec, network: Network, batches: Iterable[Batch]) -> list[Batch]:
    if spec.needs_data:
        return network.batches(batches)
    if not spec.needs_shape:
        return []
    given = [*batches]
    if not given:
        raise DataError(
            f"{spec.label} learns nothing from data, but has to know the shape of an input; give "
            "one batch (x, y), of any numbers."
        )
    return network.batches(given)


def _without_second_derivative(
    spec: MethodSpec, network: Network, batch: Batch, error: MissingDerivative
) -> ScoringError:
    """The sentence that says where, and what to do about it."""
    where = lacks_second_derivative(network, batch)
    what = f"In this network {where} has no second derivative" if where else str(error)[:-1]
    remedy = "choose a criterion that needs none, such as snip or prospr_first_order"
    if spec.first_order:
        option, value = spec.first_order
        remedy = f"set {option} to {value!r}, or {remedy}"
    return ScoringError(f"{what}, which {spec.label} needs; {remedy}.")
