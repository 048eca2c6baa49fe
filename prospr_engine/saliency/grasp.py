"""GraSP: keep the weights whose removal would slow the descent of the loss the most.

With g the gradient of the loss and H its Hessian, a step of training lowers the loss by gᵀg to
first order. Taking weights away changes that by −(w ⊙ Hg), up to a factor (Wang et al., ICLR
2020, section 4). Published as: remove the highest −w ⊙ Hg.
"""

from __future__ import annotations

import torch

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.effects import effects


def grasp(
    network: Network, batches: list[Batch], on_step: OnStep, *, temperature: float
) -> Saliency:
    """w ⊙ Hg, signed, the highest to be kept; g and H of the first batch, in train mode, its
    logits divided by ``temperature``.

    As in the published code both see nothing but the prunable weights: biases and parameters of
    normalisation count as constants.

    Two habits of the authors' code are left out: it draws the classifier's weights anew before
    scoring, and it passes the images in two halves, parted by class, each with its own batch
    statistics, whose g and H it adds up.
    """
    on_step(0, 2, "Gradient of the loss")
    _, gradient, hessian_product = network.linearised(
        network.start, batches[0], 0, temperature=temperature
    )
    on_step(1, 2, "Hessian times gradient")
    vector = [
        slope if name in network.prunable else torch.zeros_like(slope)
        for name, slope in zip(network.names, gradient, strict=True)
    ]
    signed = effects(network, hessian_product(vector))
    return Saliency(values=signed, signed=signed)
