"""Which weights are connected to the input and to the output, found by running the network.

No graph is parsed: a scratch copy runs, as ``trial`` describes, in which what cuts a signal off by
its value (rectifiers, clamps, signs, maxima, ``where``) lets part of it through, so that only
connections count. Gates written in other ways, such as comparisons or the k largest values, cannot
be replaced; they are noticed, because what they close depends on the values drawn, and on what
comparisons say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.network.foreign import logits_of
from prospr_engine.network.prunable import PrunableWeight
from prospr_engine.pruning.trial import POSITIVE, SIGNED, Flags, Trial, evaluating, run_trial


@dataclass(frozen=True)
class Connections:
    """``works``: the kept weights that are not cut off by pruning, None if it cannot be told;
    ``outputs``: the number of outputs, of which pruning cut off ``dead``. ``apart``: weights that
    are connected to nothing even with nothing removed. ``doubt``: why it cannot be told."""

    works: Flags | None
    outputs: int
    dead: int
    apart: Flags
    doubt: str = ""


def connections(
    model: nn.Module, masks: Flags, weights: Mapping[str, PrunableWeight], sample: Tensor
) -> Connections:
    """What ``masks`` do to the connections of ``model``. Raises ``ModelError`` if the model does
    not run on inputs of the shape of ``sample``, (N, …)."""
    full = {name: torch.ones_like(mask) for name, mask in masks.items()}
    try:
        pruned = run_trial(model, masks, weights, sample, 0)
        if pruned.answers.all() and _same(pruned.works, masks):
            return Connections(pruned.works, len(pruned.answers), 0, {})
        dense = run_trial(model, full, weights, sample, 0)
        intact = bool(dense.answers.all()) and _same(dense.works, full)
        always, ever, steady = dense.answers, pruned.answers, True
        if intact and not pruned.compared:
            return Connections(pruned.works, len(ever), int((~ever).sum()), {})
        for trial in _gates_forced(model, masks, weights, sample):
            ever = ever | trial.answers
            steady = steady and _within(trial.works, pruned.works)
        # What other values connect is not cut off. Is what is off with nothing removed so by
        # design, or by the values drawn?
        for draw in [*POSITIVE[1:], *SIGNED]:
            if not steady and ever.all():
                break  # no trial can change the answer any more
            trial = run_trial(model, masks, weights, sample, draw)
            ever = ever | trial.answers
            steady = steady and _within(trial.works, pruned.works)
            if steady and not intact:
                trial = run_trial(model, full, weights, sample, draw)
                always, steady = always & trial.answers, _same(trial.works, dense.works)
    except ModelError as error:
        # If the network runs as it is, only the trial with other weights failed.
        answer = logits_of(evaluating(model), _like(model, sample))
        return Connections(None, answer.shape[-1], 0, {}, f"the trial failed: {error}")
    dead = int((always & ~ever).sum())
    if not dense.answers.any():
        doubt = "even with nothing removed, no signal gets through it in a trial"
        return Connections(None, len(ever), 0, {}, doubt)
    if not steady:
        doubt = "which of its connections are open depends on the values of its inputs"
        return Connections(None, len(ever), dead, {}, doubt)
    apart = {name: ~works for name, works in dense.works.items()}
    works = {name: pruned.works[name] | (mask & apart[name]) for name, mask in masks.items()}
    return Connections(works, len(ever), dead, apart)


def _same(a: Flags, b: Flags) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


def _within(a: Flags, b: Flags) -> bool:
    return not any((a[name] & ~b[name]).any() for name in b)


def _gates_forced(
    model: nn.Module, masks: Flags, weights: Mapping[str, PrunableWeight], sample: Tensor
) -> Iterator[Trial]:
    """Trials in which all comparisons say yes, or all say no."""
    for said in (True, False):
        with suppress(ModelError):  # some networks check their values
            yield run_trial(model, masks, weights, sample, 0, said)


def _like(model: nn.Module, sample: Tensor) -> Tensor:
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.full((2, *sample.shape[1:]), 0.5, dtype=dtype)
