"""The sample given to an export, as a batch that the network accepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.export.interface import REFERENCE_BATCHES
from prospr_engine.network.foreign import logits_of


def as_batch(network: nn.Module, sample: Tensor) -> Tensor:
    """``sample`` as a float32 batch that the network accepts."""
    looked_up = isinstance(sample, Tensor) and not sample.is_floating_point()
    sample = _checked_sample(sample)
    # Three axes may be one image or a batch of signals: try both.
    candidates = [sample, sample[None]] if sample.ndim > 3 else [sample[None], sample]
    reasons, accepted = [], []
    for batch in candidates[: 2 if sample.ndim else 1]:
        try:
            logits_of(network, batch)
        except ModelError as error:
            reasons.append(str(error))
        else:
            accepted.append(batch)
    if not accepted and looked_up:
        raise ModelError(
            "The network does not accept the sample as real numbers, and files take no others: a "
            f"network that looks up indices cannot be exported. {reasons[0]}"
        )
    if not accepted:
        # The sentence about the sample as it was given, as far as it can be a batch.
        likely = reasons[-1] if sample.ndim == 3 and len(reasons) > 1 else reasons[0]
        raise ModelError(
            f"The network does not accept a sample of shape {tuple(sample.shape)}; give an image "
            f"of the size and channels it was built for. {likely}"
        )
    batch = accepted[0]
    if len(accepted) == 2 and len(sample) > 1 and _rows_stand_alone(network, sample):
        batch = sample  # networks that average over axes may take more than they are meant to
    if _changes_input(network, batch):
        network.register_forward_pre_hook(_copied)
    return batch[: max(REFERENCE_BATCHES)]


def _checked_sample(sample: Tensor) -> Tensor:
    if not isinstance(sample, Tensor):
        from_numpy = " (torch.from_numpy makes one)" if isinstance(sample, np.ndarray) else ""
        raise ModelError(
            f"The sample is of type {type(sample).__name__}; give a torch.Tensor{from_numpy}."
        )
    if sample.is_complex() or sample.is_quantized or sample.is_meta:
        raise ModelError(f"The sample is {sample.dtype} on {sample.device}; give real numbers.")
    # A copy: neither the network nor the caller may change it.
    sample = sample.detach().to_dense() if sample.is_sparse else sample.detach()
    sample = sample.to("cpu", torch.float32, copy=True)
    if not sample.numel():
        raise ModelError("The sample is empty; give one image (C, H, W) or a batch of them.")
    if not sample.isfinite().all():
        raise ModelError(
            "The sample contains NaN or infinite values; give an input like those that the network "
            "will get."
        )
    return sample


def _rows_stand_alone(network: nn.Module, batch: Tensor) -> bool:
    """Whether the network answers each input of ``batch`` as it does in the batch."""
    whole, first = logits_of(network, batch), logits_of(network, batch[:1])
    return torch.allclose(whole[:1], first, rtol=1e-3, atol=1e-5)


def _changes_input(network: nn.Module, batch: Tensor) -> bool:
    given = batch.clone()
    network(given)
    return not torch.equal(given, batch)


def _copied(network: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() for value in args)
