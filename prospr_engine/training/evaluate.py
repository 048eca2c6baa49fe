"""How good a network is on images it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.network.device import exact_kernels
from prospr_engine.network.foreign import cannot_take, explained, set_mode

MOST, PIXELS = 512, 512 * 64 * 64
"""Images at once, and pixels: what a network computes of large images takes gigabytes."""
Prepare = Callable[[Tensor], Tensor]
"""Turns stored images (uint8) into what the network takes (normalised floats)."""


class Shaped(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


class Examples(Protocol):
    """Images (N, C, H, W), uint8, and their class indices (N,). ``batches`` gives the images of
    each of ``chunks`` in turn: of a range, or of positions (n,)."""

    @property
    def images(self) -> Shaped: ...
    @property
    def labels(self) -> Tensor: ...
    def batches(self, chunks: Sequence[slice | Tensor]) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats), accuracy (fraction), and the predicted classes (N,)."""

    loss: float
    accuracy: float
    predictions: Tensor


def evaluate(
    model: nn.Module,
    examples: Examples,
    prepare: Prepare,
    device: torch.device,
    batch_size: int | None = None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluate in eval mode and float32, by default on as many images at once as have
    ``PIXELS``; the model's mode is restored."""
    was_training = model.training
    set_mode(model, False)
    losses, predictions = [], []
    count = len(examples.labels)
    if batch_size is None:
        batch_size = max(1, min(MOST, PIXELS // math.prod(examples.images.shape[2:])))
    try:
        with torch.inference_mode(), exact_kernels():
            chunks = [slice(at, at + batch_size) for at in range(0, count, batch_size)]
            batches = examples.batches(chunks)
            for chunk in chunks:
                on_batch(chunk.start, count)
                x = prepare(next(batches).to(device))
                y = examples.labels[chunk].to(device)
                with explained(model, cannot_take(x), x):
                    # A copy: the network may change its input, and ``prepare`` may return a view.
                    logits = model(x.clone())
                losses.append(F.cross_entropy(logits, y, reduction="sum").double())
                predictions.append(logits.argmax(1).cpu())
    finally:
        set_mode(model, was_training)
    predicted = torch.cat(predictions)
    return Evaluation(
        loss=(torch.stack(losses).sum() / count).item(),
        accuracy=(predicted == examples.labels).double().mean().item(),
        predictions=predicted,
    )
