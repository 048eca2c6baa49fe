"""Does a network fit the images and classes? A list of problems, before any training.

As in Opacus' module validator, every problem is reported, not just the first exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.format import fixed_percent
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.foreign import check_module, first_line, own_copy, set_mode
from prospr_engine.network.meta import meta_copy
from prospr_engine.network.prunable import prunable_weights

SIDES = (8, 16, 28, 32, 64, 96, 128, 224, 256, 384, 512)


@dataclass(frozen=True)
class Problem:
    """One problem, as a sentence; a ``fatal`` one means that the network cannot be used."""

    text: str
    fatal: bool


def check(model: nn.Module, shape: tuple[int, int, int], classes: int) -> list[Problem]:
    """The problems of ``model`` with images of ``shape`` (C, H, W) and ``classes`` classes.

    Runs two random images through a copy, in eval and in train mode; the model and the global
    random state are unchanged. Running out of memory raises instead of being reported.
    """
    try:
        check_module(model, values=False)
        prunable = prunable_weights(model)
    except ModelError as error:
        return [Problem(str(error), True)]
    problems = _forward_problems(model, shape, classes)
    kept = {id(model.get_parameter(name)) for name in prunable}
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    outside = sum(p.numel() for p in matrices if id(p) not in kept)
    share = outside / sum(p.numel() for p in matrices)
    if share >= 0.1:
        problems.append(
            Problem(
                f"{fixed_percent(share, 0)} of the network's weights are outside convolutions and "
                "linear layers (attention projections, embeddings); they are trained but never "
                "pruned.",
                False,
            )
        )
    return problems


def _forward_problems(model: nn.Module, shape: tuple[int, int, int], classes: int) -> list[Problem]:
    trial = own_copy(model)
    problems = []
    for training in (False, True):
        mode = "training" if training else "evaluation"
        try:
            out = _forward(trial, shape, training)
        except Exception as error:  # whatever a forward may raise
            if is_out_of_memory(error):
                raise
            return [Problem(_why_it_fails(model, shape, error), True)]
        if not isinstance(out, Tensor):
            problems.append(
                Problem(
                    f"In {mode} mode the network returns a {type(out).__name__}, not one tensor "
                    "of class scores; switch off auxiliary heads or wrap the network.",
                    True,
                )
            )
        elif tuple(out.shape) != (2, classes):
            problems.append(Problem(_wrong_output(out, classes, mode), True))
        elif not torch.isfinite(out).all():
            problems.append(
                Problem(
                    f"In {mode} mode the network's output is not finite (NaN or infinity) on "
                    "random images; check its weights, or use fresh ones.",
                    True,
                )
            )
    return problems


def _wrong_output(out: Tensor, classes: int, mode: str) -> str:
    if out.ndim == 2 and out.shape[0] == 2:
        return (
            f"The network has {out.shape[1]} classes, the data have {classes}; give its last layer "
            f"{classes} outputs."
        )
    return (
        f"In {mode} mode two images give an output of shape {tuple(out.shape)} instead of "
        f"(2, {classes}), one row of class scores per image."
    )


def _why_it_fails(model: nn.Module, shape: tuple[int, int, int], error: Exception) -> str:
    channels, height, width = shape
    fitting = _fitting_shape(model, shape)
    if fitting is None:
        return f"The network cannot process images of {_text(shape)}: {first_line(error)}."
    wanted = []
    if fitting[0] != channels:
        wanted.append(
            f"images with {fitting[0]} channel{'s' * (fitting[0] > 1)} instead of {channels}; "
            f"load them in {'colour' if fitting[0] == 3 else 'grey'}"
        )
    if fitting[1:] != (height, width):
        small = fitting[1] > min(height, width)
        wanted.append(
            f"{'larger' if small else 'smaller'} images than {height}×{width} px; "
            f"set the image size to {fitting[1]}"
        )
    return f"The network needs {', and '.join(wanted)}."


def _fitting_shape(model: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """The nearest shape that works: other channels first, then larger sides, then smaller."""
    shadow = meta_copy(model)
    channels, height, width = shape
    own = max(height, width)
    doubled = {own * 2**k for k in range(1, 10) if own * 2**k <= max(SIDES)}
    larger = sorted({s for s in SIDES if s > own} | doubled)
    smaller = sorted((s for s in SIDES if s < own), reverse=True)
    for sides in ((height, width), *((s, s) for s in (*larger, *smaller))):
        for c in dict.fromkeys((channels, 3, 1)):
            if _passes(shadow, (c, *sides)):
                return (c, *sides)
    return None


def _passes(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    try:
        for training in (False, True):
            _forward(model, shape, training)
    except Exception:  # noqa: BLE001  (whatever a forward may raise)
        return False
    return True


def _forward(model: nn.Module, shape: tuple[int, int, int], training: bool) -> object:
    set_mode(model, training)
    like = next(model.parameters())
    with torch.no_grad(), _untouched_random_state(model):
        x = torch.randn(2, *shape, dtype=like.dtype, device=like.device)
        return model(x)


@contextmanager
def _untouched_random_state(model: nn.Module) -> Iterator[None]:
    # Without the devices, fork_rng would initialise CUDA on a machine that has it.
    cuda = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(cuda)):
        yield


def _text(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))
