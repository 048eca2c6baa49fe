"""``pe.score``: any model, any criterion of the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from prospr_engine.events import OnEvent, Progress, ignore
from prospr_engine.functional import Batch, Network
from prospr_engine.registry import check_options
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.trust import diagnose


def score(
    model: nn.Module,
    batches: Iterable[Batch] = (),
    method: str = "prospr",
    *,
    precision: str | None = None,
    on_event: OnEvent = ignore,
    **options: Any,
) -> Scores:
    """Score every weight of the convolutions and linear layers of ``model``.

    ``batches`` is a sequence of ``(x, y)``: inputs and class indices. Batch i serves step i and
    the next one the outer loss; a single batch serves all, and fewer than needed are used in
    turn. ``options`` are those of the method's row in ``METHODS``; for ProsPr ``steps``,
    ``lr``, ``momentum``, ``order`` and ``momentum_graph``. ``precision=None`` computes in the
    model's own dtype, ``"float32"`` and ``"float64"`` on a converted copy. ``on_event``
    receives a ``Progress`` per step.

    The model comes back untouched: parameters, gradients, buffers, mode and random state.
    Raises ``ConfigError`` for unknown names and options, ``ModelError`` for a model that cannot
    be scored, ``DataError`` for batches that do not fit it, ``ScoringError`` where a derivative
    is missing. Scores that are not finite are returned with a verdict that says so, and refuse
    to become masks.
    """
    spec = METHODS.find(method)
    settings = check_options(spec.options, options, f"the method {method!r}")
    network = Network(model, precision)
    ready = network.batches(batches) if spec.needs_data else []

    total_steps = 1

    def on_step(done: int, total: int, text: str) -> None:
        nonlocal total_steps
        total_steps = total
        on_event(Progress("score", done, total, "steps", text))

    with torch.no_grad():
        saliency = spec.load()(network, ready, on_step, **settings)
        channels = {
            name: weight.channel_sums(saliency.signed[name])
            for name, weight in network.prunable.items()
        }
    on_event(Progress("score", total_steps, total_steps, "steps", "Scores are ready"))
    return Scores(
        # Whatever layout was best for computing, the caller gets the usual one.
        values_by_name={name: v.contiguous() for name, v in saliency.values.items()},
        channels=channels,
        diagnostics=diagnose(
            saliency.values,
            network.dtype,
            saliency.adjoint_norms,
            saliency.losses,
            saliency.sensitivity,
        ),
        method=method,
        options=settings | ({"precision": precision} if precision else {}),
    )
