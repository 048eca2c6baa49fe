"""ProsPr as its authors' code computes it: with momentum, the first buffer is detached."""

from __future__ import annotations

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.prospr import prospr


def prospr_published(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    steps: int,
    lr: float,
    momentum: float,
) -> Saliency:
    """The meta-gradient without the second derivative of the first step, which is what published
    results rest on; without momentum nothing is detached, and it is ``prospr``."""
    return prospr(
        network,
        batches,
        on_step,
        steps=steps,
        lr=lr,
        momentum=momentum,
        order="exact",
        momentum_graph="reference",
    )
