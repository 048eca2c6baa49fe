"""``pe.shrink``: a network without the channels that matter least, by any criterion's scores."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from prospr_engine.config import CHANNELS
from prospr_engine.errors import ScoringError
from prospr_engine.overrides import ALL_KEPT, Override, layer_name, resolve
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.base import Scores
from prospr_engine.structured.shrink import Shrunk
from prospr_engine.structured.shrink import shrink as remove


def shrink(
    model: nn.Module,
    sample: Tensor,
    scores: Scores,
    sparsity: float = 0.5,
    *,
    budget: str = "parameters",
    multiple: int = 8,
    layers: Mapping[str, Override] | None = None,
) -> Shrunk:
    """Remove the channels of ``model`` that matter least by its ``scores`` (from ``pe.score``).

    ``sample`` is a batch of inputs (N, C, …) of any numbers. ``sparsity`` is the fraction removed
    of what ``budget`` counts: "parameters" (weights of convolutions and linear layers),
    "operations" (multiply-adds for one input) or "channels". What is removed is at least that, and
    a little more where no whole channels of little effect fit; layers that have twice as many
    channels keep a ``multiple`` of them; no layer loses all, and the outputs stay. ``layers`` gives
    layers, by name or shell pattern, a setting of their own: "dense", or the fraction of their
    channels that is removed.

    The result has the smaller ``network``, with dense weights, the ``widths`` of all layers before
    and after, and the ``masks`` of the whole network. In eval mode the small network answers like
    the whole one with the same channels at zero, which is checked. The model comes back untouched.

    Raises ``ConfigError`` for settings that are out of range or contradict each other, a budget
    that cannot be met, and scores of a criterion that ranks no channels; ``ModelError`` if no
    channels of the model can be removed; ``ScoringError`` if scores are not finite.
    """
    if scores.diagnostics.non_finite:
        raise ScoringError(scores.diagnostics.verdict)
    method = METHODS.get(scores.method)
    if method:
        method.check_kind(CHANNELS)
    # A function that is in no table gives signed effects, as its contract says.
    rule = (method.channels if method else None) or "effect"
    found = remove(model, sample, scores, rule, sparsity, budget, multiple, layers)
    # A pattern may be that of a layer whose channels cannot be removed.
    made = {producer.layer for group in found.groups for producer in group.producers}
    settings = {
        name: setting
        for name, setting in resolve(layers or {}, list(scores)).items()
        if setting == ALL_KEPT or layer_name(name) in made
    }
    found.masks.metadata.update(
        method=scores.method,
        options=dict(scores.options),
        kind=CHANNELS,
        sparsity=sparsity,
        channel_budget=budget,
        **({"layers": settings} if settings else {}),
    )
    return found
