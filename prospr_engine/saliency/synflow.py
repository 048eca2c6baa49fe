"""SynFlow: how much of the flow through the network passes through each weight; no data.

R = Σ f(1; |θ|) is the sum of the logits for an input of ones, every parameter and buffer replaced
by its absolute value, in eval mode (Tanaka et al., NeurIPS 2020, section 5). As long as every
operation keeps positive numbers positive and increasing, ∂R/∂w ≥ 0, what flows into a unit flows
out of it, and pruning in rounds empties no layer before it has to. Products over all layers
overflow float32 in deep networks, so everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prospr_engine.errors import ScoringError
from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point, norm, rounded_differently
from prospr_engine.overrides import Override
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.effects import effects
from prospr_engine.saliency.locate import first_of, turns_the_flow
from prospr_engine.saliency.rounds import prune_in_rounds

BACKFLOW = 1e-3
"""The share of the flow that may be negative, from activations that dip below zero."""

LOST = 0.5
"""The relative change of the flow by rounding alone from which it is nothing else."""


def synflow(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    rounds: int,
    sparsity: float,
    layer_floor: int,
    layers: Mapping[str, Override] | None = None,
) -> Saliency:
    """|w ⊙ ∂R/∂w| in float64. Of the batches only the shape of an input is used.

    Raises ``ScoringError``, naming the layer, for a network that does not take real numbers, or
    whose output does not depend on the flow.
    """
    x, _ = batches[0]
    if not x.is_floating_point():
        where = first_of(network.model, nn.Embedding, nn.EmbeddingBag) or "its first layer"
        raise ScoringError(
            f"SynFlow feeds ones to the network in place of an input, but this network takes "
            f"{x.dtype} numbers, which {where} only looks up; choose another criterion, such as "
            "snip."
        )
    positive = network.positive()
    ones = torch.ones((1, *x.shape[1:]), dtype=torch.float64, device=positive.device)
    doubt = ""

    def rank(i: int, point: Point) -> dict[str, Tensor]:
        nonlocal doubt
        _, gradient = positive.flow(point, ones)
        flow = effects(positive, gradient)
        if i == 0:
            doubt = _doubt(positive, point, ones, flow)
        return flow

    found = prune_in_rounds(
        positive,
        on_step,
        rank,
        rounds=rounds,
        sparsity=sparsity,
        layer_floor=layer_floor,
        layers=layers,
        count=math.ceil,
    )
    return found.doubted(doubt)


def _doubt(network: Network, point: Point, ones: Tensor, flow: dict[str, Tensor]) -> str:
    """A sentence if part of the flow is negative or lost, "" if not; ``ScoringError`` if nothing is
    left of it but rounding errors."""
    through = [part.abs().sum().item() for part in flow.values()]
    back = sum(-part.clamp(max=0).sum().item() for part in flow.values())
    if all(through) and not back > BACKFLOW * sum(through):
        return ""
    where = turns_the_flow(network, ones) or "one of its steps"
    _, again = network.flow(rounded_differently(point), ones)
    change = [a - b for a, b in zip(effects(network, again).values(), flow.values(), strict=True)]
    if not norm(change) < LOST * norm(list(flow.values())):
        raise ScoringError(
            f"SynFlow cannot rank the weights of this network: the flow is lost in {where}, whose "
            "output does not grow with its input; choose another criterion, such as snip."
        )
    return (
        f"SynFlow assumes that every layer's output grows with its input, but in {where} part of "
        "the flow is lost or turns negative, so layers may be emptied; compare with another "
        "criterion, such as snip."
    )
