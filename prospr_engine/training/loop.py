"""Training by stochastic gradient descent, one epoch at a time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prospr_engine.errors import DataError, TrainingError
from prospr_engine.events import EpochEnded
from prospr_engine.network.device import exact_kernels
from prospr_engine.network.foreign import learned_names, set_mode
from prospr_engine.network.seeding import seeded
from prospr_engine.training.augment import augment
from prospr_engine.training.enforce import MaskEnforcer
from prospr_engine.training.evaluate import Examples, Prepare, evaluate


@dataclass(frozen=True)
class Recipe:
    """A training with every choice made (``TrainingConfig`` leaves some open).

    ``precision`` is "float32" or "bfloat16", ``augmentation`` "none", "shift" or "shift+flip".
    """

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    augmentation: str
    precision: str
    seed: int


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate when the fraction ``progress`` of all steps is done.

    Cosine: Loshchilov and Hutter, SGDR, ICLR 2017. Step: by ten at 50 % and 75 %, as the
    published accuracies of pruning at initialisation were trained.
    """
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))
    if recipe.schedule == "step":
        return recipe.lr * (0.1 if progress >= 0.5 else 1.0) * (0.1 if progress >= 0.75 else 1.0)
    return recipe.lr


def train(
    model: nn.Module,
    training: Examples,
    validation: Examples,
    prepare: Prepare,
    recipe: Recipe,
    device: torch.device,
    masks: Mapping[str, Tensor] | None = None,
    network: str = "dense",
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[EpochEnded]:
    """Train ``model`` on ``device`` in place and yield the figures of each epoch.

    A generator, so that two networks can take turns; epoch by epoch every one draws its order,
    augmentation and dropout from the seed alone, whatever ran in between. With ``masks`` the
    pruned weights stay zero throughout. ``on_batch(done, total)`` is called before every
    batch of an epoch and may raise to stop. Raises ``TrainingError`` when the loss is not
    finite, ``DataError`` when there are fewer than two images.
    """
    count = len(training.labels)
    if count < 2:
        raise DataError(f"Training needs at least 2 images, and there is {count}; add some.")
    model.to(device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    with contextlib.ExitStack() as stack:
        enforcer = stack.enter_context(MaskEnforcer(model, masks)) if masks is not None else None
        for epoch in range(recipe.epochs):
            started = time.perf_counter()
            with _repeatable(recipe.seed, epoch, device):
                loss, accuracy = _epoch(
                    model, training, prepare, recipe, device, epoch, optimizer, enforcer, on_batch
                )
            held_out = evaluate(model, validation, prepare, device)
            # Batch norm can hide an explosion from the loss, but not from its own statistics.
            if not math.isfinite(loss + held_out.loss) or not _all_finite(model):
                raise TrainingError(
                    f"The {network} network diverged in epoch {epoch + 1}: its loss or its weights "
                    f"are NaN or infinite. Set a lower learning rate (--train-lr; in the form "
                    f"under Advanced, Training); it started at {recipe.lr:g}."
                )
            yield EpochEnded(
                network=network,
                epoch=epoch + 1,
                epochs=recipe.epochs,
                train_loss=loss,
                train_accuracy=accuracy,
                validation_loss=held_out.loss,
                validation_accuracy=held_out.accuracy,
                seconds=time.perf_counter() - started,
            )


def _epoch(
    model: nn.Module,
    training: Examples,
    prepare: Prepare,
    recipe: Recipe,
    device: torch.device,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    enforcer: MaskEnforcer | None,
    on_batch: Callable[[int, int], None],
) -> tuple[float, float]:
    """One pass over the training images: mean loss (nats) and accuracy while training."""
    set_mode(model, True)
    generator = torch.Generator().manual_seed(_mix(recipe.seed, epoch))
    order = torch.randperm(len(training.labels), generator=generator)
    # A last batch of one image would leave batch norm without a variance.
    chunks = [chunk for chunk in order.split(recipe.batch_size) if len(chunk) > 1]
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    batches = training.batches(chunks)
    for index, chunk in enumerate(chunks):
        on_batch(index, len(chunks))
        progress = (epoch + index / len(chunks)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, progress)
        x = prepare(next(batches).to(device))
        x = augment(x, recipe.augmentation, generator).contiguous(memory_format=layout)
        y = training.labels[chunk].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits = model(x)
            loss = F.cross_entropy(logits, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if enforcer:
            enforcer.after_step(optimizer)
        loss_sum += loss.detach().double() * len(chunk)
        correct += (logits.detach().argmax(1) == y).sum()
    seen = sum(len(chunk) for chunk in chunks)
    return (loss_sum / seen).item(), (correct / seen).item()


@contextlib.contextmanager
def _repeatable(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Dropout from the seed, and on a GPU kernels that give the same result every time; the
    caller's random state comes back as it was."""
    with exact_kernels(), seeded(_mix(seed, epoch), device):
        yield


def _all_finite(model: nn.Module) -> bool:
    learned = learned_names(model)
    tensors = (*model.named_parameters(), *model.named_buffers())
    return all(bool(tensor.isfinite().all()) for name, tensor in tensors if name in learned)


def _mix(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63
