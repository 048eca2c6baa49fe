"""ProsPr without second derivatives: the gradient after M steps of training, as it stands."""

from __future__ import annotations

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.prospr import prospr


def prospr_first_order(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    steps: int,
    lr: float,
    momentum: float,
) -> Saliency:
    """w ⊙ ∇L(θᴹ): the meta-gradient with the Hessians along the way taken for zero."""
    return prospr(
        network,
        batches,
        on_step,
        steps=steps,
        lr=lr,
        momentum=momentum,
        order="first",
        momentum_graph="exact",
    )
